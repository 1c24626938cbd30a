// The sheet to draw on: by pen, mouse, finger, or keyboard.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { begin, clear, type Drawing, goOn, isBlank, onSheet, type Point, SHEET, undo } from "./drawing";
import { paintSheet } from "./sheet";

/** Pixels of the canvas for each unit of the sheet: crisp on fine screens. */
const FINENESS = 2;
const STEP = 8;
const LARGE_STEP = 32;
const MIDDLE: Point = { x: SHEET / 2, y: SHEET / 2 };
const ARROWS: Record<string, Point> = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
};

/** Draws; tells every change and whether the pen is off the sheet. */
export function DrawingPad(props: { drawing: Drawing; onChange: (drawing: Drawing, resting: boolean) => void }): JSX.Element {
  const { drawing, onChange } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const pen = useRef<number | null>(null);
  const latest = useRef(drawing);
  latest.current = drawing;
  const [cursor, setCursor] = useState<Point | null>(null);
  const [penDown, setPenDown] = useState(false);

  useEffect(() => {
    if (canvas.current) paintSheet(canvas.current, drawing, cursor);
  }, [drawing, cursor]);

  const change = (next: Drawing, resting: boolean): void => {
    if (next === latest.current && !resting) return;
    latest.current = next;
    onChange(next, resting);
  };
  const pointOf = (event: PointerEvent): Point => {
    const box = canvas.current?.getBoundingClientRect();
    if (!box) return MIDDLE;
    return { x: ((event.clientX - box.left) / box.width) * SHEET, y: ((event.clientY - box.top) / box.height) * SHEET };
  };
  const down = (event: PointerEvent): void => {
    if (event.button !== 0 || pen.current !== null) return;
    pen.current = event.pointerId;
    canvas.current?.setPointerCapture(event.pointerId);
    setCursor(null);
    setPenDown(false);
    change(begin(latest.current, pointOf(event)), false);
  };
  const move = (event: PointerEvent): void => {
    if (pen.current !== event.pointerId) return;
    const events = event.getCoalescedEvents?.() ?? [];
    change(goOn(latest.current, (events.length > 0 ? events : [event]).map(pointOf)), false);
  };
  const up = (event: PointerEvent): void => {
    if (pen.current !== event.pointerId) return;
    pen.current = null;
    change(latest.current, true);
  };
  const takeBack = (): void => {
    setPenDown(false);
    change(undo(latest.current), true);
  };
  const wipe = (): void => {
    setPenDown(false);
    change(clear(latest.current), true);
  };

  const key = (event: KeyboardEvent): void => {
    if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      takeBack();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key];
    if (arrow) {
      event.preventDefault();
      const from = cursor ?? MIDDLE;
      const step = event.shiftKey ? LARGE_STEP : STEP;
      const to = onSheet({ x: from.x + arrow.x * step, y: from.y + arrow.y * step });
      setCursor(to);
      if (penDown) change(goOn(latest.current, [to]), false);
    } else if (event.key === " ") {
      event.preventDefault();
      if (event.repeat) return;
      const at = cursor ?? MIDDLE;
      setCursor(at);
      setPenDown(!penDown);
      if (penDown) change(latest.current, true);
      else change(begin(latest.current, at), false);
    } else if (event.key === "Backspace") {
      event.preventDefault();
      takeBack();
    } else if (event.key === "Delete") {
      event.preventDefault();
      wipe();
    }
  };

  return (
    <div class="pad">
      <div
        class="sheet-frame"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: drawing has no element of its own, and works by keyboard here
        tabIndex={0}
        role="application"
        aria-label="Sheet to draw on"
        aria-describedby="pad-keys"
        onKeyDown={key}
        onFocus={(event) => {
          if (event.currentTarget.matches(":focus-visible")) setCursor((now) => now ?? MIDDLE);
        }}
        onBlur={() => {
          if (penDown) change(latest.current, true);
          setPenDown(false);
          setCursor(null);
        }}
      >
        <canvas
          ref={canvas}
          class="sheet"
          width={SHEET * FINENESS}
          height={SHEET * FINENESS}
          data-testid="sheet"
          onPointerDown={down}
          onPointerMove={move}
          onPointerUp={up}
          onPointerCancel={up}
        />
        {isBlank(drawing) && !cursor && (
          <p class="pad-invitation" aria-hidden="true">
            Draw here
          </p>
        )}
      </div>
      <p id="pad-keys" class="unseen">
        Arrow keys move the pen, with Shift further. The space bar puts it down and lifts it. Backspace takes the last line back, Delete
        clears the sheet.
      </p>
      <p class="unseen" role="status">
        {cursor && (penDown ? "The pen is down." : "The pen is up.")}
      </p>
      <div class="actions start">
        <button type="button" disabled={drawing.before.length === 0} onClick={takeBack}>
          Undo
        </button>
        <button type="button" disabled={isBlank(drawing)} onClick={wipe}>
          Clear
        </button>
      </div>
    </div>
  );
}
