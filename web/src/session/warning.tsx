// The countdown before a session ends for want of activity.
import type { JSX } from "preact";
import { useApp } from "../app";

/** Any input keeps the person signed in; the button is there for those who look for one. */
export function IdleWarning(): JSX.Element {
  const { keeper } = useApp();
  const left = keeper.countdown.value;
  const said = left === null ? null : left > 10 ? 20 : left > 5 ? 10 : 5;
  return (
    <>
      {left !== null && (
        <div class="idle-warning" data-testid="idle-warning">
          <p class="idle-count" aria-hidden="true">
            {left}
          </p>
          <div>
            <p class="idle-title">Still there?</p>
            <p>You will be signed out in {left} s. Any key, touch or movement keeps you here.</p>
          </div>
          <button type="button" class="primary" onClick={() => keeper.input()}>
            Stay signed in
          </button>
        </div>
      )}
      <div class="unseen" aria-live="assertive" role="alert">
        {said !== null && `You will be signed out in about ${Math.min(said, left ?? said)} seconds. Press any key to stay signed in.`}
      </div>
    </>
  );
}
