// Durations and times of the contract in milliseconds.
import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";

export function durationMs(duration: Duration | undefined): number | null {
  return duration ? Number(duration.seconds) * 1000 + duration.nanos / 1e6 : null;
}

export function timeMs(time: Timestamp | undefined): number | null {
  return time ? Number(time.seconds) * 1000 + time.nanos / 1e6 : null;
}

/** A duration of the contract; negative ones become zero. */
export function durationOf(ms: number): { seconds: bigint; nanos: number } {
  const whole = Math.max(0, Math.round(ms));
  return { seconds: BigInt(Math.floor(whole / 1000)), nanos: (whole % 1000) * 1_000_000 };
}

const WHEN = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** A time as people read it; a dash when there is none. */
export function readableTime(time: Timestamp | undefined): string {
  const ms = timeMs(time);
  return ms === null ? "–" : WHEN.format(new Date(ms));
}
