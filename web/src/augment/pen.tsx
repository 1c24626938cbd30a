// The pen over a picture: boxes, polygons and points with the pointer.
import type { JSX, TargetedPointerEvent } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { boxBetween, type Drawn, type Kind, keypointAt, polygonOf, type XY } from "./labels";

/** So near to the first corner ends a polygon, in pixels of the screen. */
const NEAR = 10;

/** For those who do not draw: a label to be moved by its numbers. */
export function inTheMiddle(tool: Kind, name: string, width: number, height: number): Drawn | null {
  const [x, y] = [width / 2, height / 2];
  if (tool === "keypoint") return { kind: "keypoint", label: keypointAt({ x, y }, name) };
  const [a, b] = [
    { x: width * 0.3, y: height * 0.3 },
    { x: width * 0.7, y: height * 0.7 },
  ];
  if (tool === "box") {
    const label = boxBetween(a, b, name);
    return label && { kind: "box", label };
  }
  const label = polygonOf(
    [
      { x, y: a.y },
      { x: b.x, y },
      { x, y: b.y },
      { x: a.x, y },
    ],
    name,
  );
  return label && { kind: "polygon", label };
}

/** Takes the pointer over the picture, in the picture's own pixels. */
export function Pen(props: {
  tool: Kind;
  name: string;
  width: number;
  height: number;
  onDrawn: (drawn: Drawn | null) => void;
}): JSX.Element {
  const { tool, name, width, height } = props;
  const sheet = useRef<SVGSVGElement>(null);
  const [from, setFrom] = useState<XY | null>(null);
  const [to, setTo] = useState<XY | null>(null);
  const [corners, setCorners] = useState<readonly XY[]>([]);
  const drop = (): void => {
    setFrom(null);
    setTo(null);
    setCorners([]);
  };
  const finish = (points: readonly XY[]): void => {
    const label = polygonOf(points, name);
    drop();
    props.onDrawn(label && { kind: "polygon", label });
  };
  const latest = useRef({ corners, finish });
  latest.current = { corners, finish };
  useEffect(drop, [tool]);
  useEffect(() => {
    const keys = (event: KeyboardEvent): void => {
      if (event.target instanceof HTMLInputElement || document.querySelector("dialog[open]")) return;
      if (event.key === "Escape") drop();
      if (event.key === "Enter" && latest.current.corners.length >= 3) {
        event.preventDefault();
        latest.current.finish(latest.current.corners);
      }
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, []);
  const at = (event: TargetedPointerEvent<SVGSVGElement>): XY => {
    const box = event.currentTarget.getBoundingClientRect();
    const share = (value: number): number => Math.max(0, Math.min(1, value));
    return { x: share((event.clientX - box.left) / box.width) * width, y: share((event.clientY - box.top) / box.height) * height };
  };
  const near = (a: XY, b: XY): boolean => {
    const box = sheet.current?.getBoundingClientRect();
    if (!box) return false;
    return Math.hypot(((a.x - b.x) / width) * box.width, ((a.y - b.y) / height) * box.height) < NEAR;
  };
  const down = (event: TargetedPointerEvent<SVGSVGElement>): void => {
    if (event.button !== 0) return;
    event.preventDefault();
    const here = at(event);
    if (tool === "keypoint") {
      props.onDrawn({ kind: "keypoint", label: keypointAt(here, name) });
      return;
    }
    if (tool === "box") {
      event.currentTarget.setPointerCapture(event.pointerId);
      setFrom(here);
      setTo(here);
      return;
    }
    const [first] = corners;
    const last = corners.at(-1);
    if (corners.length >= 3 && first && (near(first, here) || (last && near(last, here)))) finish(corners);
    else if (!last || !near(last, here)) setCorners([...corners, here]);
  };
  const up = (event: TargetedPointerEvent<SVGSVGElement>): void => {
    if (tool !== "box" || !from) return;
    const label = boxBetween(from, at(event), name);
    drop();
    props.onDrawn(label && { kind: "box", label });
  };
  const line = to && corners.length > 0 ? [...corners, to] : corners;
  return (
    <svg
      ref={sheet}
      class="pen"
      data-testid="pen"
      aria-hidden="true"
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      onPointerDown={down}
      onPointerMove={(event) => {
        if (from || corners.length > 0) setTo(at(event));
      }}
      onPointerUp={up}
      onPointerCancel={drop}
    >
      {tool === "box" && from && to && (
        <rect x={Math.min(from.x, to.x)} y={Math.min(from.y, to.y)} width={Math.abs(from.x - to.x)} height={Math.abs(from.y - to.y)} />
      )}
      {tool === "polygon" && line.length > 0 && <polyline points={line.map(({ x, y }) => `${x},${y}`).join(" ")} />}
      {tool === "polygon" && corners.map((one) => <path key={`${one.x} ${one.y}`} class="corner" d={`M${one.x} ${one.y}h0`} />)}
    </svg>
  );
}
