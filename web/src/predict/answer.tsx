// What the model answered: how likely each class is, who answered, and where the time went.
import type { JSX } from "preact";
import type { Prediction } from "../gen/labelmesh/inference/v1/predictions_pb";
import type { Classification, Detection, Poses, RawOutputs, Segmentation } from "../gen/labelmesh/inference/v1/results_pb";
import { DataType } from "../gen/labelmesh/inference/v1/tensors_pb";
import { percent, several } from "../ui/parts";
import { atLeast } from "./choice";
import { colourOf } from "./overlay";
import { partsOf, readableMs } from "./timing";

/** Up to so many classes stay in their own order: bars that change places while somebody draws cannot be read. */
const IN_ORDER = 12;

function Bar(props: { name: string; share: number; best?: boolean; colour?: string }): JSX.Element {
  return (
    <li class={props.best ? "bar best" : "bar"}>
      <span class="bar-name">{props.name}</span>
      <span class="bar-track" aria-hidden="true">
        <span class="bar-fill" style={{ transform: `scaleX(${props.share})`, ...(props.colour ? { "--bar": props.colour } : {}) }} />
      </span>
      <span class="bar-share">{percent(props.share)}</span>
    </li>
  );
}

export function ClassBars(props: { classification: Classification }): JSX.Element {
  const { classes } = props.classification;
  const best = classes[0];
  const shown = classes.length <= IN_ORDER ? [...classes].sort((one, other) => one.index - other.index) : classes;
  if (!best) return <p>No class reaches the model's threshold.</p>;
  return (
    <>
      <p class="verdict" data-testid="verdict">
        <strong>{best.label}</strong> <span>{percent(best.score)}</span>
      </p>
      <ol class="bars" aria-label="How likely each class is">
        {shown.map((one) => (
          <Bar key={one.index} name={one.label} share={one.score} best={one === best} />
        ))}
      </ol>
    </>
  );
}

export function Found(props: { detections: readonly Detection[]; threshold: number; onThreshold: (value: number) => void }): JSX.Element {
  const found = atLeast(props.detections, props.threshold);
  const hidden = props.detections.length - found.length;
  return (
    <>
      <p class="verdict" data-testid="verdict">
        <strong>{several(found.length, "thing")} found</strong>
      </p>
      <label class="threshold">
        <span>
          From a score of <output>{percent(props.threshold)}</output>
          {hidden > 0 && `, ${hidden} below`}
        </span>
        <input
          type="range"
          min={0.05}
          max={0.95}
          step={0.05}
          value={props.threshold}
          onInput={(event) => props.onThreshold(Number(event.currentTarget.value))}
        />
      </label>
      <ol class="bars" aria-label="What was found">
        {found.slice(0, 50).map((one, index) => (
          <Bar key={`${index} ${one.label}`} name={one.label} share={one.score} colour={colourOf(one.index)} />
        ))}
      </ol>
    </>
  );
}

function Areas(props: { segmentation: Segmentation }): JSX.Element {
  return (
    <ol class="bars" aria-label="Share of each class's area">
      {props.segmentation.segments.map((one) => (
        <Bar key={one.index} name={one.label} share={one.share} colour={colourOf(one.index)} />
      ))}
    </ol>
  );
}

function Bodies(props: { poses: Poses }): JSX.Element {
  return (
    <>
      <p class="verdict" data-testid="verdict">
        <strong>{several(props.poses.poses.length, "body", "bodies")}</strong>
      </p>
      <ol class="bars" aria-label="Bodies found">
        {props.poses.poses.map((pose, index) => (
          <Bar key={index} name={`Body ${index + 1}: ${several(pose.keypoints.length, "point")}`} share={pose.score} />
        ))}
      </ol>
    </>
  );
}

function Tensors(props: { raw: RawOutputs }): JSX.Element {
  return (
    <ul class="tensors">
      {props.raw.tensors.map((one) => (
        <li key={one.name}>
          <code>{one.name}</code>: {DataType[one.tensor?.dataType ?? 0]?.toLowerCase()} [{one.tensor?.shape.join(", ")}]
        </li>
      ))}
    </ul>
  );
}

export function Verdict(props: { prediction: Prediction; threshold: number; onThreshold: (value: number) => void }): JSX.Element {
  const what = props.prediction.result?.result;
  switch (what?.case) {
    case "classification":
      return <ClassBars classification={what.value} />;
    case "detections":
      return <Found detections={what.value.detections} threshold={props.threshold} onThreshold={props.onThreshold} />;
    case "segmentation":
      return <Areas segmentation={what.value} />;
    case "poses":
      return <Bodies poses={what.value} />;
    case "raw":
      return <Tensors raw={what.value} />;
    default:
      return <p>The model answered with nothing that this page can show.</p>;
  }
}

/** Which model and version answered, and by which way. */
export function Answerer(props: { prediction: Prediction }): JSX.Element {
  const { model, version, alias, batchSize } = props.prediction;
  return (
    <p class="answerer" data-testid="answerer">
      Answered by <strong>{model}</strong> version <strong>{String(version)}</strong>
      {alias !== "" && <span class="badge">{alias}</span>}
      {batchSize > 1 && <span class="quiet-text">with {several(batchSize - 1, "other picture")} in one call</span>}
    </p>
  );
}

/** The parts of the waiting as one bar, and as numbers. */
export function WhereTheTimeWent(props: { prediction: Prediction; roundTripMs: number }): JSX.Element {
  const parts = partsOf(props.prediction.timing, props.roundTripMs);
  return (
    <section class="time" aria-labelledby="time-heading">
      <h3 id="time-heading">
        Where the time went <span>{readableMs(props.roundTripMs)} in all</span>
      </h3>
      <div class="time-bar" aria-hidden="true">
        {parts.map((part) => (
          <span key={part.name} class={part.className} style={{ flexGrow: String(part.ms) }} />
        ))}
      </div>
      <dl class="time-parts">
        {parts.map((part) => (
          <div key={part.name}>
            <dt>
              <span class={`time-key ${part.className}`} aria-hidden="true" />
              {part.name}
            </dt>
            <dd>{readableMs(part.ms)}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
