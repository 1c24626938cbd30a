// The labeling page: one image, its classes, and the next one at once.
import type { JSX } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { useApp } from "../app";
import { Role, type User } from "../gen/labelmesh/auth/v1/users_pb";
import type { Project } from "../gen/labelmesh/labeling/v1/projects_pb";
import { addressOf } from "../router";
import { durationMs } from "../rpc/time";
import { includes } from "../session/keeper";
import { useLoaded } from "../ui/loaded";
import { count, Progress, percent, Trouble, Waiting } from "../ui/parts";
import { ClassButtons } from "./classes";
import { ShortcutHelp } from "./help";
import { commandOf, isTyping, takesEnter } from "./keys";
import { NothingToDo } from "./nothing";
import type { LabelingQueue } from "./queue";
import { isSmall, isSoft, Stage } from "./stage";
import { useSuggestions } from "./suggesting";

export function LabelPage(props: { user: User; projectId: string }): JSX.Element {
  const { mesh } = useApp();
  const { projectId } = props;
  const loaded = useLoaded(async (signal) => (await mesh.projects.getProject({ projectId }, { signal })).project ?? null, [projectId]);
  if (loaded.problem && !loaded.value && !loaded.problem.transient) {
    return (
      <section class="empty">
        <h1>This project cannot be opened</h1>
        <p>{loaded.problem.sentence}</p>
        <a class="button" href={addressOf({ at: "projects" })}>
          To the projects
        </a>
      </section>
    );
  }
  if (!loaded.value) return <Waiting what="Opening the project…" />;
  return <Bench key={projectId} project={loaded.value} user={props.user} onProjectChanged={loaded.again} />;
}

const FLASH_MS = 160;
const SMOOTH = "labelmesh.smooth";
/** The project's progress is fetched this seldom: a figure that moves with every label would tell repeats from new images. */
const PROGRESS_EVERY_MS = 60_000;

function Bench(props: { project: Project; user: User; onProjectChanged: () => void }): JSX.Element {
  const { desk, keeper } = useApp();
  const { project, user } = props;
  const queue = desk.queue(user.id, project.id);
  const [help, setHelp] = useState(false);
  const [flash, setFlash] = useState<string | null>(null);
  const [said, setSaid] = useState("");
  const [chosenSmooth, setSmooth] = useState(sessionStorage.getItem(SMOOTH));
  const search = useRef<HTMLInputElement>(null);
  const progress = useProjectProgress(project, queue);

  useEffect(() => {
    queue.enter();
    return () => void queue.leave();
  }, [queue]);

  const refused = queue.notice.value?.tone === "problem";
  useEffect(() => {
    // A refused label may mean that the project's classes or state have changed.
    if (refused) props.onProjectChanged();
  }, [refused]);

  useEffect(() => {
    // Images that are held for less than a minute need more than the report of activity.
    const held = durationMs(project.leaseDuration) ?? 120_000;
    if (held >= 60_000) return;
    let renewedAt = Date.now();
    const timer = setInterval(
      () => {
        if (keeper.lastInputAt <= renewedAt) return;
        renewedAt = Date.now();
        void queue.renew().catch(() => undefined);
      },
      Math.max(500, held / 3),
    );
    return () => clearInterval(timer);
  }, [queue, project]);

  const model = useSuggestions(project, queue);
  const label = useCallback(
    (classId: string): void => {
      const labeled = queue.current.value?.lease.imageUrl ?? "";
      if (!queue.label(classId, performance.now())) return;
      model.labeled(labeled, classId);
      setFlash(classId);
      setSaid(`Labeled ${nameOf(project, classId)}. Next image.`);
      setTimeout(() => setFlash((now) => (now === classId ? null : now)), FLASH_MS);
    },
    [queue, project, model.labeled],
  );
  const skip = useCallback((): void => {
    if (queue.skip(performance.now())) setSaid("Skipped. Next image.");
  }, [queue]);
  const undo = useCallback((): void => {
    queue.undo();
    setSaid("Taking the last label back.");
  }, [queue]);
  const held = queue.current.value;
  const smooth = chosenSmooth === null ? held !== null && isSoft(held) : chosenSmooth === "yes";
  const toggleSmooth = useCallback((): void => {
    const choice = smooth ? "no" : "yes";
    sessionStorage.setItem(SMOOTH, choice);
    setSmooth(choice);
  }, [smooth]);

  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
      const command = commandOf(event, project.classes);
      if (!command) return;
      if (command.do === "accept") {
        if (!model.suggestion || takesEnter(event.target)) return;
        event.preventDefault();
        label(model.suggestion.classId);
        return;
      }
      event.preventDefault();
      if (command.do === "label") label(command.classId);
      else if (command.do === "skip") skip();
      else if (command.do === "undo") undo();
      else if (command.do === "help") setHelp(true);
      else if (command.do === "smooth") toggleSmooth();
      else if (command.do === "suggest") model.toggle();
      else search.current?.focus();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [project, label, skip, undo, toggleSmooth, model]);

  const idle = queue.nothing.value;
  const manager = includes(user.role, Role.MANAGER);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions lint/a11y/useKeyWithClickEvents: no action of its own, see the comment
    <div
      class="bench"
      onClick={(event) => {
        // After a click the keyboard belongs to the page again: Enter takes the suggestion and not once more what was clicked.
        if (model.shown && event.detail > 0 && document.activeElement instanceof HTMLButtonElement) document.activeElement.blur();
      }}
    >
      <BenchHead project={project} queue={queue} progress={progress} onHelp={() => setHelp(true)} />
      <section class="stage" aria-label="Image to label" data-ready={queue.ready.value}>
        {held && <Stage queue={queue} held={held} smooth={smooth} />}
        {!held && queue.trouble.value && (
          <div class="stage-message">
            <Trouble problem={queue.trouble.value} />
            <div class="actions">
              <button type="button" class="primary" onClick={() => queue.lookAgain()}>
                Try again
              </button>
            </div>
          </div>
        )}
        {!held && !queue.trouble.value && idle && (
          <NothingToDo idle={idle} projectId={project.id} manager={manager} onAgain={() => queue.lookAgain()} onUndo={undo} />
        )}
        {!held && !queue.trouble.value && !idle && <Waiting what="Fetching an image…" />}
      </section>
      <NoticeLine queue={queue} />
      <ClassButtons
        classes={project.classes}
        disabled={!queue.ready.value}
        flash={flash}
        before={held?.lease.previousClassId ?? ""}
        suggestion={model.suggestion}
        search={search}
        onChoose={label}
      />
      <footer class="bench-foot">
        <button type="button" aria-disabled={!queue.ready.value} onClick={skip}>
          Skip <kbd>S</kbd>
        </button>
        <button type="button" aria-disabled={queue.busyUndoing.value} onClick={undo}>
          Undo <kbd>Z</kbd>
        </button>
        {held && isSmall(held) && (
          <button type="button" class="quiet" aria-pressed={smooth} onClick={toggleSmooth}>
            Smooth <kbd>P</kbd>
          </button>
        )}
        {model.there && (
          <button
            type="button"
            class="quiet"
            aria-pressed={model.shown}
            title={model.away ? "The model does not answer" : "What the model suggests"}
            onClick={model.toggle}
          >
            Model <kbd>M</kbd>
            {model.shown && model.away && <span class="badge badge-closed">away</span>}
          </button>
        )}
        <Saving queue={queue} />
      </footer>
      <div class="unseen" aria-live="polite">
        {said}
      </div>
      <div class="unseen" aria-live="polite">
        {model.suggestion && queue.ready.value && `The model suggests ${nameOf(project, model.suggestion.classId)}.`}
      </div>
      {help && <ShortcutHelp classes={project.classes} suggests={model.there} onClose={() => setHelp(false)} />}
    </div>
  );
}

function nameOf(project: Project, classId: string): string {
  return project.classes.find((one) => one.id === classId)?.displayName || classId;
}

interface Standing {
  readonly done: number;
  readonly all: number;
}

/** The person's own count at the start, and the project's progress now and then. */
function useProjectProgress(project: Project, queue: LabelingQueue): Standing {
  const { mesh } = useApp();
  const [standing, setStanding] = useState<Standing>({ done: Number(project.completedCount), all: Number(project.imagesCount) });
  useEffect(() => {
    let gone = false;
    const look = async (): Promise<void> => {
      try {
        const { own, project: whole } = await mesh.statistics.getStatistics({ projectId: project.id });
        if (gone) return;
        if (own) queue.knowGiven(Number(own.labelsGiven));
        if (whole) setStanding({ done: Number(whole.imagesCompleted), all: Number(whole.images) });
      } catch {
        // The bar stays as it is; the link shows when the server is away.
      }
    };
    void look();
    const timer = setInterval(() => void look(), PROGRESS_EVERY_MS);
    return () => {
      gone = true;
      clearInterval(timer);
    };
  }, [project.id, queue]);
  return standing;
}

function BenchHead(props: { project: Project; queue: LabelingQueue; progress: Standing; onHelp: () => void }): JSX.Element {
  const { progress, queue } = props;
  const given = queue.given.value;
  return (
    <header class="bench-head">
      <h1 title={props.project.displayName}>{props.project.displayName}</h1>
      <p class="given" data-testid="given">
        <strong>{given === null ? "–" : count(given)}</strong> labels by you
      </p>
      <div class="bench-progress">
        <Progress label="Images of the project that are labeled" done={progress.done} all={progress.all} />
        <span class="bench-share">
          {progress.all > 0 ? percent(progress.done / progress.all) : "–"} of {count(progress.all)}
        </span>
      </div>
      <button type="button" class="quiet icon" aria-label="Keys" title="Keys (?)" onClick={props.onHelp}>
        ?
      </button>
    </header>
  );
}

function NoticeLine(props: { queue: LabelingQueue }): JSX.Element {
  const notice = props.queue.notice.value;
  return (
    <div class="notice-slot" role="status">
      {notice && (
        <p class={`notice notice-${notice.tone}`}>
          {notice.sentence}
          <button
            type="button"
            class="quiet icon"
            aria-label="Dismiss"
            onClick={() => {
              props.queue.notice.value = null;
            }}
          >
            ✕
          </button>
        </p>
      )}
    </div>
  );
}

/** Says that labels are on their way, but only when it takes noticeably long. */
function Saving(props: { queue: LabelingQueue }): JSX.Element {
  const unconfirmed = props.queue.unconfirmed.value;
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    if (unconfirmed === 0) {
      setSlow(false);
      return;
    }
    const timer = setTimeout(() => setSlow(true), 1200);
    return () => clearTimeout(timer);
  }, [unconfirmed === 0]);
  return (
    <p class="saving" role="status">
      {slow && unconfirmed > 0 && `Saving ${unconfirmed === 1 ? "your last label" : `${unconfirmed} labels`}…`}
    </p>
  );
}
