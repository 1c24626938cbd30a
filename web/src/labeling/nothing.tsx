// What the labeling page says when there is nothing to label, and what one can do about it.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { NothingReason } from "../gen/labelmesh/labeling/v1/annotations_pb";
import { addressOf } from "../router";
import type { Idle } from "./queue";

interface Words {
  readonly title: string;
  readonly text: string;
}

function wordsOf(reason: NothingReason, manager: boolean): Words {
  switch (reason) {
    case NothingReason.ALL_LABELED:
      return { title: "All images are labeled", text: "Thank you! Every image of this project has its label." };
    case NothingReason.ALL_HELD:
      return {
        title: "Others have the rest",
        text: "All images that are left are open on somebody's screen. The first to come back is yours.",
      };
    case NothingReason.NO_ACCESS:
      return {
        title: "You may not label here",
        text: "This project is open to selected people only. Ask its manager to add your account.",
      };
    case NothingReason.PROJECT_CLOSED:
      return {
        title: "This project is closed",
        text: manager
          ? "Nothing is handed out until you open it again on the Manage page."
          : "Its manager has stopped the labeling for now.",
      };
    case NothingReason.NO_IMAGES:
      return {
        title: "There are no images yet",
        text: manager ? "Add some on the Manage page, or with the command below." : "As soon as its manager adds some, they show up here.",
      };
    case NothingReason.TOO_MANY_HELD:
      return {
        title: "You hold too many images",
        text: "Other tabs or programs of yours hold as many images as one may hold. Label or close them, and this page goes on.",
      };
    default:
      return { title: "There is nothing to label right now", text: "This page asks again by itself." };
  }
}

const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

export function NothingToDo(props: {
  idle: Idle;
  projectId: string;
  manager: boolean;
  onAgain: () => void;
  onUndo: () => void;
}): JSX.Element {
  const { idle, projectId, manager } = props;
  const words = wordsOf(idle.reason, manager);
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const seconds = Math.max(0, Math.ceil((idle.againAt - now) / 1000));
  const done = idle.reason === NothingReason.ALL_LABELED;
  return (
    <section class="stage-message" data-reason={NothingReason[idle.reason]} aria-live="polite">
      <p class="stage-sign" aria-hidden="true">
        {done ? "✓" : "…"}
      </p>
      <h2>{words.title}</h2>
      <p>{words.text}</p>
      {idle.reason === NothingReason.ALL_HELD && idle.heldUntil !== null && (
        <p>At {CLOCK.format(new Date(idle.heldUntil))} at the latest an image comes back.</p>
      )}
      {idle.reason === NothingReason.NO_IMAGES && manager && <code class="command">labelmesh import folder DIR</code>}
      <div class="actions">
        {manager && (idle.reason === NothingReason.NO_IMAGES || idle.reason === NothingReason.PROJECT_CLOSED) && (
          <a class="button primary" href={addressOf({ at: "manage", projectId })}>
            To the Manage page
          </a>
        )}
        {done && (
          <a class="button primary" href={addressOf({ at: "statistics", projectId })}>
            See the statistics
          </a>
        )}
        {done && (
          <button type="button" onClick={props.onUndo}>
            Undo my last label
          </button>
        )}
        <button type="button" onClick={props.onAgain}>
          Ask now
        </button>
      </div>
      <p class="quiet-text" aria-hidden="true">
        Asking again in {seconds} s
      </p>
    </section>
  );
}
