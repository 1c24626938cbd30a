// Whether the page makes traces: the gateway says so in the page itself. While it does not, none of the rest is loaded.
import type { Interceptor } from "@connectrpc/connect";

/** Reads what stands in the page's `labelmesh-tracing`: a ratio above 0 and up to 1, or null for "off" and for what means nothing. */
export function ratioOf(said: string | null | undefined): number | null {
  const ratio = Number(said ?? "");
  return ratio > 0 && ratio <= 1 ? ratio : null;
}

/** What makes the calls' spans; nothing where tracing is off or its code cannot be had. */
export async function startTracing(page: Document): Promise<Interceptor[]> {
  const ratio = ratioOf(page.querySelector<HTMLMetaElement>('meta[name="labelmesh-tracing"]')?.content);
  if (ratio === null) return [];
  try {
    return [(await import("./page")).tracePage(ratio)];
  } catch {
    return [];
  }
}
