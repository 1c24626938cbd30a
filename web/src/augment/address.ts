// What the page shows as parameters of its address, short enough to be sent to somebody.
import type { JsonValue } from "@bufbuild/protobuf";
import { deflateSync, inflateSync, strFromU8, strToU8 } from "fflate";
import type { Labels } from "../gen/labelmesh/augment/v1/labels_pb";
import { labelCount, labelsJson, NO_LABELS, readLabels } from "./labels";
import { jsonOf, type Pipeline, pipelineFrom, readPipeline } from "./pipeline";
import type { Source } from "./source";

export const COUNTS = { least: 4, usual: 8, most: 24 } as const;
export const MOST_SEED = 0xffff_ffff;
/** Labels longer than this do not fit into an address that others open; the tab keeps them. */
const LABELS_AT_MOST = 6000;
const PACKED_AT_MOST = 60_000;

export interface Shown {
  readonly source: Source | null;
  readonly pipeline: Pipeline | null;
  readonly labels: Labels | null;
  readonly seed: number | null;
  readonly count: number | null;
  /** What could not be read, in sentences. */
  readonly problems: readonly string[];
}

/** JSON as text that an address can hold: deflated, base64url. */
export function pack(json: JsonValue): string {
  const bytes = deflateSync(strToU8(JSON.stringify(json)), { level: 9 });
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** Undoes `pack`; JSON written out is taken too. Throws where it is neither. */
export function unpack(text: string): string {
  if (/^\s*[[{]/.test(text)) return text;
  if (text.length > PACKED_AT_MOST) throw new Error("it is too long");
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return strFromU8(inflateSync(Uint8Array.from(binary, (one) => one.charCodeAt(0))));
}

export function parametersFor(shown: { source: Source | null; pipeline: Pipeline; labels: Labels; seed: number; count: number }): string {
  const parameters = new URLSearchParams();
  const { source } = shown;
  if (source?.kind === "address") parameters.set("url", source.address);
  if (source?.kind === "project") {
    parameters.set("project", source.projectId);
    parameters.set("image", source.imageId);
  }
  if (source?.kind === "file") parameters.set("file", source.key);
  parameters.set("seed", String(shown.seed));
  if (shown.count !== COUNTS.usual) parameters.set("count", String(shown.count));
  parameters.set("pipeline", pack(jsonOf(shown.pipeline)));
  if (source?.kind !== "sample" && labelCount(shown.labels) > 0) {
    const labels = pack(labelsJson(shown.labels));
    if (labels.length <= LABELS_AT_MOST) parameters.set("labels", labels);
  }
  return parameters.toString();
}

function whole(text: string | null, least: number, most: number): number | null {
  if (text === null || !/^\d{1,10}$/.test(text)) return null;
  return Math.max(least, Math.min(most, Number(text)));
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Reads parameters; what is wrong is left out and told. Files are only named by them: who calls has to find them. */
export function shownBy(parameters: string): Shown {
  const read = new URLSearchParams(parameters);
  const problems: string[] = [];
  let source: Source | null = null;
  const [url, project, image, file] = [read.get("url"), read.get("project"), read.get("image"), read.get("file")];
  // Anything is taken for an address: the mesh says what is wrong with it.
  if (url !== null && url.trim() !== "") source = { kind: "address", address: url.trim().slice(0, 4000) };
  else if (project !== null && image !== null) {
    if (UUID.test(project) && UUID.test(image)) source = { kind: "project", projectId: project, imageId: image, name: "" };
    else problems.push("The link names no image of a project.");
  } else if (file !== null) source = { kind: "file", key: file.slice(0, 100), file: null, name: "" };
  let pipeline: Pipeline | null = null;
  const packed = read.get("pipeline");
  if (packed !== null && packed !== "") {
    try {
      pipeline =
        packed.startsWith("{") || packed.startsWith("[") ? readPipeline(packed) : pipelineFrom(JSON.parse(unpack(packed)) as JsonValue);
    } catch {
      problems.push("The pipeline of this link cannot be read: it may have been cut off on the way.");
    }
  }
  let labels: Labels | null = null;
  const packedLabels = read.get("labels");
  if (packedLabels !== null && packedLabels !== "") {
    try {
      labels = readLabels(unpack(packedLabels));
    } catch {
      labels = NO_LABELS;
      problems.push("The labels of this link cannot be read: it may have been cut off on the way.");
    }
  }
  return {
    source,
    pipeline,
    labels,
    seed: whole(read.get("seed"), 0, MOST_SEED),
    count: whole(read.get("count"), 1, COUNTS.most),
    problems,
  };
}
