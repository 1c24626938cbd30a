// The arithmetic of plots: which numbers stand at the axes, and where a value lies between them.

export interface Axis {
  /** The first and the last tick: nothing lies outside them. */
  readonly low: number;
  readonly high: number;
  readonly ticks: readonly number[];
}

/** An axis around values with about `wanted` ticks at round numbers (1, 2 or 5 times a power of ten), none above `most`. */
export function axisOf(values: readonly number[], wanted = 4, most = Number.POSITIVE_INFINITY): Axis {
  const finite = values.filter(Number.isFinite);
  let low = finite.length > 0 ? Math.min(...finite) : 0;
  let high = finite.length > 0 ? Math.max(...finite) : 1;
  if (high - low < 1e-9 * Math.max(1, Math.abs(high))) {
    // One value alone stands in the middle.
    const room = Math.abs(high) > 0 ? Math.abs(high) * 0.1 : 1;
    low -= room;
    high = Math.min(most, high + room);
  }
  const step = roundStep((high - low) / Math.max(1, wanted - 1));
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  const ticks = Array.from({ length: last - first + 1 }, (_, index) => tidy((first + index) * step));
  return { low: ticks[0] ?? low, high: ticks.at(-1) ?? high, ticks };
}

/** An axis of whole numbers such as versions or epochs: each has its place, ticks are thinned out where there are many. */
export function wholeAxis(values: readonly number[], wanted = 8): Axis {
  const low = values.length > 0 ? Math.min(...values) : 1;
  const high = values.length > 0 ? Math.max(...values) : 1;
  const step = Math.max(1, Math.ceil(roundStep((high - low) / wanted)));
  const ticks: number[] = [];
  for (let tick = low; tick <= high; tick += step) ticks.push(tick);
  return low === high ? { low: low - 1, high: high + 1, ticks: [low] } : { low, high, ticks };
}

/** Where a value of the axis lies, 0 to 1. */
export function placeOn(axis: Axis, value: number): number {
  return axis.high === axis.low ? 0.5 : (value - axis.low) / (axis.high - axis.low);
}

function roundStep(rough: number): number {
  if (!(rough > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find((one) => one * power >= rough * (1 - 1e-9)) ?? 10;
  return factor * power;
}

function tidy(value: number): number {
  return Number(value.toPrecision(12));
}

const FEW = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 4 });

/** A value as people read it at an axis or in a table. */
export function readableValue(value: number): string {
  return FEW.format(value);
}
