// The model's suggestions on the labeling page: there when the project names a model, shown when the person wants them.
import { useCallback, useEffect, useMemo } from "preact/hooks";
import { useApp } from "../app";
import type { Project } from "../gen/labelmesh/labeling/v1/projects_pb";
import { useRemembered } from "../ui/remembered";
import { suggestionPort } from "./meshport";
import type { LabelingQueue } from "./queue";
import { type Suggestion, Suggestions } from "./suggestions";

export interface Suggesting {
  /** Whether the project has a model that suggests. */
  readonly there: boolean;
  /** Whether the person wants to see what it says. */
  readonly shown: boolean;
  readonly away: boolean;
  /** For the image on screen. */
  readonly suggestion: Suggestion | null;
  readonly toggle: () => void;
  readonly labeled: (imageUrl: string, classId: string) => void;
}

export function useSuggestions(project: Project, queue: LabelingQueue): Suggesting {
  const { mesh } = useApp();
  const model = project.suggestionModel;
  const [choice, choose] = useRemembered("suggestions", "shown");
  const there = model !== "";
  const shown = there && choice === "shown";
  const suggestions = useMemo(() => new Suggestions(suggestionPort(mesh, model), project.classes), [mesh, model, project.classes]);
  const current = queue.current.value;
  const upcoming = queue.upcoming.value;
  useEffect(() => () => suggestions.stop(), [suggestions]);
  useEffect(() => {
    if (shown) suggestions.want([current, upcoming].filter((held) => held !== null));
    else suggestions.stop();
  }, [suggestions, shown, current?.lease.id, upcoming?.lease.id]);
  const labeled = useCallback(
    (imageUrl: string, classId: string) => {
      if (shown) suggestions.labeled(imageUrl, classId);
    },
    [suggestions, shown],
  );
  const suggestion = shown && current ? suggestions.of(current.lease.imageUrl) : null;
  const away = suggestions.away.value;
  return { there, shown, away, suggestion, toggle: () => there && choose(shown ? "hidden" : "shown"), labeled };
}
