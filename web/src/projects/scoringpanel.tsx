// What a model does for a project: suggestions for its images, and an order that brings the doubtful ones first.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useApp } from "../app";
import type { Model } from "../gen/labelmesh/inference/v1/models_pb";
import type { ScoreProjectResponse } from "../gen/labelmesh/inference/v1/scoring_pb";
import type { Project } from "../gen/labelmesh/labeling/v1/projects_pb";
import { manifestOf, modelsForPictures } from "../predict/choice";
import { addressOf } from "../router";
import { readAll } from "../rpc/pages";
import type { Problem } from "../rpc/problems";
import { type Loaded, useLoaded } from "../ui/loaded";
import { count, Progress, percent, Select, several, Trouble } from "../ui/parts";
import { scoreProject } from "./scoring";

/** Models that name classes; those that find boxes or points suggest none. */
function useClassifiers(): Loaded<Model[]> {
  const { mesh } = useApp();
  return useLoaded(async (signal) => {
    const models = await readAll(
      (pageToken) => mesh.models.listModels({ pageSize: 200, pageToken }, { signal }),
      (reply) => reply.models,
    );
    return modelsForPictures(models).filter((model) => manifestOf(model)?.output.case === "classes");
  }, []);
}

function optionsOf(models: readonly Model[] | null, chosen: string): { value: string; text: string }[] {
  const options = (models ?? []).map((model) => ({ value: model.name, text: model.displayName || model.name }));
  // The one chosen stays to be chosen although the list could not be had, or it is gone.
  if (chosen !== "" && !options.some((option) => option.value === chosen)) options.push({ value: chosen, text: chosen });
  return options;
}

/** The model whose suggestions annotators may see. */
export function SuggestionModel(props: { value: string; onChoose: (model: string) => void }): JSX.Element {
  const models = useClassifiers();
  return (
    <Select
      label="A model suggests"
      value={props.value}
      options={[{ value: "", text: "None" }, ...optionsOf(models.value, props.value)]}
      onChoose={props.onChoose}
    />
  );
}

export function ScoringPanel(props: { project: Project; onDone: () => void }): JSX.Element {
  const { project } = props;
  const models = useClassifiers();
  const [chosen, setChosen] = useState(project.suggestionModel);
  const options = optionsOf(models.value, chosen);
  const model = options.some((option) => option.value === chosen) ? chosen : (options[0]?.value ?? "");
  return (
    <section class="panel" aria-labelledby="scoring-heading">
      <h2 id="scoring-heading">A model helps</h2>
      <Trouble problem={models.value || models.problem?.transient ? null : models.problem} />
      {!models.value && models.problem?.transient && (
        <p class="quiet-text">Models cannot be reached right now. This page asks again by itself.</p>
      )}
      {models.value?.length === 0 && (
        <p class="quiet-text">
          There is no model that names classes yet. Train one with <code>labelmesh train digits</code>, or add one with{" "}
          <code>labelmesh model add DIR</code>.
        </p>
      )}
      {model !== "" && (
        <>
          {options.length > 1 && <Select label="Model" value={model} options={options} onChoose={setChosen} />}
          <Work key={model} project={project} model={model} onDone={props.onDone} />
        </>
      )}
    </section>
  );
}

interface Run {
  readonly what: "suggest" | "order";
  readonly running: boolean;
  readonly last: ScoreProjectResponse | null;
  readonly problem: Problem | null;
}

function Work(props: { project: Project; model: string; onDone: () => void }): JSX.Element {
  const { mesh } = useApp();
  const { project, model } = props;
  const [run, setRun] = useState<Run | null>(null);
  const stop = useRef<AbortController | null>(null);
  useEffect(() => () => stop.current?.abort(), []);

  const start = async (what: Run["what"]): Promise<void> => {
    if (run?.running) return;
    const controller = new AbortController();
    stop.current = controller;
    setRun({ what, running: true, last: null, problem: null });
    const scoring = { projectId: project.id, model, suggest: what === "suggest", order: what === "order" };
    const heard = (last: ScoreProjectResponse): void => setRun((now) => now && { ...now, last });
    const problem = await scoreProject(mesh, scoring, heard, controller.signal);
    setRun((now) => now && { ...now, running: false, problem });
    if (!controller.signal.aborted) props.onDone();
  };
  return (
    <>
      <p>
        <strong>{model}</strong> looks at every image that awaits labels. Its <a href={addressOf({ at: "models", model })}>versions</a> are
        on a page of their own.
      </p>
      <div class="actions start">
        <button type="button" disabled={run?.running} onClick={() => void start("suggest")}>
          Suggest for all awaiting images
        </button>
        <button type="button" disabled={run?.running} onClick={() => void start("order")}>
          Order the queue by the model's doubt
        </button>
        {run?.running && (
          <button type="button" onClick={() => stop.current?.abort()}>
            Stop
          </button>
        )}
      </div>
      <div class="upload-slot" aria-live="polite" data-testid="scoring">
        {run && <Report run={run} />}
      </div>
      <Trouble problem={run?.problem}> What was written stays; start it again to go on.</Trouble>
    </>
  );
}

function Report(props: { run: Run }): JSX.Element {
  const { run } = props;
  const last = run.last;
  if (!last) return <p>{run.running ? "Beginning…" : "Stopped before the first image."}</p>;
  const looked = Number(last.scoredCount) + Number(last.failedCount);
  const all = Math.max(Number(last.awaitingCount), looked);
  const parts = [`${several(last.scoredCount, "image")} ${run.what === "order" ? "ordered" : "looked at"}`];
  if (run.what === "suggest" && last.unknownClassCount > 0n)
    parts.push(`${count(last.unknownClassCount)} with a class that this project does not have`);
  if (last.failedCount > 0n) parts.push(`${several(last.failedCount, "image")} could not be read`);
  const doubt = last.scoredCount > 0n ? ` The mean doubt is ${percent(last.meanDoubt)}.` : "";
  const done = last.done && !run.running ? "Done: " : run.running ? "" : "Stopped: ";
  return (
    <>
      <Progress label="Images that the model has looked at" done={last.done ? all : looked} all={all} />
      <p>
        {done}
        {parts.join(", ")}.{doubt}
        {run.what === "order" && last.done && " The image that the model doubts most comes next."}
      </p>
      {last.version > 0n && (
        <p class="quiet-text">
          {last.model} version {String(last.version)} answered.
        </p>
      )}
    </>
  );
}
