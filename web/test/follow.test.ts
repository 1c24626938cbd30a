import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { signal } from "@preact/signals";
import { expect, test } from "vitest";
import { type ScoreProjectResponse, ScoreProjectResponseSchema } from "../src/gen/labelmesh/inference/v1/scoring_pb";
import { TrainingState, WatchTrainingResponseSchema } from "../src/gen/labelmesh/inference/v1/trainings_pb";
import { watchTraining } from "../src/models/watch";
import { scoreProject } from "../src/projects/scoring";
import { refusal } from "./fakemesh";

const link = { away: signal(false), back: () => Promise.resolve() };
const RENEW = refusal(Code.Unavailable, "STREAM_RENEW");

/** Streams one after the other: each its messages, then its error if it has one. */
function streams<Message>(...all: { messages: Message[]; error?: ConnectError }[]): () => AsyncIterable<Message> {
  let next = 0;
  return async function* () {
    const stream = all[next];
    next += 1;
    if (!stream) throw new Error("opened too often");
    yield* stream.messages;
    if (stream.error) throw stream.error;
  };
}

const scored = (scoredCount: bigint, cursor: string, done = false) => create(ScoreProjectResponseSchema, { scoredCount, cursor, done });
const scoring = { projectId: "p", model: "digits", suggest: true, order: false };

test("scoring goes on at the last cursor when the server renews the stream or the connection breaks", async () => {
  const cursors: string[] = [];
  const open = streams(
    { messages: [scored(10n, "a"), scored(20n, "b")], error: RENEW },
    { messages: [scored(30n, "c")], error: new ConnectError("gone", Code.Unavailable) },
    { messages: [scored(35n, "", true)] },
  );
  const mesh = {
    link,
    scoring: {
      scoreProject: (request: { cursor?: string }) => {
        cursors.push(request.cursor ?? "");
        return open();
      },
    },
  };
  const heard: ScoreProjectResponse[] = [];
  const problem = await scoreProject(mesh, scoring, (message) => heard.push(message), new AbortController().signal);
  expect(problem).toBeNull();
  expect(cursors).toEqual(["", "b", "c"]);
  expect(heard.map((message) => Number(message.scoredCount))).toEqual([10, 20, 30, 35]);
});

test("a model that does not fit the project is told and not tried again", async () => {
  const mesh = {
    link,
    scoring: { scoreProject: streams({ messages: [], error: refusal(Code.FailedPrecondition, "NO_CLASS_IN_COMMON") }) },
  };
  const problem = await scoreProject(mesh, scoring, () => undefined, new AbortController().signal);
  expect(problem?.reason).toBe("NO_CLASS_IN_COMMON");
});

test("stopping ends the scoring at once and is no problem", async () => {
  const stop = new AbortController();
  const mesh = {
    link,
    scoring: {
      scoreProject: async function* () {
        yield scored(1n, "a");
        stop.abort();
        throw new ConnectError("canceled", Code.Canceled);
      },
    },
  };
  expect(await scoreProject(mesh, scoring, () => undefined, stop.signal)).toBeNull();
});

test("a training is watched over renewals until it has ended", async () => {
  const at = (state: TrainingState, epoch: number) => create(WatchTrainingResponseSchema, { training: { state, progress: { epoch } } });
  const open = streams(
    { messages: [at(TrainingState.RUNNING, 1)], error: RENEW },
    { messages: [at(TrainingState.RUNNING, 1), at(TrainingState.SUCCEEDED, 5)] },
  );
  const epochs: number[] = [];
  const mesh = { link, trainings: { watchTraining: open } };
  await watchTraining(mesh, "t", (training) => epochs.push(training.progress?.epoch ?? 0), new AbortController().signal);
  expect(epochs).toEqual([1, 1, 5]);
});
