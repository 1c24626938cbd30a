// A span for every call of the page, under one for what the person did: the browser's end of a trace.
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { isOpen } from "../rpc/activity";
import type { SpanExporter } from "./exporter";
import { newContext, type Span, type SpanContext, traceparent } from "./span";

/** Something a person did, for as long as calls come of it. */
interface Interaction {
  readonly context: SpanContext;
  readonly name: string;
  readonly page: string;
  readonly startedAt: number;
  endedAt: number;
  calls: number;
  /** Whether calls may still be begun by it. */
  open: boolean;
}

/** Milliseconds since the epoch, finer than Date and never going back. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

export class Tracer {
  private interaction: Interaction | null = null;

  /** `ratio` of the traces are recorded, by `random`, a number from 0 to 1. */
  constructor(
    private readonly exporter: SpanExporter,
    private readonly ratio: number,
    private readonly random: () => number = Math.random,
  ) {}

  /**
   * The person did something. What is called before `end` is called belongs to it; the span lasts until the last of these calls is answered, and
   * there is none where nothing was called. `name` is of the page's own words, `page` the kind of place it happened at.
   */
  begin(name: string, page: string, startedAt = now()): { end(): void } {
    const context = newContext(null, this.random() < this.ratio);
    const interaction: Interaction = { context, name, page, startedAt, endedAt: startedAt, calls: 0, open: true };
    this.interaction = interaction;
    return {
      end: () => {
        if (this.interaction === interaction) this.interaction = null;
        interaction.open = false;
        this.close(interaction);
      },
    };
  }

  readonly interceptor: Interceptor = (next) => async (request) => {
    const interaction = this.interaction;
    const context = newContext(interaction?.context ?? null, this.random() < this.ratio);
    const startedAt = now();
    if (interaction) interaction.calls += 1;
    request.header.set("traceparent", traceparent(context));
    const method = `${request.service.typeName}/${request.method.name}`;
    const answered = (): void => {
      if (!interaction) return;
      interaction.calls -= 1;
      interaction.endedAt = now();
      this.close(interaction);
    };
    const ended = (thrown: unknown): void => {
      const code = thrown === null ? null : ConnectError.from(thrown).code;
      const unwanted = code === Code.Canceled && request.signal.aborted;
      this.record({
        context,
        parentSpanId: interaction?.context.spanId ?? "",
        name: method,
        kind: "client",
        startedAt,
        endedAt: now(),
        attributes: { "rpc.system.name": "grpc", "rpc.method": method, "rpc.response.status_code": statusName(code) },
        failed: code !== null && !unwanted,
      });
      if (code === Code.Unauthenticated && !isOpen(request.method)) this.exporter.admit(false);
    };
    try {
      const response = await next(request);
      this.exporter.admit(true);
      if (response.stream) return { ...response, message: untilEnd(response.message, request.signal, ended) };
      ended(null);
      return response;
    } catch (thrown) {
      ended(thrown);
      throw thrown;
    } finally {
      // Nobody waits for a stream's end: to the person it is there with its first answer.
      answered();
    }
  };

  private close(interaction: Interaction): void {
    if (interaction.open || interaction.calls > 0 || interaction.endedAt === interaction.startedAt) return;
    this.record({
      context: interaction.context,
      parentSpanId: "",
      name: `${interaction.name} ${interaction.page}`,
      kind: "internal",
      startedAt: interaction.startedAt,
      endedAt: interaction.endedAt,
      attributes: { "labelmesh.interaction": interaction.name, "labelmesh.page": interaction.page },
      failed: false,
    });
  }

  private record(span: Span): void {
    if (span.context.sampled) this.exporter.add(span);
  }
}

/** The stream itself; `ended` is told once, with the error or null. A page that stops listening only aborts: it asks for no further message. */
async function* untilEnd<Message>(
  stream: AsyncIterable<Message>,
  signal: AbortSignal,
  ended: (thrown: unknown) => void,
): AsyncGenerator<Message> {
  let told = false;
  const tell = (thrown: unknown): void => {
    if (!told) ended(thrown);
    told = true;
  };
  const aborted = (): void => tell(new ConnectError("no longer wanted", Code.Canceled));
  signal.addEventListener("abort", aborted, { once: true });
  try {
    yield* stream;
    tell(null);
  } catch (thrown) {
    tell(thrown);
    throw thrown;
  } finally {
    signal.removeEventListener("abort", aborted);
  }
}

/** A status code as gRPC spells it: "DEADLINE_EXCEEDED". */
function statusName(code: Code | null): string {
  if (code === null) return "OK";
  if (code === Code.Canceled) return "CANCELLED";
  return (Code[code] ?? "Unknown").replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}
