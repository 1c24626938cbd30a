import { expect, test } from "vitest";
import { cameraProblem } from "../src/predict/camera";
import { begin, clear, EMPTY, frameOf, goOn, isBlank, PEN, SHEET, undo } from "../src/predict/drawing";
import { addressIn, fileProblem, kindOf } from "../src/predict/files";

const seven = goOn(begin(EMPTY, { x: 60, y: 60 }), [
  { x: 200, y: 60 },
  { x: 120, y: 240 },
]);

test("undo takes back stroke after stroke, and clearing too", () => {
  const crossed = goOn(begin(seven, { x: 90, y: 150 }), [{ x: 190, y: 150 }]);
  expect(undo(crossed).strokes).toEqual(seven.strokes);
  expect(undo(clear(crossed)).strokes).toEqual(crossed.strokes);
  expect(isBlank(undo(seven))).toBe(true);
  expect(undo(EMPTY)).toBe(EMPTY);
  expect(clear(EMPTY)).toBe(EMPTY);
});

test("a pen that does not move changes nothing, and none leaves the sheet", () => {
  expect(goOn(seven, [{ x: 120, y: 240.2 }])).toBe(seven);
  const out = goOn(seven, [{ x: -50, y: 2 * SHEET }]);
  expect(out.strokes[0]?.at(-1)).toEqual({ x: 0, y: SHEET });
});

test("what is sent has the ink in its middle, wherever and however small it was drawn", () => {
  const frame = frameOf(seven);
  expect(frame.x + frame.side / 2).toBeCloseTo(130);
  expect(frame.y + frame.side / 2).toBeCloseTo(150);
  expect(frame.side).toBeGreaterThan(180 + PEN);
  const dot = frameOf(begin(EMPTY, { x: 5, y: 5 }));
  expect(dot.side).toBeGreaterThan(4 * PEN);
  expect(frameOf(EMPTY)).toEqual({ x: 0, y: 0, side: SHEET });
});

test("files are known by their first bytes, not by their names", async () => {
  const png = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0]);
  expect(kindOf(png)).toBe("image/png");
  expect(kindOf(new Uint8Array([0xff, 0xd8, 0xff, 0xe0]))).toBe("image/jpeg");
  expect(await fileProblem(new Blob([png]), "a.png")).toBeNull();
  expect(await fileProblem(new Blob(["hello"]), "letter.png")).toContain("is no JPEG or PNG file");
  expect(await fileProblem(new Blob([]), "")).toBe("This is empty.");
  expect(await fileProblem(new Blob([new Uint8Array(16 * 1024 * 1024 + 1)]), "big.png")).toContain("larger than 16 MiB");
});

test("only http and https are addresses", () => {
  expect(addressIn(" https://example.org/a.png ")).toBe("https://example.org/a.png");
  for (const text of ["file:///etc/passwd", "example.org/a.png", "https://a b", ""]) expect(addressIn(text)).toBeNull();
});

test("a refused camera says what to do", () => {
  const refused = new DOMException("no", "NotAllowedError");
  expect(cameraProblem(refused, true)).toContain("Allow it in the browser's settings");
  expect(cameraProblem(refused, false)).toContain("https");
  expect(cameraProblem(new DOMException("none", "NotFoundError"), true)).toContain("No camera was found");
});
