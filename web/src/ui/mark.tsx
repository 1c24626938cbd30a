import type { JSX } from "preact";

/** The sign of labelmesh: nine points of a mesh, one of them labeled. */
export function Mark(): JSX.Element {
  const points = [4, 12, 20].flatMap((y) => [4, 12, 20].map((x) => ({ x, y })));
  return (
    <svg class="mark" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true">
      <path class="mark-lines" d="M4 4H20V20H4ZM12 4V20M4 12H20" />
      {points.map(({ x, y }) => (
        <circle
          key={`${x} ${y}`}
          class={x === 12 && y === 12 ? "mark-chosen" : "mark-point"}
          cx={x}
          cy={y}
          r={x === 12 && y === 12 ? 4.2 : 2}
        />
      ))}
    </svg>
  );
}
