// Something that is fetched from the mesh for as long as a component shows it.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { useApp } from "../app";
import { type Problem, problemOf } from "../rpc/problems";

export interface Loaded<Value> {
  readonly value: Value | null;
  readonly problem: Problem | null;
  readonly again: () => void;
  /** Puts what a change answered in place of what was fetched. */
  readonly set: (value: Value) => void;
}

/** Fetches when `keys` change; waits and asks again by itself while the server is away. */
export function useLoaded<Value>(fetchIt: (signal: AbortSignal) => Promise<Value>, keys: readonly unknown[]): Loaded<Value> {
  const { mesh } = useApp();
  const [state, setState] = useState<{ value: Value | null; problem: Problem | null }>({ value: null, problem: null });
  const [round, setRound] = useState(0);
  const latest = useRef(fetchIt);
  latest.current = fetchIt;
  useEffect(() => {
    const controller = new AbortController();
    const attempt = async (): Promise<void> => {
      for (;;) {
        try {
          const value = await latest.current(controller.signal);
          if (!controller.signal.aborted) setState({ value, problem: null });
          return;
        } catch (thrown) {
          if (controller.signal.aborted) return;
          const problem = problemOf(thrown);
          setState((now) => ({ ...now, problem }));
          if (!problem.transient) return;
          await mesh.link.back(5000);
          if (controller.signal.aborted) return;
        }
      }
    };
    void attempt();
    return () => controller.abort();
  }, [...keys, round]);
  const again = useCallback(() => setRound((now) => now + 1), []);
  const set = useCallback((value: Value) => setState({ value, problem: null }), []);
  return { ...state, again, set };
}
