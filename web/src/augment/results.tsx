// What came of it: a grid of small pictures, each saying what was done to it.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useApp } from "../app";
import type { Augmented, Preview } from "../gen/labelmesh/augment/v1/augmentations_pb";
import { type Problem, problemOf } from "../rpc/problems";
import { Progress, several, Trouble } from "../ui/parts";
import { COUNTS, MOST_SEED } from "./address";
import type { Bench, Question } from "./bench";
import { copyText, download, useBlobAddress } from "./blobs";
import type { Catalogue } from "./catalogue";
import { applied, archive } from "./exporting";
import { Large } from "./large";
import { Original } from "./original";
import { Result, Shot } from "./result";
import { sameSource, stemOf } from "./source";

export function Results(props: { bench: Bench; catalogue: Catalogue | null }): JSX.Element {
  const { bench, catalogue } = props;
  const shown = bench.previewer.shown.value;
  const asking = bench.previewer.asking.value;
  const setback = bench.previewer.setback.value;
  const [large, setLarge] = useState<number | null>(null);
  const previews = shown?.reply.previews ?? [];
  const skeletons = previews.length === 0 && (asking || !setback) ? bench.count.value : 0;
  const stale = asking || setback !== null;
  useEffect(() => {
    if (large !== null && large >= previews.length) setLarge(null);
  }, [previews.length, large]);
  return (
    <section class="results" aria-labelledby="results-heading" aria-busy={asking}>
      <Toolbar bench={bench} />
      <div class="results-body">
        <div class="original-cell">
          <Original
            bench={bench}
            original={shown?.reply.original}
            labelsBefore={shown && !sameSource(shown.question.source, bench.source.value) ? shown.question.labels : null}
            stale={setback !== null && shown !== null}
          />
        </div>
        <ul class="grid">
          {shown &&
            catalogue &&
            previews.map((preview, index) => (
              <li key={preview.copy}>
                <Result
                  bench={bench}
                  catalogue={catalogue}
                  question={shown.question}
                  preview={preview}
                  stale={stale}
                  onLarge={() => setLarge(index)}
                />
              </li>
            ))}
          {Array.from({ length: skeletons }, (_, index) => (
            <li key={`skeleton ${index}`} aria-hidden="true">
              <div class={`shot skeleton${asking ? "" : " still"}`} />
            </li>
          ))}
        </ul>
      </div>
      <Peek bench={bench} previews={previews} />
      {shown && catalogue && large !== null && previews[large] && (
        <Large
          bench={bench}
          catalogue={catalogue}
          question={shown.question}
          original={shown.reply.original}
          previews={previews}
          at={large}
          onGo={setLarge}
          onClose={() => setLarge(null)}
        />
      )}
    </section>
  );
}

/** Where the pipeline stands below the results, the first of them stay in sight while its sliders move. */
function Peek(props: { bench: Bench; previews: readonly Preview[] }): JSX.Element {
  const [away, setAway] = useState(false);
  const mark = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // Everything below the top of the screen counts as in it: what is told is only whether the end of the grid went by.
    const watcher = new IntersectionObserver(([entry]) => setAway(entry !== undefined && !entry.isIntersecting), {
      rootMargin: "0px 0px 1000000px 0px",
    });
    if (mark.current) watcher.observe(mark.current);
    return () => watcher.disconnect();
  }, []);
  return (
    <>
      <div ref={mark} />
      {away && (
        <div class="peek" aria-hidden="true">
          {props.previews.slice(0, 6).map((preview) => (
            <PeekAt key={preview.copy} preview={preview} overlays={props.bench.overlays.value} />
          ))}
        </div>
      )}
    </>
  );
}

function PeekAt(props: { preview: Preview; overlays: boolean }): JSX.Element {
  const address = useBlobAddress(props.preview.image, props.preview.mediaType);
  return <span class="peek-shot">{address !== "" && <Shot address={address} preview={props.preview} overlays={props.overlays} />}</span>;
}

function Toolbar(props: { bench: Bench }): JSX.Element {
  const { bench } = props;
  const shown = bench.previewer.shown.value;
  const asking = bench.previewer.asking.value;
  const [typed, setTyped] = useState<string | null>(null);
  const seed = bench.seed.value;
  useEffect(() => setTyped(null), [seed]);
  const [said, setSaid] = useState("");
  useEffect(() => {
    const keys = (event: KeyboardEvent): void => {
      if (event.key.toLowerCase() !== "r" || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      if (document.querySelector("dialog[open]")) return;
      const target = event.target;
      if (target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return;
      if (target instanceof HTMLInputElement && !["range", "checkbox"].includes(target.type)) return;
      bench.another();
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, [bench]);
  return (
    <header class="results-head">
      <div class="results-row">
        <h2 id="results-heading">Results</h2>
        <p class="results-state quiet-text" role="status">
          {said !== "" && said}
          {said === "" && asking && (
            <>
              <span class="spinner" aria-hidden="true" /> Augmenting…
            </>
          )}
          {said === "" && !asking && shown && (
            <span data-testid="state">
              {several(shown.reply.previews.length, "result")} in {Math.round(shown.tookMs)} ms
            </span>
          )}
        </p>
        <div class="actions">
          <button
            type="button"
            class="small"
            onClick={async () => {
              setSaid(
                (await copyText(location.href))
                  ? "The link was copied."
                  : "The browser does not allow copying; take the address of this page.",
              );
              setTimeout(() => setSaid(""), 4000);
            }}
          >
            Copy link
          </button>
          <DownloadAll bench={bench} />
        </div>
      </div>
      <div class="results-row">
        <div class="seed">
          <label for="seed">Seed</label>
          <input
            id="seed"
            type="number"
            min={0}
            max={MOST_SEED}
            step={1}
            value={typed ?? String(seed)}
            onInput={(event) => {
              setTyped(event.currentTarget.value);
              if (event.currentTarget.value.trim() !== "") bench.setSeed(Number(event.currentTarget.value));
            }}
            onBlur={() => setTyped(null)}
          />
          <button type="button" aria-keyshortcuts="R" title="Another seed (R)" onClick={() => bench.another()}>
            Another <kbd>R</kbd>
          </button>
        </div>
        <label class="count">
          <span>Copies</span>
          <input
            type="range"
            min={COUNTS.least}
            max={COUNTS.most}
            step={1}
            value={bench.count.value}
            aria-valuetext={several(bench.count.value, "copy", "copies")}
            onInput={(event) => {
              bench.count.value = Number(event.currentTarget.value);
            }}
          />
          <output>{bench.count.value}</output>
        </label>
        <label class="check">
          <input
            type="checkbox"
            checked={bench.overlays.value}
            onChange={(event) => {
              bench.overlays.value = event.currentTarget.checked;
            }}
          />
          Show labels
        </label>
      </div>
    </header>
  );
}

interface Fetching {
  readonly done: number;
  readonly all: number;
  readonly stop: () => void;
}

function DownloadAll(props: { bench: Bench }): JSX.Element {
  const { mesh } = useApp();
  const { bench } = props;
  const shown = bench.previewer.shown.value;
  const [fetching, setFetching] = useState<Fetching | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const stop = useRef<AbortController | null>(null);
  useEffect(() => () => stop.current?.abort(), []);
  const all = async (question: Question, copies: readonly number[]): Promise<void> => {
    const controller = new AbortController();
    stop.current = controller;
    setProblem(null);
    const results: Augmented[] = [];
    const tell = (): void => setFetching({ done: results.length, all: copies.length, stop: () => controller.abort() });
    tell();
    try {
      for (const copy of copies) {
        results.push(await applied(mesh, bench, question, copy, controller.signal));
        tell();
      }
      download(archive(question, results), `${stemOf(question.source)}-${question.seed}.zip`, "application/zip");
    } catch (thrown) {
      if (!controller.signal.aborted) setProblem(problemOf(thrown));
    }
    setFetching(null);
  };
  return (
    <>
      {fetching ? (
        <span class="fetching">
          <Progress label="Fetched in full" done={fetching.done} all={fetching.all} />
          <span class="quiet-text">
            {fetching.done} of {fetching.all}
          </span>
          <button type="button" class="small" onClick={fetching.stop}>
            Stop
          </button>
        </span>
      ) : (
        <button
          type="button"
          class="small"
          disabled={!shown || shown.reply.previews.length === 0}
          title="Pictures in full, labels (JSON and COCO), recipes and the pipeline, as one zip file"
          onClick={() =>
            shown &&
            void all(
              shown.question,
              shown.reply.previews.map((one) => one.copy),
            )
          }
        >
          Download all
        </button>
      )}
      <Trouble problem={problem} />
    </>
  );
}
