// What was drawn: strokes on a square sheet, with undo. No screen in here.

/** The sheet's side, in its own units. */
export const SHEET = 280;
/** The pen's width: as thick on the sheet as a pen's line in the digits that models are trained with. */
export const PEN = 20;

export interface Point {
  readonly x: number;
  readonly y: number;
}
export type Stroke = readonly Point[];

/** Strokes in the order they were drawn; never changed, only replaced. */
export interface Drawing {
  readonly strokes: readonly Stroke[];
  /** What undoing takes back, newest last. */
  readonly before: readonly (readonly Stroke[])[];
}

export const EMPTY: Drawing = { strokes: [], before: [] };
const UNDO_AT_MOST = 100;

function clamp(value: number): number {
  return Math.min(SHEET, Math.max(0, value));
}

export function onSheet(point: Point): Point {
  return { x: clamp(point.x), y: clamp(point.y) };
}

function changed(drawing: Drawing, strokes: readonly Stroke[]): Drawing {
  return { strokes, before: [...drawing.before, drawing.strokes].slice(-UNDO_AT_MOST) };
}

/** The pen touches the sheet. */
export function begin(drawing: Drawing, at: Point): Drawing {
  return changed(drawing, [...drawing.strokes, [onSheet(at)]]);
}

/** The pen goes on; the same drawing when it did not move. */
export function goOn(drawing: Drawing, to: readonly Point[]): Drawing {
  const last = drawing.strokes.at(-1);
  if (!last) return drawing;
  const stroke = [...last];
  for (const one of to) {
    const point = onSheet(one);
    const end = stroke.at(-1);
    if (!end || Math.hypot(point.x - end.x, point.y - end.y) >= 0.5) stroke.push(point);
  }
  return stroke.length === last.length ? drawing : { ...drawing, strokes: [...drawing.strokes.slice(0, -1), stroke] };
}

/** Takes the last stroke, or the last clearing, back. */
export function undo(drawing: Drawing): Drawing {
  const last = drawing.before.at(-1);
  return last ? { strokes: last, before: drawing.before.slice(0, -1) } : drawing;
}

export function clear(drawing: Drawing): Drawing {
  return drawing.strokes.length === 0 ? drawing : changed(drawing, []);
}

export function isBlank(drawing: Drawing): boolean {
  return drawing.strokes.length === 0;
}

export interface Square {
  readonly x: number;
  readonly y: number;
  readonly side: number;
}

/** The part of the sheet that is sent: the ink in its middle with a margin, however small or far aside somebody writes. */
export function frameOf(drawing: Drawing, margin = 0.22): Square {
  const points = drawing.strokes.flat();
  if (points.length === 0) return { x: 0, y: 0, side: SHEET };
  const xs = points.map((point) => point.x);
  const ys = points.map((point) => point.y);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  // A dot fills little of its picture: a frame is never smaller than a few widths of the pen.
  const ink = Math.max(right - left, bottom - top, 4 * PEN) + PEN;
  const side = ink / (1 - 2 * margin);
  return { x: (left + right - side) / 2, y: (top + bottom - side) / 2, side };
}
