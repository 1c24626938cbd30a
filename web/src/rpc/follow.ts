// Streams that the server ends now and then (every 60 s at the latest): taken up again where they stood.
import { Code } from "@connectrpc/connect";
import type { Mesh } from "./mesh";
import { type Problem, problemOf } from "./problems";

const BACK_OFF_MS = [500, 1000, 2000, 5000, 10_000];
/** After these it makes no sense to ask again. */
const FINAL = new Set([Code.Unauthenticated, Code.PermissionDenied, Code.NotFound]);

/** How a stream is opened and what its messages do. */
export interface Followed<Message> {
  /** Opens it where it stands by now. */
  readonly open: (signal: AbortSignal) => AsyncIterable<Message>;
  /** Takes in a message; true when it was the last one that matters. */
  readonly heard: (message: Message) => boolean;
  /** A failure that is no end of the server's; true to give up. By default those that would only repeat themselves. */
  readonly failed?: (problem: Problem) => boolean;
  /** Whether the stream's own end is the end; by default it is opened again. */
  readonly endsByItself?: boolean;
}

/** Follows a stream until it is done, `stop`, or an error that would only repeat itself; that one is returned. */
export async function follow<Message>(
  link: Pick<Mesh["link"], "away" | "back">,
  stream: Followed<Message>,
  stop: AbortSignal,
): Promise<Problem | null> {
  let failures = 0;
  while (!stop.aborted) {
    let after: number | null = null;
    try {
      for await (const message of stream.open(stop)) {
        failures = 0;
        if (stop.aborted) return null;
        if (stream.heard(message)) return null;
      }
      if (stream.endsByItself) return null;
    } catch (thrown) {
      if (stop.aborted) return null;
      const problem = problemOf(thrown);
      if (problem.reason === "STREAM_RENEW") continue;
      if (FINAL.has(problem.code) || stream.failed?.(problem)) return problem;
      after = problem.retryAfterMs;
    }
    if (stop.aborted) return null;
    const wait = after ?? BACK_OFF_MS[Math.min(failures, BACK_OFF_MS.length - 1)] ?? 10_000;
    failures += 1;
    if (link.away.value) await link.back(wait);
    else await new Promise((resolve) => setTimeout(resolve, wait));
  }
  return null;
}
