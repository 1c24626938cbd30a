// Ways to bring a picture: drop, choose, paste, take, or name an address.
import type { JSX, TargetedEvent } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { CameraDialog } from "./camera";
import { addressIn, fileProblem, firstFile } from "./files";

export type Brought =
  | { readonly kind: "file"; readonly file: Blob; readonly name: string }
  | { readonly kind: "address"; readonly address: string };

export function Bring(props: { onBrought: (brought: Brought) => void }): JSX.Element {
  const [problem, setProblem] = useState("");
  const [camera, setCamera] = useState(false);
  const [over, setOver] = useState(false);
  const [address, setAddress] = useState("");
  const tell = useRef(props.onBrought);
  tell.current = props.onBrought;

  const bring = async (file: File | null): Promise<void> => {
    if (!file) return;
    const wrong = await fileProblem(file, file.name);
    setProblem(wrong ?? "");
    if (wrong === null) tell.current({ kind: "file", file, name: file.name || "pasted picture" });
  };
  const bringAddress = (text: string): void => {
    const found = addressIn(text);
    setProblem(found === null ? "An address begins with http:// or https://." : "");
    if (found !== null) tell.current({ kind: "address", address: found });
  };

  useEffect(() => {
    const paste = (event: ClipboardEvent): void => {
      if (event.target instanceof HTMLInputElement) return;
      const file = firstFile(event.clipboardData);
      const text = addressIn(event.clipboardData?.getData("text") ?? "");
      if (!file && text === null) return;
      event.preventDefault();
      if (file) void bring(file);
      else if (text !== null) bringAddress(text);
    };
    const drag = (event: DragEvent): void => {
      event.preventDefault();
      setOver(event.type === "dragover");
    };
    const drop = (event: DragEvent): void => {
      event.preventDefault();
      setOver(false);
      const file = firstFile(event.dataTransfer);
      const text = addressIn(event.dataTransfer?.getData("text/uri-list") ?? "");
      if (file) void bring(file);
      else if (text !== null) bringAddress(text);
      else setProblem("What was dropped is no picture. Drop a JPEG or PNG file.");
    };
    addEventListener("paste", paste);
    addEventListener("dragover", drag);
    addEventListener("dragleave", drag);
    addEventListener("drop", drop);
    return () => {
      removeEventListener("paste", paste);
      removeEventListener("dragover", drag);
      removeEventListener("dragleave", drag);
      removeEventListener("drop", drop);
    };
  }, []);

  const chosen = (event: TargetedEvent<HTMLInputElement>): void => {
    const file = event.currentTarget.files?.[0] ?? null;
    event.currentTarget.value = "";
    void bring(file);
  };
  return (
    <div class={`bring${over ? " over" : ""}`}>
      <p class="quiet-text">Or bring a picture: drop it anywhere here, paste it, or</p>
      <div class="actions start">
        <label class="button">
          Choose a file
          <input class="unseen" type="file" accept="image/jpeg,image/png" onChange={chosen} />
        </label>
        <button type="button" onClick={() => setCamera(true)}>
          Use the camera
        </button>
      </div>
      <form
        class="address"
        onSubmit={(event) => {
          event.preventDefault();
          bringAddress(address);
        }}
      >
        <input
          aria-label="Address of a picture"
          inputMode="url"
          maxLength={4000}
          placeholder="https://… address of a picture"
          value={address}
          onInput={(event) => setAddress(event.currentTarget.value)}
        />
        <button type="submit" disabled={address.trim() === ""}>
          Ask
        </button>
      </form>
      <div role="alert" class="trouble-slot">
        {problem !== "" && <p class="trouble">{problem}</p>}
      </div>
      {camera && (
        <CameraDialog
          onClose={() => setCamera(false)}
          onTaken={(file) => {
            setCamera(false);
            void bring(file);
          }}
        />
      )}
    </div>
  );
}
