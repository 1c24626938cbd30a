// Where the time of a prediction went, in parts that add up to what the browser waited.
import type { Timing } from "../gen/labelmesh/inference/v1/predictions_pb";
import { durationMs } from "../rpc/time";

export interface Part {
  readonly name: string;
  readonly className: string;
  readonly ms: number;
}

/** Parts in the order they happen; those that took nothing are left out, but never the model. */
export function partsOf(timing: Timing | undefined, roundTripMs: number): Part[] {
  const ms = (name: "fetch" | "preparation" | "waiting" | "model" | "total"): number => durationMs(timing?.[name]) ?? 0;
  const known = ms("fetch") + ms("preparation") + ms("waiting") + ms("model");
  const total = Math.max(ms("total"), known);
  return [
    { name: "Getting the picture", className: "time-fetch", ms: ms("fetch") },
    { name: "Preparing it", className: "time-preparation", ms: ms("preparation") },
    { name: "Waiting for company", className: "time-waiting", ms: ms("waiting") },
    { name: "Model", className: "time-model", ms: ms("model") },
    { name: "Rest of the service", className: "time-service", ms: total - known },
    { name: "On the way", className: "time-way", ms: Math.max(0, roundTripMs - total) },
  ].filter((part) => part.ms >= 0.005 || part.className === "time-model");
}

/** Milliseconds as people read them: more digits where they are few. */
export function readableMs(ms: number): string {
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms >= 100) return `${Math.round(ms)} ms`;
  return `${ms.toFixed(ms >= 10 ? 1 : 2)} ms`;
}
