import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { expect, test, vi } from "vitest";
import { SessionService } from "../src/gen/labelmesh/auth/v1/sessions_pb";
import { StatisticsService } from "../src/gen/labelmesh/labeling/v1/statistics_pb";
import { SpanExporter } from "../src/tracing/exporter";
import type { Span } from "../src/tracing/span";
import { exportRequest, newContext, traceparent } from "../src/tracing/span";
import { ratioOf, startTracing } from "../src/tracing/start";
import { Tracer } from "../src/tracing/tracer";

/** An exporter that keeps what it would send. */
class Kept extends SpanExporter {
  readonly spans: Span[] = [];
  override add(span: Span): void {
    this.spans.push(span);
  }
}

/** A mesh of two services in memory, seen through a tracer; `random` decides what is recorded of half of the traces. */
function traced(random = () => 0) {
  const exporter = new Kept(() => Promise.reject(new Error("nothing is sent here")));
  const tracer = new Tracer(exporter, 0.5, random);
  const headers: string[] = [];
  const transport = createRouterTransport(
    ({ service }) => {
      service(SessionService, {
        getSession(_request, context) {
          headers.push(context.requestHeader.get("traceparent") ?? "");
          return { session: { user: { id: "u", name: "ada lovelace" } } };
        },
        signIn() {
          throw new ConnectError("ada lovelace may not come in", Code.ResourceExhausted);
        },
      });
      service(StatisticsService, {
        async *watchStatistics(request) {
          yield {};
          if (request.projectId !== "") throw new ConnectError("gone", Code.NotFound);
          yield {};
        },
      });
    },
    { transport: { interceptors: [tracer.interceptor] } },
  );
  const named = (name: string) => exporter.spans.find((span) => span.name.startsWith(name)) as Span;
  const sessions = createClient(SessionService, transport);
  return { exporter, tracer, headers, named, sessions, statistics: createClient(StatisticsService, transport) };
}

const span = (name: string, attributes: Span["attributes"] = {}): Span => ({
  context: newContext(null, true),
  parentSpanId: "",
  name,
  kind: "client",
  startedAt: 1_760_000_000_000.25,
  endedAt: 1_760_000_000_012.5,
  attributes,
  failed: false,
});

/** A gateway that keeps what it is sent and answers with `status`. */
function receiver(status: number) {
  const got: Request[] = [];
  const bodies: string[] = [];
  const send: typeof fetch = async (path, init) => {
    const request = new Request(new URL(String(path), "http://mesh.test"), init);
    got.push(request);
    bodies.push(await request.text());
    return new Response("{}", { status });
  };
  const spansOf = (body: string) => JSON.parse(body).resourceSpans[0].scopeSpans[0].spans as { name: string }[];
  return { got, bodies, send, names: () => bodies.map((body) => spansOf(body).map(({ name }) => name)) };
}

test("nothing but a ratio switches tracing on, and while it is off none of its code is asked for", async () => {
  expect(["off", "", null, undefined, "0", "on", "-1", "2", "NaN"].map(ratioOf)).toEqual(Array(9).fill(null));
  expect(["1", "0.05", "1e-3"].map(ratioOf)).toEqual([1, 0.05, 0.001]);
  const page = (content: string) => ({ querySelector: () => ({ content }) }) as unknown as Document;
  expect(await startTracing(page("off"))).toEqual([]);
  // Outside a browser the code itself fails as it starts; the page then goes on without.
  expect(await startTracing(page("1"))).toEqual([]);
});

test("a call bears its trace in traceparent, and its span tells method and code alone", async () => {
  const { sessions, headers, named, exporter } = traced();
  await sessions.getSession({});
  const call = named("labelmesh.auth.v1.SessionService/GetSession");
  expect(headers).toEqual([traceparent(call.context)]);
  expect(headers[0]).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  expect(call).toMatchObject({ parentSpanId: "", kind: "client", failed: false });
  expect(call.attributes).toEqual({
    "rpc.system.name": "grpc",
    "rpc.method": "labelmesh.auth.v1.SessionService/GetSession",
    "rpc.response.status_code": "OK",
  });
  expect(call.endedAt).toBeGreaterThanOrEqual(call.startedAt);
  await expect(sessions.signIn({ name: "ada lovelace", password: "secret" })).rejects.toThrow();
  expect(named("labelmesh.auth.v1.SessionService/SignIn")).toMatchObject({
    failed: true,
    attributes: { "rpc.response.status_code": "RESOURCE_EXHAUSTED" },
  });
  expect(JSON.stringify(exportRequest(exporter.spans))).not.toMatch(/ada|lovelace|secret/);
});

test("what a person did is the root of the calls that came of it, and of no others", async () => {
  const { sessions, tracer, exporter, named } = traced();
  const interaction = tracer.begin("click", "statistics");
  const both = [sessions.getSession({}), sessions.getSession({})];
  interaction.end();
  await Promise.all(both);
  const root = named("click statistics");
  const calls = exporter.spans.filter((one) => one !== root);
  expect(calls.map((call) => [call.parentSpanId, call.context.traceId])).toEqual(
    Array(2).fill([root.context.spanId, root.context.traceId]),
  );
  expect(root).toMatchObject({ parentSpanId: "", kind: "internal" });
  expect(root.endedAt).toBeGreaterThanOrEqual(Math.max(...calls.map((call) => call.endedAt)));
  await sessions.getSession({});
  const later = exporter.spans.at(-1) as Span;
  expect(later.parentSpanId).toBe("");
  expect(later.context.traceId).not.toBe(root.context.traceId);
});

test("a click that nothing is called for leaves no span", async () => {
  const { tracer, exporter } = traced();
  tracer.begin("click", "label").end();
  await new Promise((resolve) => setTimeout(resolve));
  expect(exporter.spans).toEqual([]);
});

test("a trace that is not sampled is not recorded, and nobody behind decides otherwise", async () => {
  const { sessions, headers, exporter, tracer } = traced(() => 0.7);
  const interaction = tracer.begin("click", "label");
  const call = sessions.getSession({});
  interaction.end();
  await call;
  expect(headers[0]).toMatch(/-00$/);
  expect(exporter.spans).toEqual([]);
});

test("a stream's span lasts until the stream ends, with its code", async () => {
  const { statistics, exporter } = traced();
  const codes = () => exporter.spans.map((one) => one.attributes["rpc.response.status_code"]);
  for await (const _ of statistics.watchStatistics({})) expect(codes()).toEqual([]);
  expect(codes()).toEqual(["OK"]);
  const failing = async () => {
    for await (const _ of statistics.watchStatistics({ projectId: "p" }));
  };
  await expect(failing()).rejects.toThrow("gone");
  expect(codes()).toEqual(["OK", "NOT_FOUND"]);
  const stop = new AbortController();
  for await (const _ of statistics.watchStatistics({}, { signal: stop.signal })) break;
  expect(codes()).toHaveLength(2);
  stop.abort();
  expect(codes()).toEqual(["OK", "NOT_FOUND", "CANCELLED"]);
  expect(exporter.spans.at(-1)).toMatchObject({ failed: false });
});

test("spans are OTLP as JSON: ids in hexadecimal, 64-bit numbers as strings, in nanoseconds", () => {
  const child: Span = { ...span("call", { "rpc.method": "a/B", size: 3 }), parentSpanId: "00f067aa0ba902b7", failed: true };
  const { resourceSpans } = exportRequest([child]) as { resourceSpans: { resource: unknown; scopeSpans: { spans: unknown[] }[] }[] };
  expect(resourceSpans[0]?.resource).toEqual({
    attributes: [
      { key: "service.name", value: { stringValue: "web" } },
      { key: "service.namespace", value: { stringValue: "labelmesh" } },
    ],
  });
  expect(resourceSpans[0]?.scopeSpans[0]?.spans).toEqual([
    {
      traceId: child.context.traceId,
      spanId: child.context.spanId,
      parentSpanId: "00f067aa0ba902b7",
      flags: 1,
      name: "call",
      kind: 3,
      startTimeUnixNano: "1760000000000250000",
      endTimeUnixNano: "1760000000012500000",
      attributes: [
        { key: "rpc.method", value: { stringValue: "a/B" } },
        { key: "size", value: { intValue: "3" } },
      ],
      status: { code: 2 },
    },
  ]);
});

test("spans wait for a session, and are then posted together to the page's own origin", async () => {
  const server = receiver(200);
  const exporter = new SpanExporter(server.send, 1);
  exporter.add(span("before"));
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(server.got).toEqual([]);
  exporter.admit(true);
  exporter.add(span("after"));
  await vi.waitUntil(() => server.bodies.length > 0);
  expect(server.names()).toEqual([["before", "after"]]);
  const [request] = server.got;
  expect(request?.url).toBe("http://mesh.test/telemetry/v1/traces");
  expect(request?.method).toBe("POST");
  expect(request?.headers.get("content-type")).toBe("application/json");
  expect(request?.credentials).toBe("same-origin");
});

test("of too many spans the newest are kept, and no request is larger than what a closing page may send", async () => {
  const server = receiver(200);
  const exporter = new SpanExporter(server.send, 60_000);
  for (let number = 0; number < 600; number += 1) exporter.add(span(`labelmesh.labeling.v1.AnnotationService/Method${number}`));
  exporter.admit(true);
  await exporter.flush();
  const names = server.names();
  expect(names.flat()).toHaveLength(512);
  expect(names.flat()[0]).toBe("labelmesh.labeling.v1.AnnotationService/Method88");
  expect(Math.max(...server.bodies.map((body) => body.length))).toBeLessThan(64 * 1024);
});

test("spans that nobody takes are dropped without a word, and a refusal waits for the next session", async () => {
  const away = new SpanExporter(() => Promise.reject(new TypeError("Failed to fetch")), 60_000);
  away.admit(true);
  away.add(span("lost"));
  await away.flush();
  const refusing = receiver(401);
  const exporter = new SpanExporter(refusing.send, 60_000);
  exporter.admit(true);
  exporter.add(span("refused"));
  await exporter.flush();
  exporter.add(span("kept"));
  await exporter.flush();
  expect(refusing.names()).toEqual([["refused"]]);
  exporter.admit(true);
  await exporter.flush();
  expect(refusing.names()).toEqual([["refused"], ["kept"]]);
});
