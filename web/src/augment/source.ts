// Where the picture comes from.
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { SourceSchema } from "../gen/labelmesh/augment/v1/augmentations_pb";

export const FILE_LIMIT = 16 * 1024 * 1024;
export const ADDRESS_LIMIT = 4 * 1024 * 1024;
/** Files up to this size survive a reload in the tab's own storage. */
const KEPT_AT_MOST = 3 * 1024 * 1024;
const KEPT_UNDER = "labelmesh.augment.file";

export type Source =
  | { readonly kind: "sample" }
  | { readonly kind: "address"; readonly address: string }
  | { readonly kind: "project"; readonly projectId: string; readonly imageId: string; readonly name: string }
  /** `file` is null where a link names a file that this tab does not have. */
  | { readonly kind: "file"; readonly key: string; readonly file: Blob | null; readonly name: string };

export function sameSource(a: Source | null, b: Source | null): boolean {
  if (a === null || b === null || a.kind !== b.kind) return a === b;
  if (a.kind === "address" && b.kind === "address") return a.address === b.address;
  if (a.kind === "project" && b.kind === "project") return a.projectId === b.projectId && a.imageId === b.imageId;
  if (a.kind === "file" && b.kind === "file") return a.key === b.key && (a.file === null) === (b.file === null);
  return true;
}

export function nameOf(source: Source): string {
  switch (source.kind) {
    case "sample":
      return "sample";
    case "address":
      return lastPart(source.address) || "picture";
    case "project":
      return source.name || `image ${source.imageId.slice(0, 8)}`;
    case "file":
      return source.name || "picture";
  }
}

function lastPart(address: string): string {
  try {
    return decodeURIComponent(new URL(address).pathname.split("/").filter(Boolean).at(-1) ?? "");
  } catch {
    return "";
  }
}

/** A name for files made of it: without folders and ending, and nothing that a file system minds. */
export function stemOf(source: Source): string {
  const stem = (nameOf(source).split(/[\\/]/).at(-1) ?? "").replace(/\.[a-z0-9]{1,5}$/i, "");
  const safe = stem.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[-.]+|[-.]+$/g, "");
  return safe.slice(0, 80) || "picture";
}

const ENDINGS: Readonly<Record<string, string>> = {
  "image/jpeg": "jpg",
  "image/png": "png",
  "image/gif": "gif",
  "image/webp": "webp",
  "image/tiff": "tiff",
};

export function endingOf(mediaType: string): string {
  return ENDINGS[mediaType] ?? "bin";
}

/** What kind of file these first bytes begin; null when the mesh does not take it. */
export function kindOf(start: Uint8Array): string | null {
  const begins = (at: number, ...bytes: number[]): boolean => bytes.every((byte, index) => start[at + index] === byte);
  if (begins(0, 0xff, 0xd8, 0xff)) return "image/jpeg";
  if (begins(0, 0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return "image/png";
  if (begins(0, 0x47, 0x49, 0x46, 0x38)) return "image/gif";
  if (begins(0, 0x52, 0x49, 0x46, 0x46) && begins(8, 0x57, 0x45, 0x42, 0x50)) return "image/webp";
  if (begins(0, 0x49, 0x49, 0x2a, 0x00) || begins(0, 0x4d, 0x4d, 0x00, 0x2a)) return "image/tiff";
  return null;
}

/** Why a file cannot be augmented, and what to do; null when it can. */
export async function fileProblem(file: Blob, name: string): Promise<string | null> {
  const called = name === "" ? "This" : `“${name}”`;
  if (file.size === 0) return `${called} is empty.`;
  if (file.size > FILE_LIMIT) return `${called} is larger than 16 MiB. Please make it smaller first.`;
  try {
    if (kindOf(new Uint8Array(await file.slice(0, 16).arrayBuffer())) === null) {
      return `${called} is no JPEG, PNG, GIF, WebP or TIFF file. Save the picture as one of these, and bring it again.`;
    }
  } catch {
    return `The browser could not read ${called === "This" ? "the file" : called}.`;
  }
  return null;
}

async function keyOf(content: ArrayBuffer): Promise<string> {
  // Pages that came over plain HTTP from another machine have no subtle: a name for this tab is enough there.
  if (!("subtle" in crypto)) return `${content.byteLength}-${Date.now().toString(36)}`;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return [...digest.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A file as a source; small ones are kept by the tab, for a reload. */
export async function fileSource(file: Blob, name: string, storage: Storage = sessionStorage): Promise<Source> {
  const content = await file.arrayBuffer();
  const key = await keyOf(content);
  try {
    storage.removeItem(KEPT_UNDER);
    if (content.byteLength <= KEPT_AT_MOST) {
      let binary = "";
      const bytes = new Uint8Array(content);
      for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
      storage.setItem(KEPT_UNDER, JSON.stringify({ key, name, type: file.type, content: btoa(binary) }));
    }
  } catch {
    // The storage is full: after a reload the file has to be brought again.
  }
  return { kind: "file", key, file, name };
}

/** The file with this key as the tab has kept it; with `file: null` where it has not. */
export function keptFile(key: string, storage: Storage = sessionStorage): Source {
  try {
    const kept = JSON.parse(storage.getItem(KEPT_UNDER) ?? "null") as { key: string; name: string; type: string; content: string } | null;
    if (kept && kept.key === key) {
      const bytes = Uint8Array.from(atob(kept.content), (one) => one.charCodeAt(0));
      return { kind: "file", key, file: new Blob([bytes], { type: kept.type }), name: kept.name };
    }
  } catch {
    // Not as it was written.
  }
  return { kind: "file", key, file: null, name: "" };
}

/** The source as the contract has it. `sample` fetches the built-in picture. */
export async function wireSource(source: Source, sample: () => Promise<Uint8Array>): Promise<MessageInitShape<typeof SourceSchema>> {
  switch (source.kind) {
    case "sample":
      return { source: { case: "image", value: await sample() } };
    case "address":
      return { source: { case: "url", value: source.address } };
    case "project":
      return { source: { case: "projectImage", value: { projectId: source.projectId, imageId: source.imageId } } };
    case "file":
      if (!source.file) throw new Error("That file is not in this tab any more. Bring it again.");
      return { source: { case: "image", value: new Uint8Array(await source.file.arrayBuffer()) } };
  }
}
