// The pipeline: its steps, and what holds for all of them.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Fill, Format } from "../gen/labelmesh/augment/v1/pipelines_pb";
import { Select } from "../ui/parts";
import { AddStep } from "./adding";
import type { Bench } from "./bench";
import { type Catalogue, colourOfHex, hexOf } from "./catalogue";
import { Remarks } from "./control";
import { JsonDialog } from "./json";
import { MAX_DEPTH, newStep, type Path, type Pipeline, pipelineFrom, type Rules, stepAt } from "./pipeline";
import { PRESETS } from "./presets";
import { SavedDialog } from "./saved";
import { Slider } from "./slider";
import { addStep, StepList } from "./steps";

const FILLS = [
  { value: String(Fill.COLOUR), text: "One colour" },
  { value: String(Fill.EDGE), text: "The edge, drawn out" },
  { value: String(Fill.MIRROR), text: "The picture mirrored" },
];
const FORMATS = [
  { value: String(Format.UNSPECIFIED), text: "The picture's own" },
  { value: String(Format.JPEG), text: "JPEG" },
  { value: String(Format.PNG), text: "PNG" },
  { value: String(Format.WEBP), text: "WebP" },
  { value: String(Format.TIFF), text: "TIFF" },
  { value: String(Format.GIF), text: "GIF" },
];
const SHARE = { minimum: 0, maximum: 100, step: 1, logarithmic: false, whole: false };
const AREA = { minimum: 0, maximum: 10_000, step: 1, logarithmic: false, whole: false };
const QUALITY = { minimum: 0, maximum: 100, step: 1, logarithmic: false, whole: true };
/** What the mesh takes where a rule is not set. */
const USUAL = { share: 0.1, area: 1 };

export function PipelineEditor(props: { bench: Bench; catalogue: Catalogue; manager: boolean }): JSX.Element {
  const { bench, catalogue } = props;
  const pipeline = bench.changes.now.value;
  const depth = bench.changes.depth.value;
  const saved = bench.saved.value;
  const [adding, setAdding] = useState<Path | null>(null);
  const [dialog, setDialog] = useState<"" | "json" | "saved">("");
  useEffect(() => {
    const keys = (event: KeyboardEvent): void => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey || document.querySelector("dialog[open]")) return;
      const key = event.key.toLowerCase();
      if (key !== "z" && key !== "y") return;
      // Texts under way have an undo of their own.
      if (event.target instanceof HTMLTextAreaElement || (event.target instanceof HTMLInputElement && event.target.type === "text")) return;
      event.preventDefault();
      if (key === "y" || event.shiftKey) bench.redo();
      else bench.undo();
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, [bench]);
  return (
    <section class="panel pipeline" aria-labelledby="pipeline-heading">
      <header class="pipeline-head">
        <h2 id="pipeline-heading">Pipeline</h2>
        <div class="actions">
          <button
            type="button"
            class="quiet icon"
            aria-label="Undo"
            title="Undo (Ctrl+Z)"
            disabled={depth.undo === 0}
            onClick={() => bench.undo()}
          >
            ↶
          </button>
          <button
            type="button"
            class="quiet icon"
            aria-label="Redo"
            title="Redo (Ctrl+Shift+Z)"
            disabled={depth.redo === 0}
            onClick={() => bench.redo()}
          >
            ↷
          </button>
          <button type="button" class="small" onClick={() => setDialog("json")}>
            JSON
          </button>
          <button type="button" class="small" onClick={() => setDialog("saved")}>
            Save, load
          </button>
        </div>
      </header>
      {saved && (
        <p class="quiet-text" data-testid="saved-as">
          From <strong>{saved.name}</strong>, version {saved.version}
        </p>
      )}
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset would look and read like a form */}
      <div class="presets" role="group" aria-label="Begin with">
        <span class="quiet-text" aria-hidden="true">
          Presets
        </span>
        {PRESETS.map((one) => (
          <button
            key={one.name}
            type="button"
            class="small"
            title={one.summary}
            onClick={() => {
              bench.replace(catalogue.known(pipelineFrom(one.pipeline)));
              bench.said.value = `${one.title}: ${one.summary}`;
            }}
          >
            {one.title}
          </button>
        ))}
        <button
          type="button"
          class="small"
          disabled={pipeline.steps.length === 0}
          onClick={() => bench.edit((now) => ({ ...now, steps: [] }))}
        >
          Clear
        </button>
      </div>
      <Remarks remarks={bench.remarks.value.get("") ?? []} />
      {pipeline.steps.length === 0 && (
        <p class="quiet-text">Nothing is done to the picture yet. Add a step, or begin with one of the three above.</p>
      )}
      <StepList bench={bench} catalogue={catalogue} steps={pipeline.steps} parent={[]} onAdd={setAdding} />
      <Whole bench={bench} pipeline={pipeline} />
      {adding !== null && (
        <AddStep
          key={adding.join(".")}
          catalogue={catalogue}
          into={adding.length === 0 ? "" : catalogue.title(stepAt(pipeline, adding)?.transform ?? "")}
          onClose={() => setAdding(null)}
          onChosen={(transform) => {
            const place = adding.length === 0 ? pipeline.steps.length : (stepAt(pipeline, adding)?.steps.length ?? 0);
            addStep(bench, adding, newStep(transform.name), catalogue.title(transform.name));
            // A step that holds others is nothing without one.
            setAdding(transform.holdsSteps && adding.length + 1 < MAX_DEPTH ? [...adding, place] : null);
          }}
        />
      )}
      {dialog === "json" && <JsonDialog bench={bench} onClose={() => setDialog("")} />}
      {dialog === "saved" && <SavedDialog bench={bench} manager={props.manager} onClose={() => setDialog("")} />}
    </section>
  );
}

/** What holds for all steps: what fills the outside, when labels are kept, how results are written. */
function Whole(props: { bench: Bench; pipeline: Pipeline }): JSX.Element {
  const { bench, pipeline } = props;
  const rules = (change: Partial<Rules>, topic: string): void =>
    bench.edit((now) => ({ ...now, rules: { ...now.rules, ...change } }), topic);
  const single = (next: unknown): number => (typeof next === "number" ? next : 0);
  return (
    <div class="whole">
      <details>
        <summary>Outside of the picture</summary>
        <div class="whole-body">
          <Select
            label="Filled with"
            value={String(pipeline.fill)}
            options={FILLS}
            onChoose={(value) => bench.edit((now) => ({ ...now, fill: Number(value) as Fill }))}
          />
          {pipeline.fill === Fill.COLOUR && (
            <div class="colour-row">
              <label class="check">
                <input
                  type="checkbox"
                  checked={pipeline.fillColour !== null}
                  onChange={(event) => {
                    const fillColour = event.currentTarget.checked ? ([114, 114, 114] as const) : null;
                    bench.edit((now) => ({ ...now, fillColour }));
                  }}
                />
                A colour of its own
              </label>
              {pipeline.fillColour ? (
                <input
                  type="color"
                  aria-label="Colour outside of the picture"
                  value={hexOf([...pipeline.fillColour])}
                  onInput={(event) => {
                    const fillColour = colourOfHex(event.currentTarget.value);
                    bench.edit((now) => ({ ...now, fillColour }), "fill colour");
                  }}
                />
              ) : (
                <span class="quiet-text">black, or clear where the picture has transparency</span>
              )}
            </div>
          )}
        </div>
      </details>
      <details>
        <summary>Labels that are kept</summary>
        <div class="whole-body">
          <div class="control">
            <div class="control-head">
              <span class="control-name">At least this much of it to be seen</span>
              <span class="control-value">{Math.round((pipeline.rules.minVisibleShare ?? USUAL.share) * 100)} %</span>
            </div>
            <Slider
              scale={SHARE}
              value={(pipeline.rules.minVisibleShare ?? USUAL.share) * 100}
              label="Least visible share of a label"
              unit=" %"
              onChange={(next) => rules({ minVisibleShare: Number((single(next) / 100).toFixed(4)) }, "share")}
            />
          </div>
          <div class="control">
            <div class="control-head">
              <span class="control-name">
                At least this large <span class="control-unit">square pixels</span>
              </span>
            </div>
            <Slider
              scale={AREA}
              value={pipeline.rules.minArea ?? USUAL.area}
              label="Least area of a label in square pixels"
              unit=" px²"
              onChange={(next) => rules({ minArea: Math.max(0, single(next)) }, "area")}
            />
          </div>
          <MirrorPairs pairs={pipeline.rules.mirrorPairs} onChange={(mirrorPairs) => rules({ mirrorPairs }, "pairs")} />
        </div>
      </details>
      <details>
        <summary>Files of the results</summary>
        <div class="whole-body">
          <Select
            label="Format"
            value={String(pipeline.format)}
            options={FORMATS}
            onChoose={(value) => bench.edit((now) => ({ ...now, format: Number(value) as Format }))}
          />
          <div class="control">
            <div class="control-head">
              <span class="control-name">Quality of JPEG and WebP</span>
              <span class="control-value">{pipeline.quality === 0 ? "as the picture's" : pipeline.quality}</span>
            </div>
            <Slider
              scale={QUALITY}
              value={pipeline.quality}
              label="Quality, 0 for the picture's own"
              unit=""
              onChange={(next) => {
                const quality = Math.max(0, Math.min(100, Math.round(single(next))));
                bench.edit((now) => ({ ...now, quality }), "quality");
              }}
            />
          </div>
          <label class="check">
            <input
              type="checkbox"
              checked={pipeline.keepMetadata}
              onChange={(event) => {
                const keepMetadata = event.currentTarget.checked;
                bench.edit((now) => ({ ...now, keepMetadata }));
              }}
            />
            Keep EXIF and XMP
          </label>
        </div>
      </details>
    </div>
  );
}

/** Names that change places in a mirror, such as left_eye and right_eye: one pair a line. */
function MirrorPairs(props: { pairs: Rules["mirrorPairs"]; onChange: (pairs: Rules["mirrorPairs"]) => void }): JSX.Element {
  const written = props.pairs.map(([first, second]) => `${first}, ${second}`).join("\n");
  const [text, setText] = useState<string | null>(null);
  return (
    <label class="field">
      <span class="control-name">Names that change places in a mirror, a pair each line</span>
      <textarea
        rows={2}
        placeholder="left_eye, right_eye"
        value={text ?? written}
        onInput={(event) => {
          const typed = event.currentTarget.value;
          setText(typed);
          const pairs = typed
            .split("\n")
            .map((line) => line.split(",").map((name) => name.trim()))
            .filter((names) => names.length === 2 && names.every((name) => name !== "" && name.length <= 200))
            .slice(0, 100)
            .map(([first = "", second = ""]) => [first, second] as const);
          props.onChange(pairs);
        }}
        onBlur={() => setText(null)}
      />
    </label>
  );
}
