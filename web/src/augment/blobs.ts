// Bytes of an answer as something that an <img> shows.
import { useEffect, useState } from "preact/hooks";

/** An address of these bytes for as long as a component shows them; empty until there is one. */
export function useBlobAddress(bytes: Uint8Array | undefined, mediaType: string): string {
  const [address, setAddress] = useState("");
  useEffect(() => {
    if (!bytes || bytes.length === 0) return setAddress("");
    const made = URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>], { type: mediaType }));
    setAddress(made);
    // The picture before is shown until this one is there.
    return () => setTimeout(() => URL.revokeObjectURL(made), 1000);
  }, [bytes, mediaType]);
  return address;
}

/** Hands a file to the browser's downloads. */
export function download(bytes: Uint8Array | string, name: string, mediaType: string): void {
  const address = URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer> | string], { type: mediaType }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Copies a text; false where the browser does not allow it. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Pages that came over plain HTTP have no clipboard; the old way still works there.
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "unseen";
    (document.querySelector("dialog[open]") ?? document.body).append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}
