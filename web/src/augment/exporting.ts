// Results in full, as files: one, or all with their labels and recipes.
import { create, type JsonObject, toJson } from "@bufbuild/protobuf";
import { strToU8, zipSync } from "fflate";
import { ApplyRequestSchema, type Augmented, RecipeSchema } from "../gen/labelmesh/augment/v1/augmentations_pb";
import { LabelsSchema } from "../gen/labelmesh/augment/v1/labels_pb";
import type { Mesh } from "../rpc/mesh";
import { problemOf } from "../rpc/problems";
import type { Bench, Question } from "./bench";
import { cocoOf, labelsJson } from "./labels";
import { prettyJson, wireOf } from "./pipeline";
import { endingOf, stemOf } from "./source";

const DEADLINE_MS = 32_000;
const ATTEMPTS = 6;

/** "robin-7-3.jpg": the picture, the seed, the copy. */
export function fileName(question: Question, one: Pick<Augmented, "copy" | "mediaType">): string {
  return `${stemOf(question.source)}-${question.seed}-${one.copy}.${endingOf(one.mediaType)}`;
}

/** One result in full. Waits and asks again while the mesh has no place for it. */
export async function applied(mesh: Mesh, bench: Bench, question: Question, copy: number, signal: AbortSignal): Promise<Augmented> {
  const request = create(ApplyRequestSchema, {
    sample: await bench.sample(question),
    how: { case: "pipeline", value: wireOf(question.pipeline) },
    seed: question.seed,
    copy,
    further: await bench.furtherSamples(question),
  });
  for (let attempt = 1; ; attempt += 1) {
    try {
      const reply = await mesh.augmentations.apply(request, { signal, timeoutMs: DEADLINE_MS });
      if (!reply.augmented) throw new Error("the answer holds no picture");
      return reply.augmented;
    } catch (thrown) {
      const problem = problemOf(thrown);
      if (signal.aborted || !problem.transient || attempt >= ATTEMPTS) throw thrown;
      await new Promise((resolve) => setTimeout(resolve, Math.min(10_000, problem.retryAfterMs ?? 500 * 2 ** attempt)));
      if (signal.aborted) throw thrown;
    }
  }
}

/** Everything in one archive: pictures, labels as the contract has them and as COCO, recipes, and the pipeline that made them. */
export function archive(question: Question, all: readonly Augmented[]): Uint8Array {
  const files: Record<string, Uint8Array> = {};
  const named = all.map((one) => ({ one, name: fileName(question, one), labels: one.labels ?? create(LabelsSchema) }));
  for (const { one, name } of named) files[`images/${name}`] = one.image;
  const json = (value: JsonObject): Uint8Array => strToU8(`${JSON.stringify(value, null, 2)}\n`);
  files["labels.json"] = json(Object.fromEntries(named.map(({ name, labels }) => [name, labelsJson(labels)])));
  files["coco.json"] = json(cocoOf(named.map(({ one, name, labels }) => ({ name, labels, width: one.width, height: one.height }))));
  files["recipes.json"] = json(
    Object.fromEntries(named.map(({ one, name }) => [name, one.recipe ? toJson(RecipeSchema, one.recipe) : {}])),
  );
  files["pipeline.json"] = strToU8(`${prettyJson(question.pipeline)}\n`);
  // Pictures are compressed already.
  return zipSync(files, { level: 0 });
}
