// A training whenever it has come further: a stream that the server ends now and then and the page takes up again.
import { type Training, TrainingState } from "../gen/labelmesh/inference/v1/trainings_pb";
import { follow } from "../rpc/follow";
import type { Mesh } from "../rpc/mesh";
import type { Series } from "../ui/plot";
import { words } from "./versions";

/** Watches until the training has ended, or `stop`. */
export async function watchTraining(
  mesh: { readonly trainings: Pick<Mesh["trainings"], "watchTraining">; readonly link: Pick<Mesh["link"], "away" | "back"> },
  trainingId: string,
  heard: (training: Training) => void,
  stop: AbortSignal,
): Promise<void> {
  await follow(
    mesh.link,
    {
      open: (signal) => mesh.trainings.watchTraining({ trainingId }, { signal, timeoutMs: 0 }),
      heard: ({ training }) => {
        if (!training) return false;
        heard(training);
        return training.state !== TrainingState.RUNNING;
      },
    },
    stop,
  );
}

/** Curves of a training: losses together, accuracies together. */
export function curvesOf(training: Training): { readonly title: string; readonly series: Series[] }[] {
  const names = [...new Set(training.history.flatMap((progress) => Object.keys(progress.metrics)))].sort();
  const lines = (part: string): Series[] =>
    names
      .filter((name) => name.includes(part))
      .map((name) => ({
        name: words(name),
        points: training.history.flatMap((progress) => {
          const value = progress.metrics[name];
          return value === undefined ? [] : [{ x: progress.epoch, y: value }];
        }),
      }));
  return [
    { title: "Loss", series: lines("loss") },
    { title: "Accuracy", series: lines("accuracy") },
  ].filter((plot) => plot.series.some((one) => one.points.length > 0));
}
