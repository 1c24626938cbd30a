// The list of steps: cards that open to show their controls, that can be carried about, and that hold further lists.
import type { HTMLAttributes, JSX, TargetedDragEvent, TargetedKeyboardEvent } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Bench } from "./bench";
import { type Catalogue, defaultOf, readable, spoken } from "./catalogue";
import { Control, Remarks } from "./control";
import {
  carried,
  duplicated,
  MAX_DEPTH,
  type Path,
  type Pipeline,
  pathOf,
  type Remark,
  type Step,
  shifted,
  stepAt,
  withNew,
  without,
  withParameter,
  withStep,
} from "./pipeline";
import { Slider } from "./slider";

const CARRIED = "application/x-labelmesh-step";
const CHANCE = { minimum: 0, maximum: 100, step: 1, logarithmic: false, whole: false };

/** Which handle gets the focus back after its step has moved. */
let handleWanted = "";

export function StepList(props: {
  bench: Bench;
  catalogue: Catalogue;
  steps: readonly Step[];
  parent: Path;
  onAdd: (parent: Path) => void;
}): JSX.Element {
  const { bench, catalogue, steps, parent } = props;
  const holder = parent.length === 0 ? null : stepAt(bench.changes.now.value, parent);
  const name = holder ? `Steps of ${catalogue.title(holder.transform)}` : "Steps";
  return (
    <div class="step-list" {...dropInto(bench, parent, steps.length)}>
      {steps.length > 0 && (
        <ol aria-label={name}>
          {steps.map((step, place) => (
            <StepCard
              key={step.key}
              bench={bench}
              catalogue={catalogue}
              step={step}
              path={[...parent, place]}
              neighbours={steps.length}
              onAdd={props.onAdd}
            />
          ))}
        </ol>
      )}
      {parent.length < MAX_DEPTH && (
        <button type="button" class="add-step" onClick={() => props.onAdd(parent)}>
          <span aria-hidden="true">+</span> Add a step{holder ? ` to ${catalogue.title(holder.transform)}` : ""}
        </button>
      )}
    </div>
  );
}

/** Lets a step be dropped at the end of a list. */
function dropInto(bench: Bench, parent: Path, place: number): HTMLAttributes<HTMLDivElement> {
  return {
    onDragOver: (event: TargetedDragEvent<HTMLDivElement>) => {
      if (!event.dataTransfer?.types.includes(CARRIED)) return;
      event.preventDefault();
      event.stopPropagation();
    },
    onDrop: (event: TargetedDragEvent<HTMLDivElement>) => {
      const key = event.dataTransfer?.getData(CARRIED) ?? "";
      if (key === "") return;
      event.preventDefault();
      event.stopPropagation();
      bench.edit((now) => carried(now, key, parent, place));
    },
  };
}

function StepCard(props: {
  bench: Bench;
  catalogue: Catalogue;
  step: Step;
  path: Path;
  neighbours: number;
  onAdd: (parent: Path) => void;
}): JSX.Element {
  const { bench, catalogue, step, path } = props;
  const transform = catalogue.get(step.transform);
  const title = catalogue.title(step.transform);
  const place = (path.at(-1) ?? 0) + 1;
  const open = bench.open.value.has(step.key);
  const remarks = bench.remarks.value.get(step.key) ?? [];
  const parameters = transform?.parameters ?? [];
  const of = (name: string): Remark[] => remarks.filter((one) => one.parameter === name);
  const elsewhere = remarks.filter(
    (one) => one.parameter !== "probability" && !parameters.some((parameter) => parameter.name === one.parameter),
  );
  const wrong = remarks.some((one) => !one.warning);
  const handle = useRef<HTMLButtonElement>(null);
  const card = useRef<HTMLLIElement>(null);
  const [over, setOver] = useState<"" | "before" | "after">("");
  useEffect(() => {
    if (handleWanted !== step.key) return;
    handleWanted = "";
    handle.current?.focus();
  });

  const edit = (change: (now: Pipeline, at: Path) => Pipeline, topic = ""): void => {
    bench.edit((now) => {
      const at = pathOf(now, step.key);
      return at ? change(now, at) : now;
    }, topic);
  };
  const move = (by: number): void => {
    const to = Math.max(1, Math.min(props.neighbours, place + by));
    if (to === place) return;
    edit((now, at) => shifted(now, at, by));
    bench.said.value = `${title} is step ${to} of ${props.neighbours} now.`;
    handleWanted = step.key;
  };
  const remove = (): void => {
    edit((now, at) => without(now, at));
    bench.said.value = `${title} was removed.`;
    // The focus goes on to what stands there now, or to the button below.
    const list = card.current?.closest(".step-list");
    setTimeout(() => {
      const handles = list?.querySelectorAll<HTMLElement>(":scope > ol > .step > .step-head .step-handle");
      (handles?.[Math.min(place - 1, handles.length - 1)] ?? list?.querySelector<HTMLElement>(":scope > .add-step"))?.focus();
    });
  };
  const keys = (event: TargetedKeyboardEvent<HTMLButtonElement>): void => {
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      event.preventDefault();
      move(event.key === "ArrowUp" ? -1 : 1);
    } else if (event.key === "Delete") {
      event.preventDefault();
      remove();
    }
  };
  const whereOver = (event: TargetedDragEvent<HTMLLIElement>): "before" | "after" => {
    const box = event.currentTarget.getBoundingClientRect();
    return event.clientY < box.top + Math.min(box.height / 2, 40) ? "before" : "after";
  };
  const isGroup = transform?.holdsSteps ?? step.steps.length > 0;
  const classes = ["step", `family-${transform?.family ?? 0}`, step.off && "off", wrong && "is-wrong", over && `drop-${over}`];
  return (
    <li
      ref={card}
      class={classes.filter(Boolean).join(" ")}
      data-transform={step.transform}
      onMouseEnter={() => {
        bench.pointed.value = step.key;
      }}
      onMouseLeave={() => {
        if (bench.pointed.value === step.key) bench.pointed.value = null;
      }}
      onDragOver={(event) => {
        if (!event.dataTransfer?.types.includes(CARRIED)) return;
        event.preventDefault();
        event.stopPropagation();
        setOver(whereOver(event));
      }}
      onDragLeave={() => setOver("")}
      onDrop={(event) => {
        const key = event.dataTransfer?.getData(CARRIED) ?? "";
        const where = whereOver(event);
        setOver("");
        if (key === "") return;
        event.preventDefault();
        event.stopPropagation();
        bench.edit((now) => {
          const at = pathOf(now, step.key);
          return at && key !== step.key ? carried(now, key, at.slice(0, -1), (at.at(-1) ?? 0) + (where === "after" ? 1 : 0)) : now;
        });
      }}
    >
      <div class="step-head">
        <button
          ref={handle}
          type="button"
          class="step-handle quiet"
          draggable
          aria-label={`Move ${title}, step ${place} of ${props.neighbours}`}
          aria-keyshortcuts="ArrowUp ArrowDown Delete"
          title="Drag, or move with the arrow keys; Delete removes the step"
          onKeyDown={keys}
          onDragStart={(event) => {
            event.dataTransfer?.setData(CARRIED, step.key);
            if (event.dataTransfer) event.dataTransfer.effectAllowed = "move";
            if (card.current) event.dataTransfer?.setDragImage(card.current, 16, 16);
          }}
        >
          <span aria-hidden="true">⠿</span>
        </button>
        <button type="button" class="step-title quiet" aria-expanded={open} onClick={() => bench.toggleOpen(step.key)}>
          <span class="step-name">{title}</span>
          {!open && <span class="step-brief">{briefOf(step, catalogue)}</span>}
        </button>
        <input
          type="checkbox"
          role="switch"
          class="switch"
          checked={!step.off}
          aria-checked={!step.off}
          aria-label={`${title} is on`}
          title={step.off ? "Switched off: the draws of the other steps stay as they are" : "On"}
          onChange={(event) => {
            const off = !event.currentTarget.checked;
            edit((now, at) => withStep(now, at, { off }));
          }}
        />
        <button type="button" class="quiet icon step-remove" aria-label={`Remove ${title}`} title="Remove" onClick={remove}>
          ✕
        </button>
      </div>
      {!open && <Remarks remarks={remarks} />}
      {open && (
        <div class="step-body">
          {transform ? (
            <p class="step-summary">{transform.summary}</p>
          ) : (
            <p class="remark wrong">This server knows no “{step.transform}”.</p>
          )}
          <Remarks remarks={elsewhere} />
          <div class="control">
            <div class="control-head">
              <span class="control-name">{path.length > 1 ? "Chance, or weight among the others" : "Chance"}</span>
              <span class="control-value">{Math.round((step.probability ?? 1) * 100)} %</span>
            </div>
            <Slider
              scale={CHANCE}
              value={(step.probability ?? 1) * 100}
              label={`Chance of ${title}`}
              unit=" %"
              invalid={of("probability").length > 0}
              onChange={(next) => {
                const share = typeof next === "number" ? Number((next / 100).toFixed(4)) : 1;
                const chance = share >= 1 && share <= 1 ? null : share;
                // At nothing it is off, and comes back with the switch.
                edit(
                  (now, at) => withStep(now, at, share === 0 ? { off: true, probability: null } : { probability: chance, off: false }),
                  `${step.key} chance`,
                );
              }}
            />
            <Remarks remarks={of("probability")} />
          </div>
          {parameters.map((parameter) => (
            <Control
              key={parameter.name}
              parameter={parameter}
              of={title}
              value={step.parameters[parameter.name]}
              explained={bench.explained.value}
              remarks={of(parameter.name)}
              onChange={(value) => edit((now, at) => withParameter(now, at, parameter.name, value), `${step.key} ${parameter.name}`)}
            />
          ))}
          {bench.explained.value && transform?.labelsSummary && (
            <p class="step-labels">
              <strong>Labels:</strong> {transform.labelsSummary}
            </p>
          )}
          {bench.explained.value && transform?.source && <p class="step-labels">Source: {transform.source}</p>}
          <div class="actions start step-tools">
            <button type="button" disabled={place === 1} aria-label={`Move ${title} up`} onClick={() => move(-1)}>
              ↑
            </button>
            <button type="button" disabled={place === props.neighbours} aria-label={`Move ${title} down`} onClick={() => move(1)}>
              ↓
            </button>
            <button
              type="button"
              aria-label={`Duplicate ${title}`}
              onClick={() => {
                edit((now, at) => duplicated(now, at));
                bench.said.value = `${title} was duplicated.`;
              }}
            >
              Duplicate
            </button>
            <button
              type="button"
              aria-label={`Only this: ${title}`}
              title="Switches all other steps off"
              onClick={() => edit((now, at) => only(now, at))}
            >
              Only this
            </button>
            <button
              type="button"
              aria-pressed={bench.explained.value}
              aria-label="Explain every parameter"
              title="Tells of every parameter what it does, and what becomes of labels"
              onClick={() => {
                bench.explained.value = !bench.explained.value;
              }}
            >
              Explain
            </button>
          </div>
        </div>
      )}
      {isGroup && <StepList bench={bench} catalogue={catalogue} steps={step.steps} parent={path} onAdd={props.onAdd} />}
    </li>
  );
}

/** Switches off what is neither this step, nor around it, nor in it. */
function only(pipeline: Pipeline, path: Path): Pipeline {
  const keep = (steps: readonly Step[], depth: number): Step[] =>
    steps.map((step, place) => {
      if (place !== path[depth]) return { ...step, off: true };
      return depth + 1 < path.length ? { ...step, off: false, steps: keep(step.steps, depth + 1) } : { ...step, off: false };
    });
  return { ...pipeline, steps: keep(pipeline.steps, 0) };
}

/** What a closed card says: its chance and what was set, else what holds by itself. */
function briefOf(step: Step, catalogue: Catalogue): string {
  const transform = catalogue.get(step.transform);
  if (step.off) return "off";
  const chance = step.probability === null ? [] : [`${Math.round(step.probability * 100)} %`];
  const set = Object.keys(step.parameters);
  const shown = (transform?.parameters ?? []).filter((one) => (set.length > 0 ? set.includes(one.name) : true)).slice(0, 3);
  const values = shown.map((one) => {
    const value = readable(step.parameters[one.name] ?? defaultOf(one), one);
    return shown.length === 1 ? value : `${(one.title || spoken(one.name)).toLowerCase()} ${value}`;
  });
  return [...chance, ...values].join(" · ");
}

/** Adds a step and opens it. */
export function addStep(bench: Bench, parent: Path, step: Step, title: string): void {
  bench.edit((now) => withNew(now, parent, step));
  bench.toggleOpen(step.key, true);
  bench.said.value = `${title} was added.`;
  handleWanted = step.key;
}
