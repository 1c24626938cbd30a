// Trainings of a model: the one that runs, live, and those before.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { useApp } from "../app";
import { type Training, TrainingState } from "../gen/labelmesh/inference/v1/trainings_pb";
import { readableTime } from "../rpc/time";
import { useLoaded } from "../ui/loaded";
import { Progress, percent, Select, Trouble } from "../ui/parts";
import { Plot } from "../ui/plot";
import { usePolling, useWatching } from "../ui/watching";
import { metricList } from "./versions";
import { curvesOf, watchTraining } from "./watch";

const EVERY_MS = 5000;
const STATES: Record<TrainingState, { readonly text: string; readonly badge: string }> = {
  [TrainingState.UNSPECIFIED]: { text: "unknown", badge: "" },
  [TrainingState.RUNNING]: { text: "running", badge: "badge-live" },
  [TrainingState.SUCCEEDED]: { text: "succeeded", badge: "badge-done" },
  [TrainingState.FAILED]: { text: "failed", badge: "badge-closed" },
  [TrainingState.LOST]: { text: "broken off", badge: "badge-closed" },
};

export function Trainings(props: { model: string; manager: boolean; onEnded: () => void }): JSX.Element {
  const { mesh } = useApp();
  const { model } = props;
  const list = useLoaded((signal) => mesh.trainings.listTrainings({ model, pageSize: 20 }, { signal }), [model]);
  usePolling(list.again, EVERY_MS);
  const [chosen, setChosen] = useState("");
  const trainings = list.value?.trainings ?? [];
  const shown = trainings.find((one) => one.id === chosen) ?? trainings[0];
  return (
    <section class="panel" aria-labelledby="trainings-heading">
      <header class="page-head">
        <h2 id="trainings-heading">Trainings</h2>
        {trainings.length > 1 && shown && (
          <Select
            bare
            label="Which training"
            value={shown.id}
            options={trainings.map((one) => ({ value: one.id, text: `Version ${one.version}, ${readableTime(one.startTime)}` }))}
            onChoose={setChosen}
          />
        )}
      </header>
      <Trouble problem={list.value ? null : list.problem} />
      {list.value && !shown && (
        <p class="quiet-text">
          Nobody has trained it here. {props.manager && "Programs that train report how far they are, and it shows up here."}
        </p>
      )}
      {shown && (
        <OneTraining
          key={shown.id}
          training={shown}
          onEnded={() => {
            list.again();
            props.onEnded();
          }}
        />
      )}
    </section>
  );
}

/** Trainings that run right now, of models that may not be there yet; nothing where there are none. */
export function TrainingsUnderWay(props: { onEnded: () => void }): JSX.Element | null {
  const { mesh } = useApp();
  const list = useLoaded((signal) => mesh.trainings.listTrainings({ pageSize: 20 }, { signal }), []);
  usePolling(list.again, EVERY_MS);
  const running = list.value?.trainings.filter((one) => one.state === TrainingState.RUNNING) ?? [];
  if (running.length === 0) return null;
  return (
    <>
      {running.map((training) => (
        <section key={training.id} class="panel" aria-label={`Training of ${training.model}`}>
          <h2>{training.model} is being trained</h2>
          <OneTraining training={training} onEnded={props.onEnded} />
        </section>
      ))}
    </>
  );
}

function OneTraining(props: { training: Training; onEnded: () => void }): JSX.Element {
  const { mesh } = useApp();
  const [live, setLive] = useState<Training | null>(null);
  const watching = useWatching();
  const running = props.training.state === TrainingState.RUNNING;
  useEffect(() => {
    if (!running || !watching) return;
    const controller = new AbortController();
    let ended = false;
    const heard = (training: Training): void => {
      setLive(training);
      ended = training.state !== TrainingState.RUNNING;
    };
    void watchTraining(mesh, props.training.id, heard, controller.signal).then(() => {
      if (ended && !controller.signal.aborted) props.onEnded();
    });
    return () => controller.abort();
  }, [mesh, props.training.id, running, watching]);
  const whole = useLoaded(
    async (signal) =>
      running ? null : ((await mesh.trainings.getTraining({ trainingId: props.training.id }, { signal })).training ?? null),
    [props.training.id, running],
  );
  // What was heard last is newer than the list while the training runs; its end stands in both.
  const heard = live && (running || live.state !== TrainingState.RUNNING) ? live : props.training;
  // A list leaves the history out.
  const training = heard.history.length > 0 ? heard : (whole.value ?? heard);
  const { text, badge } = STATES[training.state];
  const progress = training.progress;
  const going = training.state === TrainingState.RUNNING;
  return (
    <>
      <p>
        <span class={`badge ${badge}`} data-testid="training-state">
          {text}
        </span>{" "}
        Version {String(training.version)}, started {readableTime(training.startTime)}
        {training.endTime && `, ended ${readableTime(training.endTime)}`}.
      </p>
      {going && progress && (
        <>
          <Progress label="The training" done={Math.round(progress.done * 100)} all={100} />
          <p data-testid="training-progress">
            {progress.stage || "starting"}
            {progress.epochs > 0 && `, epoch ${progress.epoch} of ${progress.epochs}`}, {percent(progress.done)} done.
          </p>
        </>
      )}
      {progress && Object.keys(progress.metrics).length > 0 && <p class="quiet-text">{metricList(progress.metrics)}</p>}
      {training.problem !== "" && (
        <p class="trouble">
          {training.state === TrainingState.LOST ? "It was broken off: " : "It failed: "}
          {training.problem}
        </p>
      )}
      <div class="plots">
        {curvesOf(training).map((plot) => (
          <Plot key={plot.title} title={plot.title} across="epoch" series={plot.series} />
        ))}
      </div>
    </>
  );
}
