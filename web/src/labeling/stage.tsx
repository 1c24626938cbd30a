// The image to label, as large as there is room for and crisp; or why there is none.
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Waiting } from "../ui/parts";
import type { Held } from "./held";
import type { LabelingQueue } from "./queue";

/** Images up to this many pixels a side are drawn with hard pixels. */
const SMALL = 160;
/** A tiny image grows by this factor at most: a digit of 8 x 8 pixels is easier to read at 320 than at 800. */
const LARGEST_FACTOR = 40;

/** So tiny an image is easier to read with soft pixels; its person may choose otherwise. */
const TINY = 16;

/** Whether an image is so small that the choice between crisp and soft pixels matters. */
export function isSmall(held: Held): boolean {
  return Math.max(held.lease.width, held.lease.height) <= SMALL;
}

/** Whether an image is drawn with soft pixels when its person has not chosen. */
export function isSoft(held: Held): boolean {
  return !isSmall(held) || Math.max(held.lease.width, held.lease.height) <= TINY;
}

export function Stage(props: { queue: LabelingQueue; held: Held; smooth: boolean }): JSX.Element {
  const { queue, held, smooth } = props;
  const frame = useRef<HTMLDivElement>(null);
  const state = held.pictureState.value;
  const [slow, setSlow] = useState(false);
  useLayoutEffect(() => {
    if (state !== "ready") return;
    let gone = false;
    void held.picture.then((picture) => {
      if (gone || !frame.current) return;
      const { width, height } = held.lease;
      picture.alt = "Image to label";
      picture.className = isSmall(held) && !smooth ? "picture crisp" : "picture";
      picture.style.maxWidth = `${width * LARGEST_FACTOR}px`;
      picture.style.maxHeight = `${height * LARGEST_FACTOR}px`;
      frame.current.replaceChildren(picture);
      requestAnimationFrame(() => queue.shown(held.lease.id, performance.now()));
    });
    return () => {
      gone = true;
    };
  }, [held, state, smooth]);
  useEffect(() => {
    setSlow(false);
    if (state !== "loading") return;
    const timer = setTimeout(() => setSlow(true), 250);
    return () => clearTimeout(timer);
  }, [held, state]);
  return (
    <>
      <div ref={frame} class="picture-frame" key="frame" hidden={state !== "ready"} />
      {state === "loading" && slow && <Waiting what="Loading the image…" />}
      {state === "broken" && (
        <div class="stage-message" role="alert">
          <p>This image could not be loaded.</p>
          <div class="actions">
            <button type="button" class="primary" onClick={() => queue.reload()}>
              Try again
            </button>
          </div>
        </div>
      )}
    </>
  );
}
