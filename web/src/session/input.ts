// What counts as a person's input: real events of a pointer, a key, a wheel or a finger, never what a script made up.

const INPUT = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"] as const;
/** Moves come hundreds of times a second; one of them is enough for this long. */
const QUIET_MS = 250;

/** Calls `happened` when the person does something on this page. */
export function watchInput(happened: () => void): void {
  let last = Number.NEGATIVE_INFINITY;
  for (const kind of INPUT) {
    addEventListener(
      kind,
      (event) => {
        if (!event.isTrusted || performance.now() - last < QUIET_MS) return;
        last = performance.now();
        happened();
      },
      { passive: true, capture: true },
    );
  }
}
