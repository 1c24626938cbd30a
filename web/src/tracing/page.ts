// Traces of this page: what the person does begins them, the page's end sends the last. Loaded only where tracing is on.
import type { Interceptor } from "@connectrpc/connect";
import { place } from "../router";
import { SpanExporter } from "./exporter";
import { Tracer } from "./tracer";

/** What a person does that calls may come of. Only the kind of event is told: no key, no text, no element. */
const DEEDS = ["click", "keydown", "submit", "change", "drop"] as const;

/** Traces `ratio` of what is done and called here. */
export function tracePage(ratio: number): Interceptor {
  const exporter = new SpanExporter((input, init) => fetch(input, init));
  const tracer = new Tracer(exporter, ratio);
  during(tracer, "load", performance.timeOrigin);
  for (const deed of DEEDS) {
    addEventListener(deed, (event) => event.isTrusted && during(tracer, deed, performance.timeOrigin + event.timeStamp), { capture: true });
  }
  addEventListener("visibilitychange", () => document.visibilityState === "hidden" && void exporter.flush(true));
  addEventListener("pagehide", () => void exporter.flush(true));
  return tracer.interceptor;
}

/** Calls begun by this event and by what it set off at once belong to it; a later event of the browser ends that. */
function during(tracer: Tracer, name: string, startedAt: number): void {
  const interaction = tracer.begin(name, place.value.at, startedAt);
  setTimeout(() => interaction.end());
}
