// A drawing as pixels: on the page, and as the file that is sent.
import { type Drawing, frameOf, PEN, type Point, SHEET, type Square } from "./drawing";

const PAPER = "#ffffff";
const INK = "#10141c";
const CURSOR = "#14695e";
/** Pixels a side of the file: models of digits shrink it, others see enough. */
const FILE_SIDE = 224;

export function paint(canvas: HTMLCanvasElement, drawing: Drawing, frame: Square, cursor: Point | null = null): void {
  const pencil = canvas.getContext("2d");
  if (!pencil) return;
  const scale = canvas.width / frame.side;
  pencil.setTransform(1, 0, 0, 1, 0, 0);
  pencil.fillStyle = PAPER;
  pencil.fillRect(0, 0, canvas.width, canvas.height);
  pencil.setTransform(scale, 0, 0, scale, -frame.x * scale, -frame.y * scale);
  pencil.strokeStyle = INK;
  pencil.lineWidth = PEN;
  pencil.lineCap = "round";
  pencil.lineJoin = "round";
  for (const stroke of drawing.strokes) {
    pencil.beginPath();
    stroke.forEach((point, index) => {
      if (index === 0) pencil.moveTo(point.x, point.y);
      else pencil.lineTo(point.x, point.y);
    });
    const only = stroke.length === 1 ? stroke[0] : undefined;
    if (only) pencil.lineTo(only.x + 0.01, only.y);
    pencil.stroke();
  }
  if (!cursor) return;
  pencil.strokeStyle = CURSOR;
  pencil.lineWidth = 2;
  pencil.beginPath();
  pencil.arc(cursor.x, cursor.y, PEN / 2, 0, 2 * Math.PI);
  pencil.stroke();
}

export function paintSheet(canvas: HTMLCanvasElement, drawing: Drawing, cursor: Point | null): void {
  paint(canvas, drawing, { x: 0, y: 0, side: SHEET }, cursor);
}

/** The drawing as a PNG file. Encoded at once: `toBlob` waits until the browser is idle, up to a second while somebody draws. */
export function fileOf(drawing: Drawing): Uint8Array<ArrayBuffer> {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = FILE_SIDE;
  paint(canvas, drawing, frameOf(drawing));
  const encoded = canvas.toDataURL("image/png");
  return Uint8Array.from(atob(encoded.slice(encoded.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
}
