// A client in JavaScript that was generated from nothing: it reads the published descriptor set and goes by that alone.
// Arguments: address, protocol ("grpc", "grpc-web" or "connect"), descriptor set, folder with the libraries, project id.
// The name and the password come as lines on stdin; what it saw goes to stdout as JSON.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:http2";
import { createRequire } from "node:module";
import { join } from "node:path";

const [address, protocol, descriptors, libraries, projectId] = process.argv.slice(2);
const [name, password] = readFileSync(0, "utf8").split("\n");

const require = createRequire(join(libraries, "package.json"));
const { createFileRegistry, fromBinary } = require("@bufbuild/protobuf");
const { FileDescriptorSetSchema } = require("@bufbuild/protobuf/wkt");
const { Code, ConnectError, createClient } = require("@connectrpc/connect");
const { createTransport } = require("@connectrpc/connect/protocol-grpc");
const { createConnectTransport, createGrpcWebTransport } = require("@connectrpc/connect-web");

const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)));
const session = protocol === "grpc" ? connect(address) : null;

/** One call of gRPC over HTTP/2, as Node speaks it. */
async function overHttp2(request) {
  const { pathname } = new URL(request.url);
  const stream = session.request({ ":method": request.method, ":path": pathname, ...Object.fromEntries(request.header) });
  const answered = new Promise((resolve, reject) => {
    stream.once("response", (headers) => resolve(headersOf(headers)));
    stream.once("error", reject);
  });
  const trailer = new Headers();
  stream.once("trailers", (trailers) => {
    for (const [key, value] of headersOf(trailers)) trailer.set(key, value);
  });
  for await (const part of request.body ?? []) stream.write(part);
  stream.end();
  const header = await answered;
  return { status: Number(header.get("x-status")), header, body: stream, trailer };
}

function headersOf(fields) {
  const headers = new Headers();
  for (const [key, value] of Object.entries(fields)) headers.append(key.startsWith(":") ? `x-${key.slice(1)}` : key, String(value));
  return headers;
}

function transport(interceptors) {
  const options = { baseUrl: address, useBinaryFormat: true, interceptors };
  if (protocol === "connect") return createConnectTransport(options);
  if (protocol === "grpc-web") return createGrpcWebTransport(options);
  const unlimited = { acceptCompression: [], sendCompression: null, compressMinBytes: 1024, readMaxBytes: 2 ** 26, writeMaxBytes: 2 ** 26 };
  return createTransport({ ...options, ...unlimited, httpClient: overHttp2 });
}

async function refusal(call) {
  try {
    await call();
  } catch (thrown) {
    const error = ConnectError.from(thrown);
    const [info] = error.findDetails(registry.getMessage("google.rpc.ErrorInfo"));
    const violations = error.findDetails(registry.getMessage("google.rpc.BadRequest")).flatMap((bad) => bad.fieldViolations);
    return { code: Code[error.code], reason: info?.reason ?? "", fields: violations.map((each) => each.field) };
  }
  throw new Error("it was accepted");
}

let token = "";
const bearer = (next) => (request) => {
  if (token) request.header.set("authorization", `Bearer ${token}`);
  return next(request);
};
const client = (service) => createClient(registry.getService(service), transport([bearer]));
const sessions = client("labelmesh.auth.v1.SessionService");
const annotations = client("labelmesh.labeling.v1.AnnotationService");

const lease = () => annotations.leaseImage({ requestId: randomUUID(), projectId });
const submit = (leaseId, classId) => annotations.submitAnnotation({ requestId: randomUUID(), projectId, leaseId, classId });
try {
  const unsigned = await refusal(lease);
  token = (await sessions.signIn({ name, password })).token;
  const leaseId = (await lease()).next.next.value.id;
  const unknown = await refusal(() => submit(leaseId, "unicorn"));
  const malformed = await refusal(() => submit("not an id", "cat"));
  const given = await submit(leaseId, "cat");
  const after = (await lease()).next.next;
  await sessions.signOut({});
  const signedOut = await refusal(lease);
  const seen = { unsigned, unknown, malformed, signedOut, labelsGiven: Number(given.labelsGiven), after: after.case };
  process.stdout.write(`${JSON.stringify(seen)}\n`);
} finally {
  session?.close();
}
