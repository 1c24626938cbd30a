// One result: the picture with its labels, what was drawn for it, and its file.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useApp } from "../app";
import type { Preview } from "../gen/labelmesh/augment/v1/augmentations_pb";
import { type Problem, problemOf } from "../rpc/problems";
import { several, Trouble } from "../ui/parts";
import type { Bench, Question } from "./bench";
import { download, useBlobAddress } from "./blobs";
import type { Catalogue } from "./catalogue";
import { type Done, stepsDone } from "./drawn";
import { applied, fileName } from "./exporting";
import { labelsInWords, Overlay } from "./overlay";

export function Result(props: {
  bench: Bench;
  catalogue: Catalogue;
  question: Question;
  preview: Preview;
  stale: boolean;
  onLarge: () => void;
}): JSX.Element {
  const { bench, catalogue, question, preview } = props;
  const address = useBlobAddress(preview.image, preview.mediaType);
  const done = stepsDone(preview.recipe, catalogue);
  const pointed = bench.pointed.value;
  const isPointed = pointed !== null && done.some((one) => bench.stepOf(question.pipeline, one.path)?.key === pointed);
  const classes = ["result", props.stale && "stale", pointed !== null && (isPointed ? "touched" : "untouched")];
  const words = done.length === 0 ? "nothing done" : done.map((one) => one.title).join(", ");
  return (
    <article class={classes.filter(Boolean).join(" ")} data-testid="result" aria-label={`Copy ${preview.copy}`}>
      <button
        type="button"
        class="shot"
        aria-label={`Copy ${preview.copy} large: ${words}. ${labelsInWords(preview.labels)}`}
        onClick={props.onLarge}
      >
        {address === "" ? <span class="skeleton" /> : <Shot address={address} preview={preview} overlays={bench.overlays.value} />}
      </button>
      <Steps bench={bench} question={question} copy={preview.copy} done={done} />
      <footer class="result-foot">
        <span class="quiet-text">
          {preview.fullWidth} × {preview.fullHeight}
          {preview.dropped.length > 0 && `, ${several(preview.dropped.length, "label")} lost`}
        </span>
        <DownloadOne bench={bench} question={question} copy={preview.copy} />
      </footer>
    </article>
  );
}

/** The picture at its own proportions in a cell of equal height, the labels exactly over it. */
export function Shot(props: { address: string; preview: Preview; overlays: boolean; named?: boolean }): JSX.Element {
  const { preview } = props;
  const { fullWidth, fullHeight } = preview;
  const shape = { aspectRatio: `${fullWidth} / ${fullHeight}`, "--shape": String(fullWidth / Math.max(1, fullHeight)) };
  return (
    <span class="fit" style={shape}>
      <img src={props.address} alt="" draggable={false} />
      {props.overlays && <Overlay labels={preview.labels} width={fullWidth} height={fullHeight} named={props.named ?? false} />}
    </span>
  );
}

/** The names of what was done; each opens to the values that were drawn. */
function Steps(props: { bench: Bench; question: Question; copy: number; done: readonly Done[] }): JSX.Element {
  const { bench, question, done } = props;
  if (done.length === 0) return <p class="chips quiet-text">Nothing was done</p>;
  return (
    <details class="drawn">
      <summary>
        <span class="unseen">What was drawn for copy {props.copy}: </span>
        <span class="chips">
          {done.map((one, index) => (
            // biome-ignore lint/a11y/noStaticElementInteractions: what is pointed at is the step, which is reached and named in the pipeline
            <span
              key={index}
              class={`chip family-${one.family}`}
              onMouseEnter={() => {
                bench.pointed.value = bench.stepOf(question.pipeline, one.path)?.key ?? null;
              }}
              onMouseLeave={() => {
                bench.pointed.value = null;
              }}
            >
              {one.title}
              {one.brief !== "" && <b> {one.brief}</b>}
            </span>
          ))}
          <span class="chip more" aria-hidden="true">
            values
          </span>
        </span>
      </summary>
      <DrawnValues done={done} />
    </details>
  );
}

export function DrawnValues(props: { done: readonly Done[] }): JSX.Element {
  return (
    <dl class="drawn-values">
      {props.done.map((one, index) => (
        <div key={index} class={`family-${one.family}`}>
          <dt>{one.title}</dt>
          {one.values.length === 0 && <dd class="quiet-text">nothing to draw</dd>}
          {one.values.map((value) => (
            <dd key={value.title}>
              <span>{value.title}</span> <b>{value.text}</b>
            </dd>
          ))}
        </div>
      ))}
    </dl>
  );
}

/** One result in full, as a file of its right kind. */
export function DownloadOne(props: { bench: Bench; question: Question; copy: number; text?: string }): JSX.Element {
  const { mesh } = useApp();
  const { bench, question, copy } = props;
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const stop = useRef<AbortController | null>(null);
  useEffect(() => () => stop.current?.abort(), []);
  const fetchIt = async (): Promise<void> => {
    const controller = new AbortController();
    stop.current = controller;
    setBusy(true);
    setProblem(null);
    try {
      const one = await applied(mesh, bench, question, copy, controller.signal);
      download(one.image, fileName(question, one), one.mediaType);
    } catch (thrown) {
      if (controller.signal.aborted) return;
      setProblem(problemOf(thrown));
    }
    setBusy(false);
  };
  return (
    <>
      <button
        type="button"
        class={props.text ? "" : "quiet mini"}
        disabled={busy}
        aria-label={props.text ? undefined : `Download copy ${copy} in full`}
        title="In full size, as a file"
        onClick={() => void fetchIt()}
      >
        {busy ? "…" : (props.text ?? "↓")}
      </button>
      <Trouble problem={problem} />
    </>
  );
}
