// The picture as it was brought, with its labels, and the pen to draw some.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Preview } from "../gen/labelmesh/augment/v1/augmentations_pb";
import type { Labels } from "../gen/labelmesh/augment/v1/labels_pb";
import { several } from "../ui/parts";
import type { Bench } from "./bench";
import { useBlobAddress } from "./blobs";
import { LabelFiles, LabelList } from "./labellist";
import { type Drawn, type Kind, labelCount, type Which, withLabel } from "./labels";
import { labelsInWords, Overlay } from "./overlay";
import { inTheMiddle, Pen } from "./pen";

const TOOLS: readonly { kind: Kind; text: string; hint: string }[] = [
  { kind: "box", text: "Box", hint: "Draw from corner to corner on the picture." },
  {
    kind: "polygon",
    text: "Polygon",
    hint: "Click corner after corner; Enter, a double click or the first corner ends it. Escape drops it.",
  },
  { kind: "keypoint", text: "Point", hint: "Click where it is." },
];

export function Original(props: {
  bench: Bench;
  original: Preview | undefined;
  /** Of the picture that is still shown, where another one could not be had. */
  labelsBefore: Labels | null;
  stale: boolean;
}): JSX.Element {
  const { bench, original } = props;
  const address = useBlobAddress(original?.image, original?.mediaType ?? "image/jpeg");
  const [tool, setTool] = useState<Kind | null>(null);
  const [name, setName] = useState("object");
  const [chosen, setChosen] = useState<Which | null>(null);
  const labels = bench.labels.value;
  const width = original?.fullWidth ?? 0;
  const height = original?.fullHeight ?? 0;
  const add = (drawn: Drawn | null): void => {
    if (!drawn) return;
    bench.labels.value = withLabel(labels, drawn);
    bench.overlays.value = true;
  };
  const ready = address !== "" && width > 0;
  const drawable = ready && props.labelsBefore === null;
  const seen = props.labelsBefore ?? labels;
  return (
    <figure class="original">
      <div
        class={`shot${props.stale ? " stale" : ""}`}
        style={ready ? { aspectRatio: `${width} / ${height}`, "--shape": String(width / height) } : {}}
      >
        {ready ? (
          <>
            <img src={address} alt={`The original. ${labelsInWords(seen)}`.trim()} data-testid="original" draggable={false} />
            {(bench.overlays.value || tool !== null) && <Overlay labels={seen} width={width} height={height} named chosen={chosen} />}
            {tool !== null && drawable && <Pen tool={tool} name={name} width={width} height={height} onDrawn={add} />}
          </>
        ) : (
          <div class="skeleton" />
        )}
      </div>
      <figcaption>
        <strong>Original</strong>
        <span class="quiet-text">{ready ? `${width} × ${height}` : ""}</span>
      </figcaption>
      <details class="label-tools" data-testid="labels">
        <summary>Labels: {labelCount(labels) === 0 ? "none" : several(labelCount(labels), "label")}</summary>
        <div class="whole-body">
          {/* biome-ignore lint/a11y/useSemanticElements: a fieldset would look and read like a form */}
          <div class="actions start" role="group" aria-label="Draw a label">
            {TOOLS.map((one) => (
              <button
                key={one.kind}
                type="button"
                class="small"
                aria-pressed={tool === one.kind}
                disabled={!drawable}
                onClick={() => setTool(tool === one.kind ? null : one.kind)}
              >
                {one.text}
              </button>
            ))}
          </div>
          {tool !== null && (
            <>
              <p class="quiet-text">{TOOLS.find((one) => one.kind === tool)?.hint}</p>
              <div class="pen-name">
                <input
                  type="text"
                  aria-label="Name of new labels"
                  maxLength={200}
                  value={name}
                  onInput={(event) => setName(event.currentTarget.value)}
                />
                <button type="button" class="small" onClick={() => add(inTheMiddle(tool, name, width, height))}>
                  Put it in the middle
                </button>
              </div>
            </>
          )}
          <LabelList bench={bench} onChosen={setChosen} />
          <LabelFiles bench={bench} />
        </div>
      </details>
    </figure>
  );
}
