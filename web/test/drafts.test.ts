import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ProjectSchema, ProjectState } from "../src/gen/labelmesh/labeling/v1/projects_pb";
import { classesOf, classProblems, idOf, newClass, sameSettings, wireClasses, withHotkeys } from "../src/projects/draft";
import { batches } from "../src/projects/upload";

test("ids are made of names and fit the contract", () => {
  expect(idOf("Roe deer (female)")).toBe("roe-deer-female");
  expect(idOf("Größe")).toBe("gro-e");
  for (const name of ["Ünïcode", "狐", "a".repeat(200), "x/y z"]) expect(idOf(name)).toMatch(/^[A-Za-z0-9._-]{1,64}$/);
});

test("a pasted list becomes classes with keys of their own", () => {
  const classes = classesOf("0\n1\nfox, badger");
  expect(wireClasses(classes).map((one) => [one.id, one.hotkey])).toEqual([
    ["0", "0"],
    ["1", "1"],
    ["fox", "2"],
    ["badger", "3"],
  ]);
});

test("keys that are given stay, and none is given twice", () => {
  const classes = withHotkeys([newClass("a", "1"), newClass("long"), newClass("b")]);
  expect(classes.map((one) => one.hotkey)).toEqual(["1", "2", "b"]);
});

test("classes that clash are told before anything is sent", () => {
  expect(classProblems([])).toHaveLength(1);
  expect(classProblems([newClass("a"), newClass("A")])).toEqual(["There are two classes called “A”."]);
  expect(classProblems([newClass("a", "1"), newClass("b", "1")])).toEqual(["The key “1” belongs to two classes."]);
  expect(classProblems([newClass("a", "1"), newClass("b")])).toEqual([]);
});

test("no batch of files exceeds the limits and every file is in one", () => {
  const files = [3, 3, 9, 1, 1, 1].map((size) => ({ size }));
  const made = batches(files, 6, 2);
  expect(made.map((batch) => batch.map((file) => file.size))).toEqual([[3, 3], [9], [1, 1], [1]]);
});

test("settings are the same while only the work goes on or the project closes, and differ with each of them", () => {
  const before = { displayName: "Leaves", repeatRate: 0.1, classes: [{ id: "oak", hotkey: "1" }], imagesCount: 1n, etag: '"1"' };
  const project = create(ProjectSchema, before);
  expect(sameSettings(project, create(ProjectSchema, { ...before, imagesCount: 9n, state: ProjectState.CLOSED, etag: '"2"' }))).toBe(true);
  for (const change of [
    { displayName: "Moss" },
    { repeatRate: 0.2 },
    { classes: [{ id: "oak", hotkey: "2" }] },
    { leaseDuration: { seconds: 9n } },
  ])
    expect(sameSettings(project, create(ProjectSchema, { ...before, ...change }))).toBe(false);
});
