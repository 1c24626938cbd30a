// Ways to bring a picture: an address, a file, an image of a project, or the built-in one.
import type { JSX, TargetedEvent } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useApp } from "../app";
import { addressIn, firstFile } from "../predict/files";
import { useLoaded } from "../ui/loaded";
import type { Bench } from "./bench";
import { NoLabels, readLabels } from "./labels";
import { ImagePicker } from "./projects";
import { fileProblem, fileSource, nameOf } from "./source";

/** Of a file with labels: COCO files of whole data sets are large. */
const LABELS_LIMIT = 64 * 1024 * 1024;
const KINDS = "image/jpeg,image/png,image/gif,image/webp,image/tiff";

export function Bring(props: { bench: Bench; children?: JSX.Element | null }): JSX.Element {
  const { mesh } = useApp();
  const { bench } = props;
  const source = bench.source.value;
  // A link names an image of a project by its id alone.
  const image = useLoaded(
    (signal) =>
      source.kind === "project" && source.name === ""
        ? mesh.images.getImage({ projectId: source.projectId, imageId: source.imageId }, { signal })
        : Promise.resolve(null),
    [source],
  );
  const [problem, setProblem] = useState("");
  const [picking, setPicking] = useState(false);
  const [over, setOver] = useState(false);
  const [address, setAddress] = useState(source.kind === "address" ? source.address : "");
  useEffect(() => setAddress(source.kind === "address" ? source.address : ""), [source]);

  const bringFile = useRef(async (_file: File | null): Promise<void> => undefined);
  bringFile.current = async (file) => {
    if (!file) return;
    const wrong = await fileProblem(file, file.name);
    setProblem(wrong ?? "");
    if (wrong === null) bench.bring(await fileSource(file, file.name || "pasted picture"));
  };
  /** A picture, its labels as JSON, or both together. */
  const bringFiles = useRef(async (_files: readonly File[]): Promise<void> => undefined);
  bringFiles.current = async (files) => {
    const labels = files.find((one) => /\.json$/i.test(one.name));
    await bringFile.current(files.find((one) => one !== labels) ?? null);
    if (!labels) return;
    try {
      if (labels.size > LABELS_LIMIT) throw new NoLabels("This file is larger than 64 MiB. Bring one with fewer images.");
      bench.labels.value = readLabels(await labels.text(), nameOf(bench.source.value));
      bench.overlays.value = true;
    } catch (thrown) {
      setProblem(thrown instanceof Error ? thrown.message : String(thrown));
    }
  };
  const bringAddress = useRef((_text: string): void => undefined);
  bringAddress.current = (text) => {
    const found = addressIn(text);
    setProblem(
      found === null
        ? "The address of a picture begins with https:// or http://. Copy it from the picture itself, not from the page around it."
        : "",
    );
    if (found !== null) bench.bring({ kind: "address", address: found });
  };

  useEffect(() => {
    const busy = (): boolean => document.querySelector("dialog[open]") !== null;
    const paste = (event: ClipboardEvent): void => {
      if (busy() || event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement) return;
      const file = firstFile(event.clipboardData);
      const text = addressIn(event.clipboardData?.getData("text") ?? "");
      if (!file && text === null) return;
      event.preventDefault();
      if (file) void bringFile.current(file);
      else if (text !== null) bringAddress.current(text);
    };
    // Steps are dragged as well: only files and addresses are for us.
    const ours = (event: DragEvent): boolean =>
      !busy() && (event.dataTransfer?.types.some((type) => type === "Files" || type === "text/uri-list") ?? false);
    const drag = (event: DragEvent): void => {
      if (!ours(event)) return;
      event.preventDefault();
      setOver(event.type === "dragover");
    };
    const drop = (event: DragEvent): void => {
      if (!ours(event)) return;
      event.preventDefault();
      setOver(false);
      const files = [...(event.dataTransfer?.files ?? [])];
      const text = addressIn(event.dataTransfer?.getData("text/uri-list") ?? "");
      if (files.length > 0) void bringFiles.current(files);
      else if (text !== null) bringAddress.current(text);
      else setProblem("What was dropped is no picture. Drop a JPEG, PNG, GIF, WebP or TIFF file.");
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
    void bringFile.current(file);
  };
  const what = { sample: "The sample picture", address: "From an address", project: "An image of a project", file: "A file of yours" }[
    source.kind
  ];
  return (
    <section class={`panel bring-bar${over ? " over" : ""}`} aria-label="The picture">
      <div class="bring-row">
        <form
          class="address"
          onSubmit={(event) => {
            event.preventDefault();
            bringAddress.current(address);
          }}
        >
          <input
            type="text"
            aria-label="Address of a picture"
            inputMode="url"
            maxLength={4000}
            autocomplete="off"
            spellcheck={false}
            placeholder="https://… address of a picture"
            value={address}
            onInput={(event) => setAddress(event.currentTarget.value)}
          />
          <button type="submit" disabled={address.trim() === ""}>
            Show
          </button>
        </form>
        <div class="actions start">
          <label class="button">
            Choose a file
            <input class="unseen" type="file" accept={KINDS} onChange={chosen} />
          </label>
          <button type="button" onClick={() => setPicking(true)}>
            From a project
          </button>
          {source.kind !== "sample" && (
            <button type="button" onClick={() => bench.bring({ kind: "sample" })}>
              Sample picture
            </button>
          )}
        </div>
      </div>
      <p class="quiet-text asked-name" data-testid="source">
        {what}
        {source.kind !== "sample" && `: ${source.kind === "address" ? source.address : image.value?.image?.name || nameOf(source)}`}
        {source.kind === "sample" && ". Yours can be dropped or pasted anywhere on this page, with its labels (JSON or COCO) if you like."}
      </p>
      <div role="alert" class="trouble-slot">
        {problem !== "" && <p class="trouble">{problem}</p>}
        {source.kind === "file" && source.file === null && (
          <p class="trouble">
            This link shows a file of somebody’s own, which is not in this tab. Bring the file, and it looks the same: the pipeline and the
            seed are here.
          </p>
        )}
        {bench.linkProblems.value.map((one) => (
          <p key={one} class="trouble">
            {one}
          </p>
        ))}
      </div>
      {props.children}
      {picking && (
        <ImagePicker
          onClose={() => setPicking(false)}
          onChosen={(projectId, image) => {
            setPicking(false);
            setProblem("");
            bench.bring({ kind: "project", projectId, imageId: image.id, name: image.name });
          }}
        />
      )}
    </section>
  );
}
