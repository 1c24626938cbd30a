// Labels drawn over a picture, in the coordinates of the picture in full.
import type { JSX } from "preact";
import { type Labels, Visibility } from "../gen/labelmesh/augment/v1/labels_pb";
import { cornersOf, type Which, type XY } from "./labels";

/** The same colour for the same name, on every picture. */
export function colourOfName(name: string): string {
  let hash = 2166136261;
  for (const one of name) hash = Math.imul(hash ^ (one.codePointAt(0) ?? 0), 16777619) >>> 0;
  return `hsl(${hash % 360} 85% 58%)`;
}

const listed = (points: readonly XY[]): string => points.map(({ x, y }) => `${x.toFixed(2)},${y.toFixed(2)}`).join(" ");

export interface OverlayProps {
  labels: Labels | undefined;
  width: number;
  height: number;
  /** Whether names stand beside the shapes. */
  named?: boolean;
  chosen?: Which | null;
}

export function Overlay(props: OverlayProps): JSX.Element | null {
  const { labels, width, height } = props;
  if (!labels || width <= 0 || height <= 0) return null;
  const chosen = (kind: Which["kind"], index: number): string =>
    props.chosen?.kind === kind && props.chosen.index === index ? " chosen" : "";
  return (
    <div class="overlay" aria-hidden="true">
      <svg aria-hidden="true" viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" data-testid="overlay">
        {labels.polygons.map((polygon, index) => (
          <g key={`p${index}`} class={`shape area${chosen("polygon", index)}`} style={{ color: colourOfName(polygon.label) }}>
            {polygon.rings.map((ring, at) => (
              <polygon key={at} points={listed(ring.points)} />
            ))}
          </g>
        ))}
        {labels.boxes.map((box, index) => (
          <g key={`b${index}`} class={`shape${chosen("box", index)}`} style={{ color: colourOfName(box.label) }}>
            <polygon data-box={box.label} points={listed(cornersOf(box))} />
          </g>
        ))}
        {labels.keypoints.map((point, index) =>
          point.visibility === Visibility.OUTSIDE || point.visibility === Visibility.ABSENT ? null : (
            <g
              key={`k${index}`}
              class={`spot${point.visibility === Visibility.HIDDEN ? " covered" : ""}${chosen("keypoint", index)}`}
              style={{ color: colourOfName(point.label) }}
            >
              <path class="spot-ring" d={`M${point.x} ${point.y}h0`} />
              <path data-point={point.label} d={`M${point.x} ${point.y}h0`} />
            </g>
          ),
        )}
      </svg>
      {props.named && (
        <>
          {labels.boxes.map((box, index) => {
            const top = cornersOf(box).reduce((best, corner) => (corner.y < best.y ? corner : best));
            return (
              <Name key={`b${index}`} text={box.label} at={{ x: Math.min(...cornersOf(box).map((one) => one.x)), y: top.y }} in={props} />
            );
          })}
          {labels.polygons.map((polygon, index) => {
            const points = polygon.rings[0]?.points ?? [];
            const middle = {
              x: points.reduce((sum, one) => sum + one.x, 0) / Math.max(1, points.length),
              y: points.reduce((sum, one) => sum + one.y, 0) / Math.max(1, points.length),
            };
            return <Name key={`p${index}`} text={polygon.label} at={middle} in={props} />;
          })}
          {labels.keypoints.map((point, index) =>
            point.visibility === Visibility.OUTSIDE || point.visibility === Visibility.ABSENT ? null : (
              <Name key={`k${index}`} text={point.label} at={point} in={props} beside />
            ),
          )}
        </>
      )}
    </div>
  );
}

function Name(props: { text: string; at: XY; in: OverlayProps; beside?: boolean }): JSX.Element | null {
  if (props.text === "") return null;
  const { width, height } = props.in;
  const place = {
    left: `${Math.max(0, Math.min(96, (props.at.x / width) * 100)).toFixed(2)}%`,
    top: `${Math.max(0, Math.min(97, (props.at.y / height) * 100)).toFixed(2)}%`,
    "--label": colourOfName(props.text),
  };
  const high = props.at.y / height < 0.07 && !props.beside;
  return (
    <span class={`label-name${props.beside ? " beside" : ""}${high ? " high" : ""}`} style={place}>
      {props.text}
    </span>
  );
}

/** The labels of a picture in a sentence, for those who do not see them. */
export function labelsInWords(labels: Labels | undefined): string {
  if (!labels) return "";
  const named = (names: string[]): string => [...new Set(names.filter((name) => name !== ""))].join(", ");
  const part = (count: number, one: string, more: string, names: string[]): string =>
    count === 0 ? "" : `${count} ${count === 1 ? one : more}${named(names) === "" ? "" : ` (${named(names)})`}`;
  const seen = labels.keypoints.filter((one) => one.visibility !== Visibility.OUTSIDE && one.visibility !== Visibility.ABSENT);
  return [
    part(
      labels.boxes.length,
      "box",
      "boxes",
      labels.boxes.map((one) => one.label),
    ),
    part(
      labels.polygons.length,
      "polygon",
      "polygons",
      labels.polygons.map((one) => one.label),
    ),
    part(
      seen.length,
      "point",
      "points",
      seen.map((one) => one.label),
    ),
  ]
    .filter(Boolean)
    .join(", ");
}
