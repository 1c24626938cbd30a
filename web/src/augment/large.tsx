// One result as large as the screen, with everything that was drawn for it.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Preview } from "../gen/labelmesh/augment/v1/augmentations_pb";
import { type Problem, problemOf } from "../rpc/problems";
import { Dialog, percent, Trouble } from "../ui/parts";
import type { Bench, Question } from "./bench";
import { copyText, useBlobAddress } from "./blobs";
import type { Catalogue } from "./catalogue";
import { recipeJson, stepsDone } from "./drawn";
import { labelsInWords } from "./overlay";
import { DownloadOne, DrawnValues, Shot } from "./result";

export function Large(props: {
  bench: Bench;
  catalogue: Catalogue;
  question: Question;
  original: Preview | undefined;
  previews: readonly Preview[];
  at: number;
  onGo: (at: number) => void;
  onClose: () => void;
}): JSX.Element | null {
  const { bench, question, at, previews, onGo } = props;
  const small = previews[at];
  const [fetched, setFetched] = useState<{ of: Preview; preview: Preview } | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [before, setBefore] = useState(false);
  const [said, setSaid] = useState("");
  useEffect(() => {
    if (!small) return;
    setProblem(null);
    setSaid("");
    const controller = new AbortController();
    // The small picture stands in until the large one is there; passing by fetches nothing.
    const timer = setTimeout(() => {
      bench.large(question, small.copy, controller.signal).then(
        (preview) => setFetched({ of: small, preview }),
        (thrown) => {
          if (!controller.signal.aborted) setProblem(problemOf(thrown));
        },
      );
    }, 120);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [small, question]);
  const preview = fetched && fetched.of === small ? fetched.preview : small;
  const shown = before && props.original ? { ...props.original, labels: question.labels } : preview;
  const address = useBlobAddress(shown?.image, shown?.mediaType ?? "");
  const go = (by: number): void => onGo((at + by + previews.length) % previews.length);
  if (!small || !preview || !shown) return null;
  const done = stepsDone(preview.recipe, props.catalogue);
  return (
    <Dialog title={`Copy ${small.copy}, seed ${question.seed}`} class="large" onClose={props.onClose}>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: arrow keys do what the two buttons do */}
      <div
        class="large-body"
        onKeyDown={(event) => {
          if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
          event.preventDefault();
          go(event.key === "ArrowLeft" ? -1 : 1);
        }}
      >
        <div class="large-stage" data-testid="large">
          {address !== "" && <Shot address={address} preview={shown as Preview} overlays={bench.overlays.value} named />}
          <p class="unseen" aria-live="polite">
            {before ? "The original." : `Copy ${small.copy}.`} {labelsInWords(shown.labels)}
          </p>
        </div>
        <div class="large-side">
          <div class="actions start">
            <button type="button" aria-label="The copy before" onClick={() => go(-1)}>
              ←
            </button>
            <button type="button" autofocus aria-label="The next copy" onClick={() => go(1)}>
              →
            </button>
            <button type="button" aria-pressed={before} onClick={() => setBefore(!before)}>
              Original
            </button>
          </div>
          <p class="quiet-text">
            {preview.fullWidth} × {preview.fullHeight} pixels in full
          </p>
          <Trouble problem={problem} />
          {done.length === 0 ? <p class="quiet-text">Nothing was done to this copy.</p> : <DrawnValues done={done} />}
          {preview.dropped.length > 0 && (
            <div>
              <h3>Labels lost</h3>
              <ul class="dropped">
                {preview.dropped.map((one, index) => (
                  <li key={index}>
                    {one.label || one.id || "without a name"}: {percent(one.visibleShare)} left
                  </li>
                ))}
              </ul>
            </div>
          )}
          <div class="actions start">
            <DownloadOne bench={bench} question={question} copy={small.copy} text="Download in full" />
            <button
              type="button"
              title="Given to Apply with the same file it makes the same picture again"
              onClick={async () =>
                setSaid((await copyText(recipeJson(preview.recipe))) ? "Copied." : "The browser does not allow copying.")
              }
            >
              Copy recipe
            </button>
            <span role="status" class="quiet-text">
              {said}
            </span>
          </div>
        </div>
      </div>
    </Dialog>
  );
}
