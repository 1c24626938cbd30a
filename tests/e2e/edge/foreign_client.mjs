// A client in JavaScript that was generated from nothing: it reads the published descriptor set and goes by that alone.
// Arguments: address, protocol ("grpc", "grpc-web" or "connect"), descriptor set, folder with the libraries, project id.
// The name and the password come as lines on stdin; what it saw goes to stdout as JSON.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { openLink } from "./foreign_link.mjs";

const [address, protocol, descriptors, libraries, projectId] = process.argv.slice(2);
const [name, password] = readFileSync(0, "utf8").split("\n");
const link = openLink(address, protocol, descriptors, libraries);

let token = "";
const bearer = (next) => (request) => {
  if (token) request.header.set("authorization", `Bearer ${token}`);
  return next(request);
};
const client = (service) => link.client(service, [bearer]);
const sessions = client("labelmesh.auth.v1.SessionService");
const annotations = client("labelmesh.labeling.v1.AnnotationService");

const lease = () => annotations.leaseImage({ requestId: randomUUID(), projectId });
const submit = (leaseId, classId) => annotations.submitAnnotation({ requestId: randomUUID(), projectId, leaseId, classId });
try {
  const unsigned = await link.refusal(lease);
  token = (await sessions.signIn({ name, password })).token;
  const leaseId = (await lease()).next.next.value.id;
  const unknown = await link.refusal(() => submit(leaseId, "unicorn"));
  const malformed = await link.refusal(() => submit("not an id", "cat"));
  const given = await submit(leaseId, "cat");
  const after = (await lease()).next.next;
  await sessions.signOut({});
  const signedOut = await link.refusal(lease);
  const seen = { unsigned, unknown, malformed, signedOut, labelsGiven: Number(given.labelsGiven), after: after.case };
  process.stdout.write(`${JSON.stringify(seen)}\n`);
} finally {
  link.close();
}
