// A model goes over a project's images: a stream that the server ends every minute and the page takes up again where it stood.
import type { ScoreProjectResponse } from "../gen/labelmesh/inference/v1/scoring_pb";
import { follow } from "../rpc/follow";
import type { Mesh } from "../rpc/mesh";
import type { Problem } from "../rpc/problems";

export interface Scoring {
  readonly projectId: string;
  readonly model: string;
  readonly suggest: boolean;
  readonly order: boolean;
}

/** Scores until nothing is left or `stop`; the problem that ended it, if one did. What was written stays in any case. */
export function scoreProject(
  mesh: { readonly scoring: Pick<Mesh["scoring"], "scoreProject">; readonly link: Pick<Mesh["link"], "away" | "back"> },
  scoring: Scoring,
  heard: (message: ScoreProjectResponse) => void,
  stop: AbortSignal,
): Promise<Problem | null> {
  const { projectId, model, suggest, order } = scoring;
  let cursor = "";
  return follow(
    mesh.link,
    {
      open: (signal) => mesh.scoring.scoreProject({ projectId, model: { model }, suggest, order, cursor }, { signal, timeoutMs: 0 }),
      heard: (message) => {
        if (message.cursor !== "") cursor = message.cursor;
        heard(message);
        return message.done;
      },
      failed: (problem) => !problem.transient,
    },
    stop,
  );
}
