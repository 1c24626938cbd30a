// The project's numbers whenever they change: a stream that the server ends now and then and the page takes up again.

import { Code } from "@connectrpc/connect";
import { useEffect, useState } from "preact/hooks";
import { useApp } from "../app";
import type { ProjectStatistics } from "../gen/labelmesh/labeling/v1/statistics_pb";
import type { Mesh } from "../rpc/mesh";
import { problemOf } from "../rpc/problems";

const BACK_OFF_MS = [500, 1000, 2000, 5000, 10_000];

/** Watches until `stop`. Goes on after the last message it got, whatever ends the stream in between. */
export async function watchProject(
  mesh: Pick<Mesh, "statistics" | "link">,
  projectId: string,
  heard: (statistics: ProjectStatistics) => void,
  stop: AbortSignal,
): Promise<void> {
  let cursor = "";
  let failures = 0;
  while (!stop.aborted) {
    try {
      for await (const message of mesh.statistics.watchStatistics({ projectId, cursor }, { signal: stop, timeoutMs: 0 })) {
        failures = 0;
        cursor = message.cursor;
        if (message.project) heard(message.project);
      }
    } catch (thrown) {
      if (stop.aborted) return;
      const problem = problemOf(thrown);
      if (problem.code === Code.Unauthenticated || problem.code === Code.PermissionDenied || problem.code === Code.NotFound) return;
      if (problem.reason === "STREAM_RENEW") continue;
    }
    if (stop.aborted) return;
    const wait = BACK_OFF_MS[Math.min(failures, BACK_OFF_MS.length - 1)] ?? 10_000;
    failures += 1;
    if (mesh.link.away.value) await mesh.link.back(wait);
    else await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

/** The project's numbers, live while the page can be seen and somebody is signed in. */
export function useLiveStatistics(projectId: string): ProjectStatistics | null {
  const { mesh, keeper } = useApp();
  const [statistics, setStatistics] = useState<ProjectStatistics | null>(null);
  const [visible, setVisible] = useState(!document.hidden);
  const signedIn = keeper.state.value.phase === "signed-in";
  useEffect(() => {
    const changed = (): void => setVisible(!document.hidden);
    document.addEventListener("visibilitychange", changed);
    return () => document.removeEventListener("visibilitychange", changed);
  }, []);
  useEffect(() => {
    if (!visible || !signedIn) return;
    const controller = new AbortController();
    void watchProject(mesh, projectId, setStatistics, controller.signal);
    return () => controller.abort();
  }, [mesh, projectId, visible, signedIn]);
  return statistics;
}
