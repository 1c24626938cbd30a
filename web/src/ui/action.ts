// One thing a person asked for: is it under way, and what came of it.
import { useRef, useState } from "preact/hooks";
import { type Problem, problemOf } from "../rpc/problems";

export interface Action<Arguments extends unknown[]> {
  readonly busy: boolean;
  readonly problem: Problem | null;
  /** Does it, once at a time; true when it succeeded. */
  readonly run: (...args: Arguments) => Promise<boolean>;
  readonly clear: () => void;
}

/** Wraps a call so that a component can show that it runs and why it failed. */
export function useAction<Arguments extends unknown[]>(work: (...args: Arguments) => Promise<unknown>): Action<Arguments> {
  const [state, setState] = useState<{ busy: boolean; problem: Problem | null }>({ busy: false, problem: null });
  const running = useRef(false);
  return {
    ...state,
    run: async (...args) => {
      if (running.current) return false;
      running.current = true;
      setState({ busy: true, problem: null });
      try {
        await work(...args);
        setState({ busy: false, problem: null });
        return true;
      } catch (thrown) {
        setState({ busy: false, problem: problemOf(thrown) });
        return false;
      } finally {
        running.current = false;
      }
    },
    clear: () => setState((now) => ({ ...now, problem: null })),
  };
}
