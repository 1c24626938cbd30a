// The project's numbers whenever they change: a stream that the server ends now and then and the page takes up again.
import { useEffect, useState } from "preact/hooks";
import { useApp } from "../app";
import type { ProjectStatistics } from "../gen/labelmesh/labeling/v1/statistics_pb";
import { follow } from "../rpc/follow";
import type { Mesh } from "../rpc/mesh";
import { useWatching } from "../ui/watching";

/** Watches until `stop`. Goes on after the last message it got, whatever ends the stream in between. */
export async function watchProject(
  mesh: Pick<Mesh, "statistics" | "link">,
  projectId: string,
  heard: (statistics: ProjectStatistics) => void,
  stop: AbortSignal,
): Promise<void> {
  let cursor = "";
  await follow(
    mesh.link,
    {
      open: (signal) => mesh.statistics.watchStatistics({ projectId, cursor }, { signal, timeoutMs: 0 }),
      heard: (message) => {
        cursor = message.cursor;
        if (message.project) heard(message.project);
        return false;
      },
    },
    stop,
  );
}

/** The project's numbers, live while the page can be seen and somebody is signed in. */
export function useLiveStatistics(projectId: string): ProjectStatistics | null {
  const { mesh } = useApp();
  const [statistics, setStatistics] = useState<ProjectStatistics | null>(null);
  const watching = useWatching();
  useEffect(() => {
    if (!watching) return;
    const controller = new AbortController();
    void watchProject(mesh, projectId, setStatistics, controller.signal);
    return () => controller.abort();
  }, [mesh, projectId, watching]);
  return statistics;
}
