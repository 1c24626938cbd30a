// The picture as it was brought, with its labels, and the pen to draw some.
import type { JSX, TargetedPointerEvent } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Preview } from "../gen/labelmesh/augment/v1/augmentations_pb";
import type { Labels } from "../gen/labelmesh/augment/v1/labels_pb";
import { several } from "../ui/parts";
import type { Bench } from "./bench";
import { copyText, useBlobAddress } from "./blobs";
import {
  boxBetween,
  type Drawn,
  type Kind,
  keypointAt,
  labelCount,
  labelsJson,
  NO_LABELS,
  polygonOf,
  readLabels,
  type Which,
  withChanged,
  withLabel,
  withoutLabel,
  type XY,
} from "./labels";
import { labelsInWords, Overlay } from "./overlay";
import { SAMPLE_LABELS } from "./sample";
import { nameOf } from "./source";

const TOOLS: readonly { kind: Kind; text: string; hint: string }[] = [
  { kind: "box", text: "Box", hint: "Draw from corner to corner on the picture." },
  {
    kind: "polygon",
    text: "Polygon",
    hint: "Click corner after corner; Enter, a double click or the first corner ends it. Escape drops it.",
  },
  { kind: "keypoint", text: "Point", hint: "Click where it is." },
];
/** So near to the first corner ends a polygon, in pixels of the screen. */
const NEAR = 10;

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

/** For those who do not draw: a label to be moved by its numbers. */
function inTheMiddle(tool: Kind, name: string, width: number, height: number): Drawn | null {
  const [x, y] = [width / 2, height / 2];
  if (tool === "keypoint") return { kind: "keypoint", label: keypointAt({ x, y }, name) };
  const [a, b] = [
    { x: width * 0.3, y: height * 0.3 },
    { x: width * 0.7, y: height * 0.7 },
  ];
  if (tool === "box") {
    const label = boxBetween(a, b, name);
    return label && { kind: "box", label };
  }
  const label = polygonOf(
    [
      { x, y: a.y },
      { x: b.x, y },
      { x, y: b.y },
      { x: a.x, y },
    ],
    name,
  );
  return label && { kind: "polygon", label };
}

/** Takes the pointer over the picture, in the picture's own pixels. */
function Pen(props: { tool: Kind; name: string; width: number; height: number; onDrawn: (drawn: Drawn | null) => void }): JSX.Element {
  const { tool, name, width, height } = props;
  const sheet = useRef<SVGSVGElement>(null);
  const [from, setFrom] = useState<XY | null>(null);
  const [to, setTo] = useState<XY | null>(null);
  const [corners, setCorners] = useState<readonly XY[]>([]);
  const drop = (): void => {
    setFrom(null);
    setTo(null);
    setCorners([]);
  };
  const finish = (points: readonly XY[]): void => {
    const label = polygonOf(points, name);
    drop();
    props.onDrawn(label && { kind: "polygon", label });
  };
  const latest = useRef({ corners, finish });
  latest.current = { corners, finish };
  useEffect(drop, [tool]);
  useEffect(() => {
    const keys = (event: KeyboardEvent): void => {
      if (event.target instanceof HTMLInputElement || document.querySelector("dialog[open]")) return;
      if (event.key === "Escape") drop();
      if (event.key === "Enter" && latest.current.corners.length >= 3) {
        event.preventDefault();
        latest.current.finish(latest.current.corners);
      }
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, []);
  const at = (event: TargetedPointerEvent<SVGSVGElement>): XY => {
    const box = event.currentTarget.getBoundingClientRect();
    const share = (value: number): number => Math.max(0, Math.min(1, value));
    return { x: share((event.clientX - box.left) / box.width) * width, y: share((event.clientY - box.top) / box.height) * height };
  };
  const near = (a: XY, b: XY): boolean => {
    const box = sheet.current?.getBoundingClientRect();
    if (!box) return false;
    return Math.hypot(((a.x - b.x) / width) * box.width, ((a.y - b.y) / height) * box.height) < NEAR;
  };
  const down = (event: TargetedPointerEvent<SVGSVGElement>): void => {
    if (event.button !== 0) return;
    event.preventDefault();
    const here = at(event);
    if (tool === "keypoint") {
      props.onDrawn({ kind: "keypoint", label: keypointAt(here, name) });
      return;
    }
    if (tool === "box") {
      event.currentTarget.setPointerCapture(event.pointerId);
      setFrom(here);
      setTo(here);
      return;
    }
    const [first] = corners;
    const last = corners.at(-1);
    if (corners.length >= 3 && first && (near(first, here) || (last && near(last, here)))) finish(corners);
    else if (!last || !near(last, here)) setCorners([...corners, here]);
  };
  const up = (event: TargetedPointerEvent<SVGSVGElement>): void => {
    if (tool !== "box" || !from) return;
    const label = boxBetween(from, at(event), name);
    drop();
    props.onDrawn(label && { kind: "box", label });
  };
  const line = to && corners.length > 0 ? [...corners, to] : corners;
  return (
    <svg
      ref={sheet}
      class="pen"
      data-testid="pen"
      aria-hidden="true"
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      onPointerDown={down}
      onPointerMove={(event) => {
        if (from || corners.length > 0) setTo(at(event));
      }}
      onPointerUp={up}
      onPointerCancel={drop}
    >
      {tool === "box" && from && to && (
        <rect x={Math.min(from.x, to.x)} y={Math.min(from.y, to.y)} width={Math.abs(from.x - to.x)} height={Math.abs(from.y - to.y)} />
      )}
      {tool === "polygon" && line.length > 0 && <polyline points={line.map(({ x, y }) => `${x},${y}`).join(" ")} />}
      {tool === "polygon" && corners.map((one) => <path key={`${one.x} ${one.y}`} class="corner" d={`M${one.x} ${one.y}h0`} />)}
    </svg>
  );
}

/** Every label with its name and numbers, to be changed by keyboard. */
function LabelList(props: { bench: Bench; onChosen: (which: Which | null) => void }): JSX.Element | null {
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
function LabelFiles(props: { bench: Bench }): JSX.Element {
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
