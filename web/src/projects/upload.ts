// Bringing files into a project: in batches the gateway takes, each file with an outcome of its own.
import { AddImageResult_Outcome } from "../gen/labelmesh/labeling/v1/images_pb";
import type { Mesh } from "../rpc/mesh";
import { problemOf } from "../rpc/problems";

/** The mesh takes files up to this size, in bytes. */
export const FILE_LIMIT = 16 * 1024 * 1024;
/** A batch is small enough to show progress and to be sent again at little cost. */
const BATCH_BYTES = 4 * 1024 * 1024;
const BATCH_FILES = 100;
const ATTEMPTS = 6;

export interface Refused {
  readonly name: string;
  readonly why: string;
}

export interface UploadProgress {
  readonly total: number;
  readonly done: number;
  readonly added: number;
  readonly duplicates: number;
  readonly refused: readonly Refused[];
}

export interface Upload {
  readonly name: string;
  readonly size: number;
  read(): Promise<Uint8Array<ArrayBuffer>>;
}

/** Puts files together so that no batch exceeds the limits; a larger file is a batch of its own. */
export function batches<File extends { readonly size: number }>(files: readonly File[], bytes = BATCH_BYTES, most = BATCH_FILES): File[][] {
  const all: File[][] = [];
  let batch: File[] = [];
  let size = 0;
  for (const file of files) {
    if (batch.length > 0 && (size + file.size > bytes || batch.length >= most)) {
      all.push(batch);
      batch = [];
      size = 0;
    }
    batch.push(file);
    size += file.size;
  }
  if (batch.length > 0) all.push(batch);
  return all;
}

/** Sends the files and tells after each batch how far it is. What was sent before is known by its content and not added twice. */
export async function uploadImages(
  mesh: Pick<Mesh, "images" | "link">,
  projectId: string,
  files: readonly Upload[],
  tell: (progress: UploadProgress) => void,
  stop: AbortSignal,
): Promise<UploadProgress> {
  const tooLarge = files.filter((file) => file.size > FILE_LIMIT);
  let progress: UploadProgress = {
    total: files.length,
    done: tooLarge.length,
    added: 0,
    duplicates: 0,
    refused: tooLarge.map((file) => ({ name: file.name, why: "The file is larger than 16 MiB." })),
  };
  tell(progress);
  for (const batch of batches(files.filter((file) => file.size <= FILE_LIMIT))) {
    if (stop.aborted) break;
    const images: { name: string; content: Uint8Array<ArrayBuffer> }[] = [];
    const refused: Refused[] = [];
    for (const file of batch) {
      try {
        images.push({ name: file.name.slice(0, 1024), content: await file.read() });
      } catch {
        refused.push({ name: file.name, why: "The browser could not read the file." });
      }
    }
    let added = 0;
    let duplicates = 0;
    if (images.length > 0) {
      const results = await send(mesh, projectId, images, stop);
      for (const result of results) {
        if (result.outcome === AddImageResult_Outcome.ADDED) added += 1;
        else if (result.outcome === AddImageResult_Outcome.DUPLICATE) duplicates += 1;
        else refused.push({ name: result.name, why: result.problem });
      }
    }
    progress = {
      total: progress.total,
      done: progress.done + batch.length,
      added: progress.added + added,
      duplicates: progress.duplicates + duplicates,
      refused: [...progress.refused, ...refused],
    };
    tell(progress);
  }
  return progress;
}

async function send(
  mesh: Pick<Mesh, "images" | "link">,
  projectId: string,
  images: { name: string; content: Uint8Array<ArrayBuffer> }[],
  stop: AbortSignal,
): Promise<{ name: string; outcome: AddImageResult_Outcome; problem: string }[]> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return (await mesh.images.addImages({ projectId, images }, { signal: stop, timeoutMs: 60_000 })).results;
    } catch (thrown) {
      const problem = problemOf(thrown);
      if (!problem.transient || attempt >= ATTEMPTS || stop.aborted) throw thrown;
      await mesh.link.back(Math.min(1000 * 2 ** attempt, 10_000));
    }
  }
}

/** All files of what was dropped, folders included. Names tell the folder. */
export async function droppedFiles(items: DataTransferItemList): Promise<Upload[]> {
  const entries = [...items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const files: Upload[] = [];
  for (const entry of entries) await collect(entry, files);
  return files;
}

async function collect(entry: FileSystemEntry, into: Upload[]): Promise<void> {
  if (into.length >= 100_000) return;
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    if (!file.name.startsWith(".")) into.push(uploadOf(file, entry.fullPath.replace(/^\//, "")));
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const one of some) await collect(one, into);
  }
}

export function uploadOf(file: File, name = file.webkitRelativePath || file.name): Upload {
  return { name, size: file.size, read: async () => new Uint8Array(await file.arrayBuffer()) };
}
