import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { unzipSync } from "fflate";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { pack, parametersFor, shownBy, unpack } from "../src/augment/address";
import { defaultOf, fitted, notchOf, nudged, readable, scaleOf, valueAt, widened } from "../src/augment/catalogue";
import { Changes } from "../src/augment/changes";
import { stepsDone } from "../src/augment/drawn";
import { archive, fileName } from "../src/augment/exporting";
import {
  boxBetween,
  cocoOf,
  labelCount,
  labelsJson,
  NO_LABELS,
  NoLabels,
  polygonOf,
  readLabels,
  withChanged,
  withLabel,
  withoutLabel,
} from "../src/augment/labels";
import { EMPTY, jsonOf, type Pipeline, readPipeline } from "../src/augment/pipeline";
import { Previewer } from "../src/augment/previewer";
import { fileProblem, type Source, stemOf } from "../src/augment/source";
import { ErrorInfoSchema, RetryInfoSchema } from "../src/gen/google/rpc/error_details_pb";
import { AugmentedSchema, RecipeSchema } from "../src/gen/labelmesh/augment/v1/augmentations_pb";
import { Visibility } from "../src/gen/labelmesh/augment/v1/labels_pb";
import { ANGLE, CATALOGUE, SIGMA } from "./transforms";

const ID = "3f0c1b1e-6b0a-4c52-9d58-0d4f1f6f2a11";
const PIPELINE: Pipeline = readPipeline('{"steps": [{"transform": "turn", "probability": 0.5, "parameters": {"angle": [-20, 20]}}]}');

// --- the address ---

test.each<Source>([
  { kind: "address", address: "https://example.org/a b.png?x=1&y=2#z" },
  { kind: "project", projectId: ID, imageId: ID, name: "" },
  { kind: "sample" },
])("a link shows the same again: $kind", (source) => {
  const box = boxBetween({ x: 1, y: 2 }, { x: 30, y: 40 }, "cat");
  const labels = box ? withLabel(NO_LABELS, { kind: "box", label: box }) : NO_LABELS;
  const link = parametersFor({ source, pipeline: PIPELINE, labels, seed: 77, count: 12 });
  const shown = shownBy(link);
  expect(shown.source).toEqual(source.kind === "sample" ? null : source);
  expect(shown.pipeline && jsonOf(shown.pipeline)).toEqual(jsonOf(PIPELINE));
  expect([shown.seed, shown.count, shown.problems]).toEqual([77, 12, []]);
  if (source.kind !== "sample") expect(shown.labels && labelsJson(shown.labels)).toEqual(labelsJson(labels));
  expect(link.length).toBeLessThan(400);
});

test("a link that was cut off says so and shows the rest", () => {
  const link = parametersFor({
    source: { kind: "address", address: "https://x.org/a.png" },
    pipeline: PIPELINE,
    labels: NO_LABELS,
    seed: 5,
    count: 8,
  });
  const shown = shownBy(link.replace(/pipeline=([\w-]{10})[\w-]*/, "pipeline=$1"));
  expect(shown.pipeline).toBeNull();
  expect(shown.source).toEqual({ kind: "address", address: "https://x.org/a.png" });
  expect(shown.problems).toEqual([expect.stringContaining("cut off")]);
});

test("a link that was written by hand is understood", () => {
  const shown = shownBy('url=https://x.org/a.png&seed=7&pipeline=[{"transform":"turn"}]');
  expect(shown.pipeline?.steps[0]?.transform).toBe("turn");
  expect(shown.seed).toBe(7);
  expect(shownBy("seed=-1&count=900&project=1&image=2")).toMatchObject({
    seed: null,
    count: 24,
    source: null,
    problems: [expect.any(String)],
  });
});

test("packing undoes itself, also beyond ASCII", () => {
  const json = { a: ["häufig", "写真", 1.5] };
  expect(JSON.parse(unpack(pack(json)))).toEqual(json);
  expect(pack(json)).toMatch(/^[\w-]+$/);
  expect(() => unpack("A".repeat(100_000))).toThrow();
});

// --- sliders ---

test("a slider's notch and its value belong together, also by factors", () => {
  for (const scale of [scaleOf(ANGLE), scaleOf(SIGMA)]) {
    expect(valueAt(scale, 0)).toBe(scale.minimum);
    expect(valueAt(scale, 1000)).toBe(scale.maximum);
    for (let notch = 0; notch <= 1000; notch += 50) {
      const value = valueAt(scale, notch);
      expect(valueAt(scale, notchOf(scale, value))).toBeCloseTo(value, 6);
    }
  }
  expect(valueAt(scaleOf(SIGMA), 500)).toBe(1);
  expect(notchOf(scaleOf(ANGLE), 500)).toBe(1000);
});

test("an arrow key always moves a slider, by its own step", () => {
  expect(nudged(scaleOf(ANGLE), 10, 1)).toBe(10.5);
  expect(nudged(scaleOf(SIGMA), 0.1, 1)).toBe(0.2);
  expect(nudged(scaleOf(SIGMA), 5, 1)).toBeGreaterThan(5);
  expect(nudged(scaleOf(ANGLE), 180, 1)).toBe(180);
  expect(fitted(scaleOf(ANGLE), 10.26)).toBe(10.5);
});

test("one value becomes a range around it, within the bounds", () => {
  const [low, high] = widened(scaleOf(ANGLE), 0);
  expect([low, high]).toEqual([-72, 72]);
  expect(widened(scaleOf(ANGLE), 180)).toEqual([108, 180]);
});

test("values are read with their units", () => {
  expect(readable(12.345, ANGLE)).toBe("12.35°");
  expect(readable(-3, ANGLE)).toBe("−3°");
  expect(readable([-15, 15], ANGLE)).toBe("−15 to 15°");
  expect(readable(defaultOf(SIGMA), SIGMA)).toBe("0.5 to 2 px");
  expect(readable("a".repeat(32))).toBe("aaaaaaaa…");
  expect(readable(true)).toBe("yes");
});

test("a search finds by title first, then by what is told, and says what family it is", () => {
  const found = (wanted: string): string[] => CATALOGUE.families(wanted).flatMap((group) => group.transforms.map((one) => one.name));
  expect(found("lens")).toEqual(["lens", "soften"]);
  expect(found("quality blur")).toEqual(["soften"]);
  expect(found("nothing")).toEqual([]);
  expect(found("")).toHaveLength(5);
});

test("further pictures are asked for as many as the hungriest step that is on takes", () => {
  const pipeline = readPipeline('[{"transform": "either", "steps": [{"transform": "put_four"}]}]');
  expect(CATALOGUE.furtherWanted(pipeline)).toBe(3);
  expect(CATALOGUE.furtherWanted(readPipeline('[{"transform": "put_four", "probability": 0}]'))).toBe(0);
});

test("what was drawn is told in the catalogue's words, with the most telling value first", () => {
  const recipe = create(RecipeSchema, { steps: [{ transform: "turn", parameters: { angle: 12.5, noise: "ab".repeat(16) }, path: [0] }] });
  expect(stepsDone(recipe, CATALOGUE)).toMatchObject([
    {
      title: "Turn",
      brief: "12.5°",
      path: [0],
      values: [
        { title: "Angle", text: "12.5°" },
        { title: "Noise", text: "abababab…" },
      ],
    },
  ]);
});

test("several values that were drawn for one parameter are not told as a range", () => {
  const recipe = create(RecipeSchema, { steps: [{ transform: "turn", parameters: { angle: [10, 20] }, path: [0] }] });
  expect(stepsDone(recipe, CATALOGUE)).toMatchObject([{ brief: "", values: [{ title: "Angle", text: "10°, 20°" }] }]);
});

// --- taking back ---

test("changes are taken back one by one, a slider's as one, and done again until something else is done", () => {
  let now = 0;
  const changes = new Changes("a", () => now);
  changes.make("b");
  for (const value of ["c1", "c2", "c3"]) {
    now += 100;
    changes.make(value, "slider");
  }
  now += 5000;
  changes.make("d", "slider");
  const back: string[] = [];
  while (changes.undo()) back.push(changes.now.value);
  expect(back).toEqual(["c3", "b", "a"]);
  expect(changes.redo()).toBe(true);
  expect(changes.depth.value).toEqual({ undo: 1, redo: 2 });
  changes.make("e");
  expect(changes.redo()).toBe(false);
});

// --- labels ---

const COCO = JSON.stringify({
  images: [
    { id: 1, file_name: "train/one.jpg", width: 10, height: 10 },
    { id: 2, file_name: "two.jpg", width: 10, height: 10 },
  ],
  categories: [{ id: 7, name: "cat", keypoints: ["nose", "tail"] }],
  annotations: [
    { id: 1, image_id: 2, category_id: 7, bbox: [1, 2, 3, 4], segmentation: [[0, 0, 4, 0, 4, 4]], keypoints: [1, 1, 2, 0, 0, 0] },
    { id: 2, image_id: 1, category_id: 7, bbox: [0, 0, 1, 1], keypoints: [5, 6, 1] },
  ],
});

test("a COCO file gives the labels of the picture that is shown", () => {
  const labels = readLabels(COCO, "two.jpg");
  expect(labels.boxes).toMatchObject([{ label: "cat", x: 1, y: 2, width: 3, height: 4 }]);
  expect(labels.polygons[0]?.rings[0]?.points).toMatchObject([{ x: 0 }, { x: 4 }, { y: 4 }]);
  expect(labels.keypoints.map((one) => [one.label, one.visibility])).toEqual([
    ["nose", Visibility.VISIBLE],
    ["tail", Visibility.ABSENT],
  ]);
  const others = readLabels(COCO, "/home/me/one.jpg");
  expect(labelCount(others)).toBe(2);
  expect(others.keypoints).toMatchObject([{ label: "nose", x: 5, y: 6, visibility: Visibility.HIDDEN }]);
  expect(() => readLabels(COCO, "three.jpg")).toThrow("none of them called “three.jpg”");
});

test.each(["[]", "nonsense", '{"boxes": [{"left": 1}]}'])("a text without labels is refused: %s", (text) => {
  expect(() => readLabels(text)).toThrow(NoLabels);
});

test("labels are drawn from any corner, changed and removed", () => {
  const box = boxBetween({ x: 30, y: 40 }, { x: 10, y: 20 }, "cat");
  expect(box).toMatchObject({ x: 10, y: 20, width: 20, height: 20 });
  expect(boxBetween({ x: 1, y: 1 }, { x: 1.5, y: 9 }, "thin")).toBeNull();
  expect(
    polygonOf(
      [
        { x: 0, y: 0 },
        { x: 1, y: 1 },
      ],
      "two",
    ),
  ).toBeNull();
  if (!box) return;
  const one = withLabel(NO_LABELS, { kind: "box", label: box });
  expect(withChanged(one, { kind: "box", index: 0 }, { label: "dog", x: 5 }).boxes).toMatchObject([{ label: "dog", x: 5, width: 20 }]);
  expect(labelCount(withoutLabel(one, { kind: "box", index: 0 }))).toBe(0);
  expect(labelCount(NO_LABELS)).toBe(0);
});

test("what is written as COCO is read as the same labels", () => {
  const labels = readLabels(COCO, "two.jpg");
  const again = readLabels(JSON.stringify(cocoOf([{ name: "two.jpg", width: 10, height: 10, labels }])), "two.jpg");
  expect(again.boxes.filter((one) => one.label === "cat")[0]).toMatchObject({ x: 1, y: 2, width: 3, height: 4 });
  expect(again.polygons).toHaveLength(1);
  expect(again.keypoints.find((one) => one.label === "nose")).toMatchObject({ x: 1, y: 1, visibility: Visibility.VISIBLE });
});

// --- files ---

test("files are called after the picture, the seed and the copy, and end as what they are", async () => {
  const question = {
    source: { kind: "address", address: "https://x.org/a/My%20Cat.JPG?size=9" } as Source,
    labels: NO_LABELS,
    pipeline: EMPTY,
    seed: 7,
    count: 2,
    further: [],
  };
  const one = create(AugmentedSchema, { copy: 3, mediaType: "image/webp", image: new Uint8Array([1, 2, 3]), width: 4, height: 5 });
  expect(fileName(question, one)).toBe("My-Cat-7-3.webp");
  expect(stemOf({ kind: "file", key: "k", file: null, name: "../..\\..\\.hidden" })).toBe("hidden");
  const files = unzipSync(archive(question, [one]));
  expect(Object.keys(files).toSorted()).toEqual(["coco.json", "images/My-Cat-7-3.webp", "labels.json", "pipeline.json", "recipes.json"]);
  expect(files["images/My-Cat-7-3.webp"]).toEqual(one.image);
});

test("a file is refused before it is sent when the mesh would not take it", async () => {
  const gif = new Blob([new TextEncoder().encode("GIF89a and more of it")]);
  expect(await fileProblem(gif, "a.gif")).toBeNull();
  expect(await fileProblem(new Blob(["Dear all, here"]), "letter.png")).toContain("“letter.png” is no JPEG, PNG, GIF");
  expect(await fileProblem(new Blob([]), "")).toBe("This is empty.");
});

// --- asking ---

interface Call {
  readonly question: string;
  readonly signal: AbortSignal;
  readonly answer: (reply: string) => Promise<void>;
  readonly refuse: (error: unknown) => Promise<void>;
}

function bench(): { calls: Call[]; previewer: Previewer<string, string> } {
  const calls: Call[] = [];
  const previewer = new Previewer<string, string>(
    (question, signal) =>
      new Promise<string>((resolve, reject) => {
        const settle = async (work: () => void): Promise<void> => {
          work();
          await vi.advanceTimersByTimeAsync(0);
        };
        calls.push({ question, signal, answer: (reply) => settle(() => resolve(reply)), refuse: (error) => settle(() => reject(error)) });
      }),
    () => Date.now(),
  );
  return { calls, previewer };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("a slider that moves asks now and then, and at its end once for good", async () => {
  const { calls, previewer } = bench();
  for (let moved = 0; moved < 30; moved += 1) {
    previewer.soon(`at ${moved}`);
    await vi.advanceTimersByTimeAsync(30);
    if (calls.length > 0) await calls.at(-1)?.answer(`of ${calls.at(-1)?.question}`);
  }
  expect(calls.length).toBeLessThanOrEqual(3);
  await vi.advanceTimersByTimeAsync(500);
  expect(calls.at(-1)?.question).toBe("at 29");
  await calls.at(-1)?.answer("the end");
  expect(previewer.shown.value?.reply).toBe("the end");
  expect(previewer.asking.value).toBe(false);
});

test("a single change is asked about at once, and once; when that fails for want of a worker, again", async () => {
  const { calls, previewer } = bench();
  previewer.soon("one");
  expect(calls).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(5000);
  expect(calls).toHaveLength(1);
  await calls[0]?.answer("first");
  expect(previewer.asking.value).toBe(false);
  await vi.advanceTimersByTimeAsync(1000);
  previewer.soon("two");
  await calls[1]?.refuse(new ConnectError("away", Code.Unavailable));
  await vi.advanceTimersByTimeAsync(3000);
  expect(calls.map((call) => call.question)).toEqual(["one", "two", "two"]);
});

test("an outdated call is broken off, and what it answers late changes nothing", async () => {
  const { calls, previewer } = bench();
  previewer.send("one");
  previewer.send("two");
  expect(calls[0]?.signal.aborted).toBe(true);
  await calls[1]?.answer("second");
  await calls[0]?.answer("first");
  expect(previewer.shown.value).toMatchObject({ question: "two", reply: "second" });
});

test("what was shown stays while the next is asked and when it fails", async () => {
  const { calls, previewer } = bench();
  previewer.send("one");
  await calls[0]?.answer("first");
  previewer.send("two");
  expect(previewer.shown.value?.reply).toBe("first");
  await calls[1]?.refuse(new ConnectError("no", Code.InvalidArgument));
  expect(previewer.shown.value?.reply).toBe("first");
  expect(previewer.setback.value).toMatchObject({ question: "two", againAt: null });
});

test("a call for which there is no worker is made again when the mesh says so", async () => {
  const { calls, previewer } = bench();
  previewer.send("one");
  const busy = new ConnectError("all places are taken", Code.ResourceExhausted, undefined, [
    { desc: ErrorInfoSchema, value: { reason: "WORKERS_BUSY", domain: "labelmesh" } },
    { desc: RetryInfoSchema, value: { retryDelay: { seconds: 2n, nanos: 0 } } },
  ]);
  await calls[0]?.refuse(busy);
  expect(previewer.setback.value?.againAt).toBe(Date.now() + 2000);
  await vi.advanceTimersByTimeAsync(1900);
  expect(calls).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(200);
  await calls[1]?.answer("at last");
  expect(previewer.setback.value).toBeNull();
  expect(previewer.shown.value?.reply).toBe("at last");
});
