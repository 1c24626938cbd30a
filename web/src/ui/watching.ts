// Whether somebody watches: what is shown live is asked for only then.
import { useEffect, useRef, useState } from "preact/hooks";
import { useApp } from "../app";

/** True while the page can be seen and somebody is signed in. */
export function useWatching(): boolean {
  const { keeper } = useApp();
  const [visible, setVisible] = useState(!document.hidden);
  useEffect(() => {
    const changed = (): void => setVisible(!document.hidden);
    document.addEventListener("visibilitychange", changed);
    return () => document.removeEventListener("visibilitychange", changed);
  }, []);
  return visible && keeper.state.value.phase === "signed-in";
}

/** Calls `again` every so often while somebody watches; at once when somebody looks again. */
export function usePolling(again: () => void, everyMs: number): void {
  const watching = useWatching();
  const missed = useRef(false);
  useEffect(() => {
    if (!watching) {
      missed.current = true;
      return;
    }
    if (missed.current) again();
    missed.current = false;
    const timer = setInterval(again, everyMs);
    return () => clearInterval(timer);
  }, [watching, again, everyMs]);
}
