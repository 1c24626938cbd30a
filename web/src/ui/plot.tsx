// A line plot, and the same numbers as a table for those who do not see it.
import type { JSX } from "preact";
import { useId } from "preact/hooks";
import { ScrollTable } from "./parts";
import { axisOf, placeOn, readableValue, wholeAxis } from "./scales";

export interface Series {
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

const WIDTH = 360;
const HEIGHT = 180;
const EDGE = { left: 46, right: 14, top: 12, bottom: 30 };
/** Lines differ by dash and mark too: colour alone tells nothing to some. */
const DASHES = ["", "6 4", "2 3", "8 3 2 3"];

export function Plot(props: { title: string; across: string; series: readonly Series[] }): JSX.Element {
  const id = useId();
  const series = props.series.filter((one) => one.points.length > 0);
  const points = series.flatMap((one) => one.points);
  const across = wholeAxis(points.map((point) => point.x));
  const heights = points.map((point) => point.y);
  // Shares end at 1.
  const up = axisOf(heights, 4, Math.max(...heights) <= 1 ? 1 : undefined);
  const x = (value: number): number => EDGE.left + placeOn(across, value) * (WIDTH - EDGE.left - EDGE.right);
  const y = (value: number): number => HEIGHT - EDGE.bottom - placeOn(up, value) * (HEIGHT - EDGE.top - EDGE.bottom);
  const rows = [...new Set(points.map((point) => point.x))].sort((one, other) => one - other);
  return (
    <figure class="plot" aria-labelledby={id}>
      <figcaption id={id}>
        <h3>{props.title}</h3>
        {series.length > 1 && (
          <ul class="plot-key">
            {series.map((one, index) => (
              <li key={one.name}>
                <svg width="28" height="10" aria-hidden="true">
                  <path class={`line line-${index % 4}`} d="M1 5H27" stroke-dasharray={DASHES[index % 4]} />
                </svg>
                {one.name}
              </li>
            ))}
          </ul>
        )}
      </figcaption>
      <svg class="plot-lines" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={inWords(props.title, props.across, series)}>
        {up.ticks.map((tick) => (
          <g key={tick}>
            <path class="plot-grid" d={`M${EDGE.left} ${y(tick)}H${WIDTH - EDGE.right}`} />
            <text class="plot-tick" x={EDGE.left - 6} y={y(tick)} text-anchor="end" dominant-baseline="middle">
              {readableValue(tick)}
            </text>
          </g>
        ))}
        {across.ticks.map((tick) => (
          <text key={tick} class="plot-tick" x={x(tick)} y={HEIGHT - EDGE.bottom + 13} text-anchor="middle">
            {tick}
          </text>
        ))}
        <text class="plot-tick" x={(WIDTH + EDGE.left - EDGE.right) / 2} y={HEIGHT - 4} text-anchor="middle">
          {props.across}
        </text>
        {series.map((one, index) => (
          <g key={one.name} class={`line-${index % 4}`}>
            <path
              class="line"
              d={one.points.map((point, at) => `${at === 0 ? "M" : "L"}${x(point.x).toFixed(1)} ${y(point.y).toFixed(1)}`).join("")}
              stroke-dasharray={DASHES[index % 4]}
            />
            {one.points.length <= 30 &&
              one.points.map((point) => (
                <circle key={point.x} class="dot" cx={x(point.x)} cy={y(point.y)} r="3.2">
                  <title>{`${one.name}, ${props.across} ${point.x}: ${readableValue(point.y)}`}</title>
                </circle>
              ))}
          </g>
        ))}
      </svg>
      <details>
        <summary>As a table</summary>
        <ScrollTable label={`${props.title} as a table`}>
          <thead>
            <tr>
              <th scope="col">{props.across}</th>
              {series.map((one) => (
                <th key={one.name} scope="col" class="number">
                  {one.name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row}>
                <th scope="row">{row}</th>
                {series.map((one) => {
                  const point = one.points.find((each) => each.x === row);
                  return (
                    <td key={one.name} class="number">
                      {point ? readableValue(point.y) : "–"}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </ScrollTable>
      </details>
    </figure>
  );
}

/** What the lines say, from the first to the last value. */
function inWords(title: string, across: string, series: readonly Series[]): string {
  const lines = series.map((one) => {
    const [first, last] = [one.points[0], one.points.at(-1)];
    if (!first || !last) return one.name;
    if (first === last) return `${one.name} ${readableValue(first.y)} at ${across} ${first.x}`;
    return `${one.name} from ${readableValue(first.y)} at ${across} ${first.x} to ${readableValue(last.y)} at ${last.x}`;
  });
  return `${title}: ${lines.join("; ")}.`;
}
