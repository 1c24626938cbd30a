// The settings of a project while somebody edits them.
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { LabelClassSchema, Project } from "../gen/labelmesh/labeling/v1/projects_pb";
import { durationMs } from "../rpc/time";

export interface ClassDraft {
  /** Keeps rows apart while they are edited. */
  readonly row: number;
  readonly id: string;
  readonly displayName: string;
  readonly hotkey: string;
  readonly color: string;
  /** Classes that exist keep their id: annotations name it. */
  readonly exists: boolean;
}

let rows = 0;

export function newClass(displayName = "", hotkey = ""): ClassDraft {
  rows += 1;
  return { row: rows, id: "", displayName, hotkey, color: "", exists: false };
}

export function classDrafts(project: Project): ClassDraft[] {
  return project.classes.map((one) => ({ ...newClass(one.displayName || one.id, one.hotkey), id: one.id, color: one.color, exists: true }));
}

/** A stable id made of a name: letters, digits, dot, dash, underscore, at most 64; never empty unless the name is. */
export function idOf(name: string): string {
  const plain = name
    .trim()
    .normalize("NFKD")
    .replace(/[\u0300-\u036f]/g, "")
    .toLowerCase();
  const id = plain
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 64);
  if (id !== "" || plain === "") return id;
  return [...plain]
    .map((letter) => (letter.codePointAt(0) ?? 0).toString(16))
    .join("-")
    .slice(0, 64);
}

/** Rows of a pasted list: one class a line, or separated by commas. */
export function classesOf(text: string): ClassDraft[] {
  const names = text
    .split(/[\n,;]/)
    .map((name) => name.trim())
    .filter((name) => name !== "");
  return withHotkeys(names.map((name) => newClass(name)));
}

/** Gives each class without a key one: its own name when that is one character, else the next digit that is free. */
export function withHotkeys(classes: readonly ClassDraft[]): ClassDraft[] {
  const taken = new Set(classes.map((one) => one.hotkey).filter((key) => key !== ""));
  const digits = [..."1234567890"];
  return classes.map((one) => {
    if (one.hotkey !== "") return one;
    const own = one.displayName.length === 1 && !taken.has(one.displayName) ? one.displayName : undefined;
    const key = own ?? digits.find((digit) => !taken.has(digit)) ?? "";
    if (key !== "") taken.add(key);
    return { ...one, hotkey: key };
  });
}

/** What is wrong with the classes, as sentences; empty when nothing is. */
export function classProblems(classes: readonly ClassDraft[]): string[] {
  const problems = new Set<string>();
  const ids = new Set<string>();
  const keys = new Set<string>();
  if (classes.length === 0) problems.add("A project needs at least one class.");
  for (const one of classes) {
    const id = one.id || idOf(one.displayName);
    if (id === "") problems.add("Every class needs a name.");
    else if (ids.has(id)) problems.add(`There are two classes called “${one.displayName || id}”.`);
    ids.add(id);
    if (one.hotkey !== "" && keys.has(one.hotkey)) problems.add(`The key “${one.hotkey}” belongs to two classes.`);
    keys.add(one.hotkey);
  }
  return [...problems];
}

/** Whether two states of a project have the same settings; how far its work is and whether it is open are none. */
export function sameSettings(one: Project, other: Project): boolean {
  const told = (project: Project): string =>
    JSON.stringify([
      project.displayName,
      project.description,
      project.access,
      project.repeatRate,
      project.suggestionModel,
      durationMs(project.leaseDuration),
      project.classes.map((each) => [each.id, each.displayName, each.hotkey, each.color]),
    ]);
  return told(one) === told(other);
}

export function wireClasses(classes: readonly ClassDraft[]): MessageInitShape<typeof LabelClassSchema>[] {
  return classes.map((one) => ({
    id: one.id || idOf(one.displayName),
    displayName: one.displayName.trim(),
    hotkey: one.hotkey,
    color: one.color,
  }));
}
