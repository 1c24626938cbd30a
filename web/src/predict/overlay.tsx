// The picture that was asked about, and what was found in it drawn over it.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Detection, Poses, Result, Segmentation } from "../gen/labelmesh/inference/v1/results_pb";
import { percent } from "../ui/parts";
import { atLeast } from "./choice";

/** A colour for a class, the same wherever it occurs; far apart for neighbours. */
export function colourOf(index: number): string {
  return `hsl(${Math.round((index * 137.508 + 165) % 360)} 75% 45%)`;
}

const share = (value: number): string => `${(value * 100).toFixed(3)}%`;

function Boxes(props: { detections: readonly Detection[] }): JSX.Element {
  return (
    <>
      {props.detections.map((one, index) => {
        const box = one.box;
        if (!box) return null;
        const place = {
          left: share(box.xMin),
          top: share(box.yMin),
          width: share(box.xMax - box.xMin),
          height: share(box.yMax - box.yMin),
          "--box": colourOf(one.index),
        };
        return (
          <div key={`${index} ${one.label}`} class={`box${box.yMin < 0.07 ? " box-high" : ""}`} style={place}>
            <span>
              {one.label} {percent(one.score)}
            </span>
          </div>
        );
      })}
    </>
  );
}

function Points(props: { poses: Poses }): JSX.Element {
  return (
    <>
      {props.poses.poses.flatMap((pose, body) =>
        pose.keypoints.map((point, index) => (
          <div
            key={`${body} ${index}`}
            class="keypoint"
            title={`${point.name} ${percent(point.score)}`}
            style={{ left: share(point.x), top: share(point.y), "--box": colourOf(index), opacity: String(0.35 + 0.65 * point.score) }}
          />
        )),
      )}
    </>
  );
}

/** Class indices of a grey PNG as colours, half transparent; index 0 stays clear, it is the ground in most models. */
async function paintMask(canvas: HTMLCanvasElement, mask: Segmentation): Promise<void> {
  const bitmap = await createImageBitmap(new Blob([new Uint8Array(mask.maskPng)], { type: "image/png" }));
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const pencil = canvas.getContext("2d", { willReadFrequently: true });
  if (!pencil) return;
  pencil.drawImage(bitmap, 0, 0);
  const pixels = pencil.getImageData(0, 0, bitmap.width, bitmap.height);
  const probe = document.createElement("canvas").getContext("2d");
  const colours = new Map<number, [number, number, number]>();
  const rgb = (index: number): [number, number, number] => {
    const known = colours.get(index);
    if (known || !probe) return known ?? [0, 0, 0];
    probe.fillStyle = colourOf(index);
    probe.fillRect(0, 0, 1, 1);
    const [red = 0, green = 0, blue = 0] = probe.getImageData(0, 0, 1, 1).data;
    colours.set(index, [red, green, blue]);
    return [red, green, blue];
  };
  for (let at = 0; at < pixels.data.length; at += 4) {
    const index = pixels.data[at] ?? 0;
    const [red, green, blue] = rgb(index);
    pixels.data.set([red, green, blue, index === 0 ? 0 : 140], at);
  }
  pencil.putImageData(pixels, 0, 0);
}

function Mask(props: { mask: Segmentation }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (canvas.current) void paintMask(canvas.current, props.mask).catch(() => undefined);
  }, [props.mask]);
  return <canvas ref={canvas} class="mask" />;
}

/** What an image's overlay says in words, for those who do not see it. */
export function describe(result: Result | undefined, threshold: number): string {
  const what = result?.result;
  if (what?.case === "detections") {
    const found = atLeast(what.value.detections, threshold);
    return found.length === 0 ? "Nothing found." : `Found: ${found.map((one) => `${one.label} ${percent(one.score)}`).join(", ")}.`;
  }
  if (what?.case === "poses") return `${what.value.poses.length} bodies with points.`;
  if (what?.case === "segmentation") return `Areas: ${what.value.segments.map((one) => `${one.label} ${percent(one.share)}`).join(", ")}.`;
  return "";
}

/** The picture with its result; `result` is null while the answer belongs to another picture. */
export function PictureWithResult(props: { source: string; result: Result | null; threshold: number }): JSX.Element {
  const { source, result, threshold } = props;
  const [broken, setBroken] = useState(false);
  useEffect(() => setBroken(false), [source]);
  const what = result?.result;
  if (broken) return <p class="quiet-text">The browser cannot show this picture.</p>;
  const words = describe(result ?? undefined, threshold);
  return (
    <div class="asked-frame">
      <div class="asked">
        <img src={source} alt={`What the model was shown. ${words}`.trim()} onError={() => setBroken(true)} />
        <div class="findings" aria-hidden="true">
          {what?.case === "segmentation" && <Mask mask={what.value} />}
          {what?.case === "detections" && <Boxes detections={atLeast(what.value.detections, threshold)} />}
          {what?.case === "poses" && <Points poses={what.value} />}
        </div>
      </div>
    </div>
  );
}
