// A span, and what is sent of it: W3C trace context in a call's header, OTLP as JSON to the collector.

/** What a span may say: words of the contract and of the page, never what a person typed or who they are. */
export type Attributes = Readonly<Record<string, string | number>>;

export interface SpanContext {
  /** 16 bytes, as 32 hexadecimal digits. */
  readonly traceId: string;
  /** 8 bytes, as 16 hexadecimal digits. */
  readonly spanId: string;
  readonly sampled: boolean;
}

export interface Span {
  readonly context: SpanContext;
  readonly parentSpanId: string;
  readonly name: string;
  /** "client" for a call, "internal" for what a person did. */
  readonly kind: "client" | "internal";
  /** Milliseconds since the epoch, with fractions. */
  readonly startedAt: number;
  readonly endedAt: number;
  readonly attributes: Attributes;
  readonly failed: boolean;
}

const KINDS = { internal: 1, client: 3 } as const;
const STATUS_ERROR = 2;

/** The context of a new span: of its parent's trace, or of a new one that is sampled or not. */
export function newContext(parent: SpanContext | null, sampled: boolean): SpanContext {
  return { traceId: parent?.traceId ?? randomHex(16), spanId: randomHex(8), sampled: parent?.sampled ?? sampled };
}

/** The header `traceparent` of the W3C's Trace Context, version 00. Also of a trace that is not sampled: nobody behind decides anew. */
export function traceparent(context: SpanContext): string {
  return `00-${context.traceId}-${context.spanId}-${context.sampled ? "01" : "00"}`;
}

/** A request of OTLP/HTTP in JSON. Its field names are those of opentelemetry.proto.collector.trace.v1; 64-bit numbers are strings. */
export function exportRequest(spans: readonly Span[]): object {
  const scope = { name: "labelmesh.web" };
  return {
    resourceSpans: [
      {
        resource: { attributes: attributesOf({ "service.name": "web", "service.namespace": "labelmesh" }) },
        scopeSpans: [{ scope, spans: spans.map(spanOf) }],
      },
    ],
  };
}

function spanOf(span: Span): object {
  return {
    traceId: span.context.traceId,
    spanId: span.context.spanId,
    ...(span.parentSpanId === "" ? {} : { parentSpanId: span.parentSpanId }),
    flags: 1,
    name: span.name,
    kind: KINDS[span.kind],
    startTimeUnixNano: nanoseconds(span.startedAt),
    endTimeUnixNano: nanoseconds(Math.max(span.startedAt, span.endedAt)),
    attributes: attributesOf(span.attributes),
    ...(span.failed ? { status: { code: STATUS_ERROR } } : {}),
  };
}

function attributesOf(attributes: Attributes): object[] {
  return Object.entries(attributes).map(([key, value]) => ({
    key,
    value: typeof value === "string" ? { stringValue: value } : { intValue: String(Math.round(value)) },
  }));
}

/** A number of milliseconds since the epoch holds no nanoseconds exactly, microseconds it does. */
function nanoseconds(ms: number): string {
  return `${BigInt(Math.round(ms * 1000))}000`;
}

function randomHex(bytes: number): string {
  const random = crypto.getRandomValues(new Uint8Array(bytes));
  // All zeroes mean "none" in a trace's context.
  if (random.every((byte) => byte === 0)) random[0] = 1;
  return Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
