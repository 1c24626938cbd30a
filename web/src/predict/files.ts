// Pictures that people bring: which the mesh takes, and what to say of the others.

export const FILE_LIMIT = 16 * 1024 * 1024;

/** What kind of file these first bytes begin; null when it is neither JPEG nor PNG. */
export function kindOf(start: Uint8Array): "image/jpeg" | "image/png" | null {
  const begins = (...bytes: number[]): boolean => bytes.every((byte, index) => start[index] === byte);
  if (begins(0xff, 0xd8, 0xff)) return "image/jpeg";
  if (begins(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return "image/png";
  return null;
}

/** Why a file cannot be asked about, and what to do; null when it can. */
export async function fileProblem(file: Blob, name: string): Promise<string | null> {
  const called = name === "" ? "This" : `“${name}”`;
  if (file.size === 0) return `${called} is empty.`;
  if (file.size > FILE_LIMIT) return `${called} is larger than 16 MiB. Please make it smaller first.`;
  try {
    const start = new Uint8Array(await file.slice(0, 16).arrayBuffer());
    if (kindOf(start) === null) return `${called} is no JPEG or PNG file. Save the picture as one of these, and bring it again.`;
  } catch {
    return `The browser could not read ${called === "This" ? "the file" : called}.`;
  }
  return null;
}

/** The first file among what was dropped or pasted. */
export function firstFile(brought: DataTransfer | null): File | null {
  if (!brought) return null;
  return brought.files[0] ?? [...brought.items].find((item) => item.kind === "file")?.getAsFile() ?? null;
}

/** An address that was dropped or pasted as text; null when the text is none. */
export function addressIn(text: string): string | null {
  const trimmed = text.trim();
  if (!/^https?:\/\/\S+$/i.test(trimmed)) return null;
  return URL.canParse(trimmed) ? trimmed : null;
}
