import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { LabelClassSchema } from "../src/gen/labelmesh/labeling/v1/projects_pb";
import { commandOf } from "../src/labeling/keys";

const press = (key: string, held: { ctrlKey?: boolean; repeat?: boolean; altKey?: boolean } = {}) => ({
  key,
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  repeat: false,
  ...held,
});
const classes = ["7", "s", "B"].map((hotkey) => create(LabelClassSchema, { id: `class-${hotkey}`, hotkey }));

test("a class's own key chooses it, in either case", () => {
  expect(commandOf(press("7"), classes)).toEqual({ do: "label", classId: "class-7" });
  expect(commandOf(press("b"), classes)).toEqual({ do: "label", classId: "class-B" });
});

test("a project's keys come before ours, and the arrows still work", () => {
  expect(commandOf(press("s"), classes)).toEqual({ do: "label", classId: "class-s" });
  expect(commandOf(press("s"), [])).toEqual({ do: "skip" });
  expect(commandOf(press("ArrowRight"), classes)).toEqual({ do: "skip" });
});

test("undo listens to the keys that people try", () => {
  for (const key of [press("z"), press("Z"), press("z", { ctrlKey: true }), press("Backspace"), press("ArrowLeft")]) {
    expect(commandOf(key, classes)).toEqual({ do: "undo" });
  }
});

test("a key that is held down labels once, and the browser's own shortcuts stay its own", () => {
  expect(commandOf(press("7", { repeat: true }), classes)).toBeNull();
  expect(commandOf(press("7", { ctrlKey: true }), classes)).toBeNull();
  expect(commandOf(press("7", { altKey: true }), classes)).toBeNull();
  expect(commandOf(press("Tab"), classes)).toBeNull();
});

test("the keys of suggestions step aside for a project's own, and Enter always accepts", () => {
  expect(commandOf(press("m"), [])).toEqual({ do: "suggest" });
  expect(commandOf(press("p"), [])).toEqual({ do: "smooth" });
  expect(commandOf(press("Enter"), classes)).toEqual({ do: "accept" });
  const own = [create(LabelClassSchema, { id: "moose", hotkey: "m" })];
  expect(commandOf(press("m"), own)).toEqual({ do: "label", classId: "moose" });
});
