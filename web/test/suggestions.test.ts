import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { signal } from "@preact/signals";
import { expect, test } from "vitest";
import { PredictionSchema } from "../src/gen/labelmesh/inference/v1/predictions_pb";
import { LeaseSchema } from "../src/gen/labelmesh/labeling/v1/annotations_pb";
import { LabelClassSchema } from "../src/gen/labelmesh/labeling/v1/projects_pb";
import type { Held } from "../src/labeling/held";
import { Suggestions, suggestionOf } from "../src/labeling/suggestions";
import { until } from "./clock";

const classes = [create(LabelClassSchema, { id: "7", displayName: "seven" }), create(LabelClassSchema, { id: "c-1", displayName: "fox" })];
const saying = (label: string, id = "prediction") =>
  create(PredictionSchema, { id, result: { result: { case: "classification", value: { classes: [{ label, score: 0.9 }] } } } });

function held(image: string): Held {
  const lease = create(LeaseSchema, { id: `lease-${image}`, imageUrl: `/objects/${image}.png?signature=${Math.random()}` });
  return { lease, picture: Promise.resolve({} as HTMLImageElement), pictureState: signal("ready"), shownAt: signal(null) };
}

class Model {
  readonly asked: string[] = [];
  readonly told: [string, boolean, string][] = [];
  readonly faults: ConnectError[] = [];
  predict = async (imageUrl: string) => {
    const image = imageUrl.replace(/^\/objects\/|\.png.*$/g, "");
    this.asked.push(image);
    const fault = this.faults.shift();
    if (fault) throw fault;
    return saying("7", `of ${image}`);
  };
  feedback = async (id: string, correct: boolean, label: string) => void this.told.push([id, correct, label]);
}

test("a model's label means the class of that id, else of that name", () => {
  expect(suggestionOf(saying("7"), classes)?.classId).toBe("7");
  const fox = suggestionOf(saying("fox"), classes);
  expect(fox?.classId).toBe("c-1");
  expect(fox?.labelOf("7")).toBe("seven");
  expect(suggestionOf(saying("badger"), classes)).toBeNull();
});

test("the image on screen is asked about first, the next one ahead of its turn, each once", async () => {
  const model = new Model();
  const suggestions = new Suggestions(model, classes);
  const [one, two, three] = [held("a"), held("b"), held("c")];
  suggestions.want([one, two]);
  await until(() => suggestions.of(two.lease.imageUrl) !== null, "the suggestion ahead");
  suggestions.want([two, three]);
  await until(() => suggestions.of(three.lease.imageUrl) !== null, "the next suggestion");
  expect(model.asked).toEqual(["a", "b", "c"]);
});

test("after a label the model is told whether it was right, and what it was", async () => {
  const model = new Model();
  const suggestions = new Suggestions(model, classes);
  const [one, two] = [held("a"), held("b")];
  suggestions.want([one, two]);
  await until(() => suggestions.of(two.lease.imageUrl) !== null, "the suggestions");
  suggestions.labeled(one.lease.imageUrl, "7");
  suggestions.labeled(two.lease.imageUrl, "c-1");
  suggestions.labeled("/objects/unknown.png", "7");
  expect(model.told).toEqual([
    ["of a", true, "7"],
    ["of b", false, "c-1"],
  ]);
});

test("an undone label is told again of the same prediction", async () => {
  const model = new Model();
  const suggestions = new Suggestions(model, classes);
  suggestions.want([held("a")]);
  await until(() => suggestions.of("/objects/a.png") !== null, "the suggestion");
  suggestions.labeled("/objects/a.png?x", "c-1");
  suggestions.want([held("b")]);
  suggestions.want([held("a"), held("b")]);
  suggestions.labeled("/objects/a.png?y", "7");
  await until(() => model.asked.includes("b"), "the other image");
  expect(model.asked.filter((image) => image === "a")).toHaveLength(1);
  expect(model.told.at(-1)).toEqual(["of a", true, "7"]);
});

test("an image that comes back as a repeat is asked about like a new one", async () => {
  const model = new Model();
  const suggestions = new Suggestions(model, classes);
  for (const image of ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "a"]) {
    const now = held(image);
    suggestions.want([now]);
    await until(() => suggestions.of(now.lease.imageUrl) !== null, image);
    suggestions.labeled(now.lease.imageUrl, "7");
  }
  expect(model.asked.filter((image) => image === "a")).toHaveLength(2);
});

test("a model that is away is said to be, and a picture that it cannot take holds up no other", async () => {
  const model = new Model();
  const suggestions = new Suggestions(model, classes);
  model.faults.push(new ConnectError("no image", Code.InvalidArgument));
  const two = held("b");
  suggestions.want([held("a"), two]);
  await until(() => suggestions.of(two.lease.imageUrl) !== null, "the other");
  expect(suggestions.away.value).toBe(false);
  model.faults.push(new ConnectError("away", Code.Unavailable));
  suggestions.want([held("c")]);
  await until(() => suggestions.away.value, "the absence");
  suggestions.stop();
});
