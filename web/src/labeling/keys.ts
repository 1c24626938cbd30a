// Which key does what on the labeling page. A project's own keys come first; ours step aside.
import type { LabelClass } from "../gen/labelmesh/labeling/v1/projects_pb";

export type Command =
  | { readonly do: "label"; readonly classId: string }
  | { readonly do: "skip" | "undo" | "help" | "smooth" | "filter" | "suggest" | "accept" };

export interface KeyPress {
  readonly key: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly altKey: boolean;
  readonly repeat: boolean;
}

const OURS: Record<string, Exclude<Command["do"], "label">> = {
  s: "skip",
  ArrowRight: "skip",
  z: "undo",
  Backspace: "undo",
  ArrowLeft: "undo",
  "?": "help",
  p: "smooth",
  m: "suggest",
  Enter: "accept",
  "/": "filter",
};

/** What a key press asks for; null when it is not ours. */
export function commandOf(press: KeyPress, classes: readonly LabelClass[]): Command | null {
  if (press.repeat) return null;
  if (press.ctrlKey || press.metaKey) return press.key.toLowerCase() === "z" && !press.altKey ? { do: "undo" } : null;
  if (press.altKey) return null;
  const chosen =
    classes.find((one) => one.hotkey !== "" && one.hotkey === press.key) ??
    classes.find((one) => one.hotkey !== "" && one.hotkey.toLowerCase() === press.key.toLowerCase());
  if (chosen) return { do: "label", classId: chosen.id };
  const ours = OURS[press.key] ?? OURS[press.key.toLowerCase()];
  return ours ? { do: ours } : null;
}

/** Whether keys belong to what has the focus: somebody types there. */
export function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** Whether Enter belongs to what has the focus: a button or a link that somebody went to by keyboard. */
export function takesEnter(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("button, a, summary, label") !== null;
}
