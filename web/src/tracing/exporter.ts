// Spans on their way to the gateway: a few at a time, never in the way of the page, dropped when nobody takes them.
import { exportRequest, type Span } from "./span";

const PATH = "/telemetry/v1/traces";
/** Spans that wait at most; the oldest go first. */
const WAITING_AT_MOST = 512;
/** What one request holds at most. A browser sends no more than 64 KiB in all for a page that closes; a span has some 500 bytes. */
const IN_ONE_REQUEST = 96;
const EVERY_MS = 5000;

export class SpanExporter {
  private waiting: Span[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private admitted = false;

  constructor(
    private readonly send: typeof fetch,
    private readonly everyMs = EVERY_MS,
  ) {}

  /** Takes a span that has ended. */
  add(span: Span): void {
    this.waiting.push(span);
    if (this.waiting.length > WAITING_AT_MOST) this.waiting.shift();
    this.plan();
  }

  /** Whether there is a session: spans are only taken from who has one, those from before wait for it. */
  admit(admitted: boolean): void {
    this.admitted = admitted;
    this.plan();
  }

  /** Sends what waits. With `closing` the browser does it after the page is gone, one request's worth. */
  async flush(closing = false): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    while (this.admitted && this.waiting.length > 0) {
      const sent = this.post(this.waiting.splice(0, IN_ONE_REQUEST), closing);
      if (closing) return;
      await sent;
    }
  }

  private plan(): void {
    if (this.admitted && this.waiting.length > 0) this.timer ??= setTimeout(() => void this.flush(), this.everyMs);
  }

  private async post(spans: readonly Span[], keepalive: boolean): Promise<void> {
    try {
      const response = await this.send(PATH, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(exportRequest(spans)),
        credentials: "same-origin",
        cache: "no-store",
        keepalive,
      });
      if (response.status === 401) this.admitted = false;
    } catch {
      // Traces are for those who look after the mesh: who labels is not to notice that they are lost.
    }
  }
}
