// Labels as a list to be changed by keyboard, as a file and as text.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { several } from "../ui/parts";
import type { Bench } from "./bench";
import { copyText } from "./blobs";
import { labelCount, labelsJson, NO_LABELS, readLabels, type Which, withChanged, withoutLabel } from "./labels";
import { SAMPLE_LABELS } from "./sample";
import { nameOf } from "./source";

/** Every label with its name and numbers, to be changed by keyboard. */
export function LabelList(props: { bench: Bench; onChosen: (which: Which | null) => void }): JSX.Element | null {
  const { bench } = props;
  const labels = bench.labels.value;
  const rows: { which: Which; label: string; numbers: readonly (readonly ["x" | "y" | "width" | "height", number])[]; text: string }[] = [
    ...labels.boxes.map((one, index) => ({
      which: { kind: "box" as const, index },
      label: one.label,
      text: "Box",
      numbers: [["x", one.x] as const, ["y", one.y] as const, ["width", one.width] as const, ["height", one.height] as const],
    })),
    ...labels.polygons.map((one, index) => ({
      which: { kind: "polygon" as const, index },
      label: one.label,
      text: `Polygon of ${several(
        one.rings.reduce((sum, ring) => sum + ring.points.length, 0),
        "corner",
      )}`,
      numbers: [],
    })),
    ...labels.keypoints.map((one, index) => ({
      which: { kind: "keypoint" as const, index },
      label: one.label,
      text: "Point",
      numbers: [["x", one.x] as const, ["y", one.y] as const],
    })),
  ];
  if (rows.length === 0) return null;
  const shown = rows.slice(0, 60);
  return (
    <>
      <ul class="label-list">
        {shown.map((row) => (
          <li
            key={`${row.which.kind} ${row.which.index}`}
            onMouseEnter={() => props.onChosen(row.which)}
            onMouseLeave={() => props.onChosen(null)}
            onFocusCapture={() => props.onChosen(row.which)}
            onBlurCapture={() => props.onChosen(null)}
          >
            <span class="label-kind">{row.text}</span>
            <input
              type="text"
              aria-label={`Name of ${row.text.toLowerCase()} ${row.which.index + 1}`}
              maxLength={200}
              value={row.label}
              onInput={(event) => {
                bench.labels.value = withChanged(labels, row.which, { label: event.currentTarget.value });
              }}
            />
            <button
              type="button"
              class="quiet icon"
              aria-label={`Remove ${row.text.toLowerCase()} ${row.label}`}
              onClick={() => {
                bench.labels.value = withoutLabel(labels, row.which);
                props.onChosen(null);
              }}
            >
              ✕
            </button>
            {row.numbers.length > 0 && (
              <span class="label-numbers">
                {row.numbers.map(([part, value]) => (
                  <label key={part}>
                    {part}
                    <input
                      type="number"
                      step="any"
                      aria-label={`${part} of ${row.text.toLowerCase()} ${row.which.index + 1}`}
                      value={Number(value.toFixed(2))}
                      onChange={(event) => {
                        const typed = Number(event.currentTarget.value);
                        if (!Number.isFinite(typed) || ((part === "width" || part === "height") && typed <= 0)) return;
                        bench.labels.value = withChanged(labels, row.which, { [part]: typed });
                      }}
                    />
                  </label>
                ))}
              </span>
            )}
          </li>
        ))}
      </ul>
      {rows.length > shown.length && <p class="quiet-text">And {several(rows.length - shown.length, "more label")}.</p>}
    </>
  );
}

/** Labels as a file or as text. */
export function LabelFiles(props: { bench: Bench }): JSX.Element {
  const { bench } = props;
  const [text, setText] = useState("");
  const [pasting, setPasting] = useState(false);
  const [problem, setProblem] = useState("");
  const [done, setDone] = useState("");
  const take = (json: string): void => {
    try {
      bench.labels.value = readLabels(json, nameOf(bench.source.value));
      bench.overlays.value = true;
      setProblem("");
      setPasting(false);
      setText("");
    } catch (thrown) {
      setProblem(thrown instanceof Error ? thrown.message : String(thrown));
    }
  };
  return (
    <>
      <div class="actions start">
        <label class="button small">
          Load JSON or COCO
          <input
            class="unseen"
            type="file"
            accept="application/json,.json"
            onChange={async (event) => {
              const file = event.currentTarget.files?.[0];
              event.currentTarget.value = "";
              if (!file) return;
              if (file.size > 64 * 1024 * 1024) return setProblem("This file is larger than 64 MiB. Bring one with fewer images.");
              take(await file.text());
            }}
          />
        </label>
        <button type="button" class="small" aria-expanded={pasting} onClick={() => setPasting(!pasting)}>
          Paste JSON
        </button>
        {labelCount(bench.labels.value) > 0 && (
          <>
            <button
              type="button"
              class="small"
              onClick={async () =>
                setDone(
                  (await copyText(JSON.stringify(labelsJson(bench.labels.value), null, 2))) ? "Copied." : "Not allowed by the browser.",
                )
              }
            >
              Copy JSON
            </button>
            <button
              type="button"
              class="small"
              onClick={() => {
                bench.labels.value = NO_LABELS;
              }}
            >
              Remove all
            </button>
          </>
        )}
        {bench.source.value.kind === "sample" && labelCount(bench.labels.value) === 0 && (
          <button
            type="button"
            class="small"
            onClick={() => {
              bench.labels.value = SAMPLE_LABELS;
            }}
          >
            Those of the sample
          </button>
        )}
        <span role="status" class="quiet-text">
          {done}
        </span>
      </div>
      {pasting && (
        <form
          class="stack"
          onSubmit={(event) => {
            event.preventDefault();
            take(text);
          }}
        >
          <textarea
            class="code"
            rows={5}
            spellcheck={false}
            aria-label="Labels as JSON"
            placeholder={'{"boxes": [{"label": "car", "x": 10, "y": 20, "width": 120, "height": 80}]}'}
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
          <div class="actions">
            <button type="submit" class="small" disabled={text.trim() === ""}>
              Use these labels
            </button>
          </div>
        </form>
      )}
      <div role="alert" class="trouble-slot">
        {problem !== "" && <p class="trouble">{problem}</p>}
      </div>
    </>
  );
}
