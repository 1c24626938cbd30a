// Where files are dropped.
import type { JSX, TargetedEvent } from "preact";
import { useRef, useState } from "preact/hooks";
import { useApp } from "../app";
import { type Problem, problemOf } from "../rpc/problems";
import { Progress, several, Trouble } from "../ui/parts";
import { droppedFiles, type Upload, type UploadProgress, uploadImages, uploadOf } from "./upload";

export function UploadPanel(props: { projectId: string; imagesCount: number; onAdded: () => void }): JSX.Element {
  const { mesh } = useApp();
  const [over, setOver] = useState(false);
  const [progress, setProgress] = useState<UploadProgress | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [running, setRunning] = useState(false);
  const stop = useRef<AbortController | null>(null);

  const bring = async (files: Upload[]): Promise<void> => {
    if (running || files.length === 0) return;
    const controller = new AbortController();
    stop.current = controller;
    setRunning(true);
    setProblem(null);
    try {
      await uploadImages(mesh, props.projectId, files, setProgress, controller.signal);
    } catch (thrown) {
      if (!controller.signal.aborted) setProblem(problemOf(thrown));
    } finally {
      setRunning(false);
      props.onAdded();
    }
  };

  const chosen = (event: TargetedEvent<HTMLInputElement>): void => {
    const files = [...(event.currentTarget.files ?? [])].map((file) => uploadOf(file));
    event.currentTarget.value = "";
    void bring(files);
  };
  return (
    <section
      class={`panel drop${over ? " over" : ""}`}
      aria-label="Add images"
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        if (event.dataTransfer) void droppedFiles(event.dataTransfer.items).then(bring);
      }}
    >
      <h2>Images</h2>
      <p>
        {several(props.imagesCount, "image")} in this project. Drop JPEG or PNG files or whole folders here, up to 16 MiB each. Files that
        are here already are not added twice.
      </p>
      <div class="actions start">
        <label class={`button primary${running ? " off" : ""}`}>
          Choose files
          <input class="unseen" type="file" multiple accept="image/jpeg,image/png" disabled={running} onChange={chosen} />
        </label>
        <label class={`button${running ? " off" : ""}`}>
          Choose a folder
          <input class="unseen" type="file" multiple disabled={running} onChange={chosen} {...{ webkitdirectory: true }} />
        </label>
        {running && (
          <button type="button" onClick={() => stop.current?.abort()}>
            Stop
          </button>
        )}
      </div>
      <div class="upload-slot" aria-live="polite">
        {progress && <UploadReport progress={progress} running={running} />}
      </div>
      <Trouble problem={problem}> What was added stays; add the files again to go on.</Trouble>
    </section>
  );
}

function UploadReport(props: { progress: UploadProgress; running: boolean }): JSX.Element {
  const { progress, running } = props;
  const parts = [`${several(progress.added, "image")} added`];
  if (progress.duplicates > 0) parts.push(`${several(progress.duplicates, "was", "were")} here already`);
  if (progress.refused.length > 0) parts.push(`${several(progress.refused.length, "file")} refused`);
  return (
    <>
      <Progress label="Files sent" done={progress.done} all={progress.total} />
      <p>
        {running ? `${progress.done} of ${several(progress.total, "file")} sent: ` : ""}
        {parts.join(", ")}.
      </p>
      {progress.refused.length > 0 && (
        <details open={progress.refused.length <= 10}>
          <summary>Refused files</summary>
          <ul class="refused">
            {progress.refused.slice(0, 500).map((file) => (
              <li key={file.name}>
                <strong>{file.name}</strong>: {file.why}
              </li>
            ))}
          </ul>
        </details>
      )}
    </>
  );
}
