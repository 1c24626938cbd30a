// What a client in JavaScript needs to call services that it knows from the published descriptor set alone.
import { readFileSync } from "node:fs";
import { connect } from "node:http2";
import { createRequire } from "node:module";
import { join } from "node:path";

/** Opens a way to `address` by `protocol` ("grpc", "grpc-web" or "connect"); `libraries` is a folder with Connect's packages. */
export function openLink(address, protocol, descriptors, libraries) {
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

  function transport(interceptors) {
    const options = { baseUrl: address, useBinaryFormat: true, interceptors };
    if (protocol === "connect") return createConnectTransport(options);
    if (protocol === "grpc-web") return createGrpcWebTransport(options);
    const unlimited = { acceptCompression: [], sendCompression: null, compressMinBytes: 1024, readMaxBytes: 2 ** 26, writeMaxBytes: 2 ** 26 };
    return createTransport({ ...options, ...unlimited, httpClient: overHttp2 });
  }

  return {
    client: (service, interceptors) => createClient(registry.getService(service), transport(interceptors)),
    close: () => session?.close(),
    /** How a call was refused: its code, and the reason and the fields that stand in the details. */
    async refusal(call) {
      try {
        await call();
      } catch (thrown) {
        const error = ConnectError.from(thrown);
        const [info] = error.findDetails(registry.getMessage("google.rpc.ErrorInfo"));
        const violations = error.findDetails(registry.getMessage("google.rpc.BadRequest")).flatMap((bad) => bad.fieldViolations);
        return { code: Code[error.code], reason: info?.reason ?? "", fields: violations.map((each) => each.field) };
      }
      throw new Error("it was accepted");
    },
  };
}

function headersOf(fields) {
  const headers = new Headers();
  for (const [key, value] of Object.entries(fields)) headers.append(key.startsWith(":") ? `x-${key.slice(1)}` : key, String(value));
  return headers;
}
