// Predictions that were kept: one's own, everybody's for managers.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useApp } from "../app";
import type { Prediction } from "../gen/labelmesh/inference/v1/predictions_pb";
import { readAll } from "../rpc/pages";
import { readableTime } from "../rpc/time";
import { useLoaded } from "../ui/loaded";
import { percent, several, Trouble } from "../ui/parts";

const PAGE = 24;

/** A result in a few words. */
export function inShort(prediction: Prediction): { readonly label: string; readonly more: string } {
  const what = prediction.result?.result;
  switch (what?.case) {
    case "classification": {
      const best = what.value.classes[0];
      return best ? { label: best.label, more: percent(best.score) } : { label: "–", more: "nothing likely" };
    }
    case "detections":
      return { label: several(what.value.detections.length, "thing"), more: what.value.detections[0]?.label ?? "" };
    case "segmentation":
      return { label: several(what.value.segments.length, "area"), more: what.value.segments[0]?.label ?? "" };
    case "poses":
      return { label: several(what.value.poses.length, "body", "bodies"), more: "" };
    default:
      return { label: "numbers", more: "" };
  }
}

/** `round` changes when there may be something new. */
export function History(props: { model: string; manager: boolean; round: number }): JSX.Element {
  const { mesh } = useApp();
  const { model, manager } = props;
  const [pages, setPages] = useState(1);
  const [wrong, setWrong] = useState(false);
  const kept = useLoaded(
    (signal) =>
      readAll(
        (pageToken) => mesh.predictions.listPredictions({ pageSize: PAGE, pageToken, model, wrong }, { signal }),
        (reply) => reply.predictions,
        pages * PAGE,
      ),
    [pages, wrong, model, props.round],
  );
  const shown = kept.value?.slice(0, pages * PAGE) ?? [];
  return (
    <section class="history" aria-labelledby="history-heading">
      <header class="page-head">
        <h2 id="history-heading">{manager ? "Everybody's predictions" : "Your predictions"}</h2>
        <label class="check">
          <input type="checkbox" checked={wrong} onChange={(event) => setWrong(event.currentTarget.checked)} />
          Only those found wrong
        </label>
      </header>
      <Trouble problem={kept.value ? null : kept.problem} />
      {kept.value && shown.length === 0 && (
        <p class="quiet-text">{wrong ? "None was found wrong." : "What you ask the model is kept and shows up here."}</p>
      )}
      <ul class="history-list">
        {shown.map((one) => (
          <li key={one.id}>
            <Kept prediction={one} />
          </li>
        ))}
      </ul>
      {kept.value && kept.value.length >= pages * PAGE && (
        <div class="actions start">
          <button type="button" onClick={() => setPages(pages + 1)}>
            Show more
          </button>
        </div>
      )}
    </section>
  );
}

function Kept(props: { prediction: Prediction }): JSX.Element {
  const { prediction } = props;
  const { label, more } = inShort(prediction);
  const said = prediction.feedback;
  return (
    <figure class="kept">
      {prediction.pictureUrl !== "" ? (
        <img src={prediction.pictureUrl} alt={`Asked about: ${label}`} loading="lazy" width={96} height={96} />
      ) : (
        <span class="kept-empty">no picture kept</span>
      )}
      <figcaption>
        <span class="kept-label">
          <strong>{label}</strong> {more}
        </span>
        <span class="quiet-text">
          {prediction.model} v{String(prediction.version)}, {readableTime(prediction.createTime)}
        </span>
        {said && (
          <span class={said.correct ? "kept-right" : "kept-wrong"}>
            {said.correct ? "✓ right" : `✗ wrong${said.label && `: ${said.label}`}`}
          </span>
        )}
      </figcaption>
    </figure>
  );
}
