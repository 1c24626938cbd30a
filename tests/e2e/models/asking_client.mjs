// Asks a model as a client that knows the published descriptor set alone.
// Arguments: address, protocol ("grpc", "grpc-web" or "connect"), descriptor set, folder with the libraries, model.
// The API key and the picture (base64) come as lines on stdin; what it saw goes to stdout as JSON.
import { readFileSync } from "node:fs";
import { openLink } from "../edge/foreign_link.mjs";

const [address, protocol, descriptors, libraries, model] = process.argv.slice(2);
const [key, picture] = readFileSync(0, "utf8").split("\n");
const link = openLink(address, protocol, descriptors, libraries);

const withKey = (next) => (request) => {
  request.header.set("x-api-key", key);
  return next(request);
};
const predictions = link.client("labelmesh.inference.v1.PredictionService", [withKey]);
const image = new Uint8Array(Buffer.from(picture, "base64"));
const ask = (name) => predictions.predict({ model: { model: name }, input: { input: { case: "image", value: image } } });
try {
  const { prediction } = await ask(model);
  const unknown = await link.refusal(() => ask("nobody"));
  const seen = { best: prediction.result.result.value.classes[0].label, model: prediction.model, unknown };
  process.stdout.write(`${JSON.stringify(seen)}\n`);
} finally {
  link.close();
}
