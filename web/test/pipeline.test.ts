import { expect, test } from "vitest";
import {
  carried,
  duplicated,
  EMPTY,
  jsonOf,
  NoPipeline,
  newStep,
  type Pipeline,
  pathOf,
  placeOfField,
  prettyJson,
  readPipeline,
  remarksOf,
  type Step,
  shifted,
  stepAt,
  stepCount,
  wireOf,
  withNew,
  without,
  withParameter,
  withStep,
} from "../src/augment/pipeline";

const names = (steps: readonly Step[]): unknown[] =>
  steps.map((step) => (step.steps.length > 0 ? [step.transform, names(step.steps)] : step.transform));

const of = (...steps: unknown[]): Pipeline => readPipeline(JSON.stringify({ steps }));
const nested = (): Pipeline =>
  of({ transform: "a" }, { transform: "either", steps: [{ transform: "b" }, { transform: "c" }] }, { transform: "d" });

test("JSON that was copied and pasted is the same pipeline", () => {
  const json = {
    version: 1,
    steps: [
      { transform: "rotate", probability: 0.5, parameters: { angle: [-20, 20] } },
      { transform: "one_of", steps: [{ transform: "fog" }, { transform: "cutout", parameters: { colour: [1, 2, 3], deep: true } }] },
    ],
    fill: "FILL_MIRROR",
    fillColour: [1, 2, 3],
    labels: { minVisibleShare: 0.25, minArea: 4, mirrorPairs: [{ first: "left", second: "right" }] },
    output: { format: "FORMAT_PNG", quality: 80, keepMetadata: true },
  };
  const pipeline = readPipeline(JSON.stringify(json));
  expect(jsonOf(pipeline)).toEqual(json);
  expect(jsonOf(readPipeline(prettyJson(pipeline)))).toEqual(json);
  expect(prettyJson(pipeline)).toContain('"angle": [-20, 20]');
});

test("what is the default anyhow is not written out", () => {
  expect(jsonOf(EMPTY)).toEqual({ version: 1, steps: [] });
  expect(jsonOf(of({ transform: "rotate", probability: 1 }))).toEqual({ version: 1, steps: [{ transform: "rotate" }] });
});

test("names as in the contract's own files are read too, and a list of steps, and one step", () => {
  expect(readPipeline('{"steps": [], "fill_colour": [9, 8, 7]}').fillColour).toEqual([9, 8, 7]);
  expect(names(readPipeline('[{"transform": "a"}, {"transform": "b"}]').steps)).toEqual(["a", "b"]);
  expect(names(readPipeline('{"transform": "a"}').steps)).toEqual(["a"]);
  expect(names(readPipeline('{"name": "x", "pipeline": {"steps": [{"transform": "a"}]}}').steps)).toEqual(["a"]);
});

test("the short words of the command line are read too", () => {
  const pipeline = readPipeline('{"steps": [], "fill": "edge", "output": {"format": "jpeg", "quality": 80}}');
  expect(jsonOf(pipeline)).toMatchObject({ fill: "FILL_EDGE", output: { format: "FORMAT_JPEG", quality: 80 } });
  expect(() => readPipeline('{"steps": [], "fill": "plaid"}')).toThrow(NoPipeline);
});

test.each([
  ["{", "no JSON"],
  ["7", "no pipeline"],
  ['{"steps": 1}', "no pipeline"],
  ['{"steps": [{"transfrom": "rotate"}]}', "transfrom"],
  ['{"steps": [], "version": 2}', "format 2"],
  [JSON.stringify({ steps: Array.from({ length: 101 }, () => ({ transform: "a" })) }), "at most 100 steps"],
])("a text that is no pipeline is refused with the reason: %.30s", (text, reason) => {
  expect(() => readPipeline(text)).toThrow(NoPipeline);
  expect(() => readPipeline(text)).toThrow(reason);
});

test("a step that is off stays in its place without being done, and comes back with its chance", () => {
  const chance = of({ transform: "a", probability: 0.3 }, { transform: "b" });
  const off = withStep(chance, [0], { off: true });
  expect(wireOf(off).steps.map((step) => step.probability)).toEqual([0, undefined]);
  expect(wireOf(withStep(off, [0], { off: false })).steps[0]?.probability).toBe(0.3);
  expect(of({ transform: "a", probability: 0 }).steps[0]).toMatchObject({ off: true, probability: null });
});

test("steps are added, duplicated, removed and changed at every level", () => {
  const first = withNew(nested(), [1], newStep("e"), 1);
  expect(names(first.steps)).toEqual(["a", ["either", ["b", "e", "c"]], "d"]);
  expect(stepCount(first)).toBe(6);
  expect(names(without(first, [1, 0]).steps)).toEqual(["a", ["either", ["e", "c"]], "d"]);
  const twice = duplicated(first, [1]);
  expect(names(twice.steps)).toEqual(["a", ["either", ["b", "e", "c"]], ["either", ["b", "e", "c"]], "d"]);
  const keys = [stepAt(twice, [1]), stepAt(twice, [2]), stepAt(twice, [1, 0]), stepAt(twice, [2, 0])].map((step) => step?.key);
  expect(new Set(keys).size).toBe(4);
  const set = withParameter(first, [1, 2], "angle", [1, 2]);
  expect(stepAt(set, [1, 2])?.parameters).toEqual({ angle: [1, 2] });
  expect(stepAt(withParameter(set, [1, 2], "angle", undefined), [1, 2])?.parameters).toEqual({});
});

test("a step moves among its neighbours, and no further than the ends", () => {
  expect(names(shifted(nested(), [0], 1).steps)).toEqual([["either", ["b", "c"]], "a", "d"]);
  expect(names(shifted(nested(), [1, 1], -1).steps)).toEqual(["a", ["either", ["c", "b"]], "d"]);
  expect(names(shifted(nested(), [2], 5).steps)).toEqual(["a", ["either", ["b", "c"]], "d"]);
});

test("a step is carried into another list, before and after its old place, but never into itself", () => {
  const pipeline = nested();
  const key = (path: number[]): string => stepAt(pipeline, path)?.key ?? "";
  expect(names(carried(pipeline, key([0]), [1], 1).steps)).toEqual([["either", ["b", "a", "c"]], "d"]);
  expect(names(carried(pipeline, key([1, 0]), [], 0).steps)).toEqual(["b", "a", ["either", ["c"]], "d"]);
  expect(names(carried(pipeline, key([0]), [], 3).steps)).toEqual([["either", ["b", "c"]], "d", "a"]);
  expect(names(carried(pipeline, key([2]), [], 0).steps)).toEqual(["d", "a", ["either", ["b", "c"]]]);
  expect(carried(pipeline, key([1]), [1], 0)).toBe(pipeline);
  expect(carried(pipeline, "nobody", [], 0)).toBe(pipeline);
});

test("a step is found by its key wherever it moved", () => {
  const pipeline = nested();
  const key = stepAt(pipeline, [1, 1])?.key ?? "";
  expect(pathOf(pipeline, key)).toEqual([1, 1]);
  expect(pathOf(shifted(pipeline, [1], -1), key)).toEqual([0, 1]);
  expect(pathOf(pipeline, "nobody")).toBeNull();
});

test.each([
  ["steps[1].parameters.angle", [1], "angle"],
  ["pipeline.steps[1].steps[0].parameters.angle[0]", [1, 0], "angle"],
  ['steps[2].parameters["min_area"]', [2], "min_area"],
  ["pipeline.steps[3].transform", [3], ""],
  ["steps[0].probability", [0], "probability"],
  ["pipeline.output.quality", [], ""],
])("a finding at %s belongs there", (field, path, parameter) => {
  expect(placeOfField(field)).toEqual({ path, parameter });
});

test("findings keep what they say and how bad it is", () => {
  expect(remarksOf([{ field: "steps[0].parameters.x", description: "Too much.", warning: true }])).toEqual([
    { path: [0], parameter: "x", text: "Too much.", warning: true },
  ]);
});
