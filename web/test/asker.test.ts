import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { RetryInfoSchema } from "../src/gen/google/rpc/error_details_pb";
import { type Prediction, PredictionSchema } from "../src/gen/labelmesh/inference/v1/predictions_pb";
import { Asker, type Question } from "../src/predict/asker";

interface Call {
  readonly question: Question<string>;
  readonly signal: AbortSignal;
  readonly answer: (id: string) => Promise<void>;
  readonly refuse: (error: ConnectError) => Promise<void>;
}

/** A model that answers when the test says so. */
function bench(): { calls: Call[]; asker: Asker<string> } {
  const calls: Call[] = [];
  let ids = 0;
  const asker = new Asker<string>({
    call: (question, signal) =>
      new Promise<Prediction>((resolve, reject) => {
        const settle = async (work: () => void): Promise<void> => {
          work();
          await vi.advanceTimersByTimeAsync(0);
        };
        calls.push({
          question,
          signal,
          answer: (id) => settle(() => resolve(create(PredictionSchema, { id }))),
          refuse: (error) => settle(() => reject(error)),
        });
      }),
    uuid: () => {
      ids += 1;
      return `request-${ids}`;
    },
    now: () => Date.now(),
  });
  return { calls, asker };
}

const last = (calls: readonly Call[]): Call => {
  const call = calls.at(-1);
  if (!call) throw new Error("nothing was asked");
  return call;
};

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("the last answer wins: one of an earlier question that comes late changes nothing", async () => {
  const { calls, asker } = bench();
  asker.ask("one");
  asker.ask("two");
  expect(calls[0]?.signal.aborted).toBe(true);
  await calls[1]?.answer("second");
  await calls[0]?.answer("first");
  expect(asker.answer.value).toMatchObject({ subject: "two", prediction: { id: "second" } });
  expect(asker.asking.value).toBe(false);
});

test("a line under way is asked about now and then, not at every point", async () => {
  const { calls, asker } = bench();
  for (let point = 0; point < 60; point += 1) {
    asker.sketch(`point ${point}`, false);
    await vi.advanceTimersByTimeAsync(16);
  }
  // 960 ms of drawing: at most every 320 ms, at least every 410 ms.
  expect(calls.length).toBeGreaterThanOrEqual(2);
  expect(calls.length).toBeLessThanOrEqual(3);
  expect(calls.every((call) => !call.question.keep && call.question.requestId === "")).toBe(true);
});

test("a drawing that rests is asked about once more, and that answer is kept", async () => {
  const { calls, asker } = bench();
  asker.sketch("seven", true);
  await vi.advanceTimersByTimeAsync(100);
  expect(last(calls).question.keep).toBe(false);
  await last(calls).answer("");
  await vi.advanceTimersByTimeAsync(700);
  expect(last(calls).question).toMatchObject({ subject: "seven", keep: true, requestId: "request-1" });
  await last(calls).answer("kept");
  await vi.advanceTimersByTimeAsync(5000);
  expect(calls).toHaveLength(2);
});

test("a new line before the drawing rests keeps nothing of the half drawn", async () => {
  const { calls, asker } = bench();
  asker.sketch("half", true);
  await vi.advanceTimersByTimeAsync(600);
  asker.sketch("more", false);
  await vi.advanceTimersByTimeAsync(2000);
  expect(calls.filter((call) => call.question.keep)).toHaveLength(0);
});

test("a model server that is away is asked again when it said, under the same request", async () => {
  const { calls, asker } = bench();
  asker.ask("picture");
  const retry = { desc: RetryInfoSchema, value: { retryDelay: { seconds: 3n } } } as const;
  await last(calls).refuse(new ConnectError("away", Code.Unavailable, undefined, [retry]));
  expect(asker.setback.value?.againAt).toBe(Date.now() + 3000);
  await vi.advanceTimersByTimeAsync(2900);
  expect(calls).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(200);
  expect(last(calls).question.requestId).toBe(calls[0]?.question.requestId);
  await last(calls).answer("at last");
  expect(asker.setback.value).toBeNull();
  expect(asker.answer.value?.prediction.id).toBe("at last");
});

test("a picture that the model cannot take is not asked about again, and the answer to another one is gone", async () => {
  const { calls, asker } = bench();
  asker.ask("good");
  await last(calls).answer("good");
  asker.ask("bad");
  await last(calls).refuse(new ConnectError("not an image", Code.InvalidArgument));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(calls).toHaveLength(2);
  expect(asker.setback.value).toMatchObject({ againAt: null, problem: { sentence: "Not an image." } });
  expect(asker.answer.value).toBeNull();
});

test("clearing the sheet breaks everything off", async () => {
  const { calls, asker } = bench();
  asker.sketch("seven", true);
  await vi.advanceTimersByTimeAsync(100);
  asker.clear();
  await last(calls).answer("late");
  await vi.advanceTimersByTimeAsync(5000);
  expect(calls).toHaveLength(1);
  expect(asker.answer.value).toBeNull();
  expect(asker.asking.value).toBe(false);
});
