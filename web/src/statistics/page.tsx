// How far one has come, and how far the project is.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useNames } from "../account/names";
import { useApp } from "../app";
import { Role, type User } from "../gen/labelmesh/auth/v1/users_pb";
import type { AnnotatorStatistics, ProjectStatistics } from "../gen/labelmesh/labeling/v1/statistics_pb";
import { addressOf } from "../router";
import { readAll } from "../rpc/pages";
import { readableTime } from "../rpc/time";
import { includes } from "../session/keeper";
import { useLoaded } from "../ui/loaded";
import { count, Progress, percent, ScrollTable, several, Trouble, Waiting } from "../ui/parts";
import { useLiveStatistics } from "./watch";

/** Own numbers are asked for again when the project's have changed, but not more often than this. */
const AGAIN_MS = 2000;

export function StatisticsPage(props: { user: User; projectId: string }): JSX.Element {
  const { mesh } = useApp();
  const { projectId } = props;
  const project = useLoaded(async (signal) => (await mesh.projects.getProject({ projectId }, { signal })).project ?? null, [projectId]);
  const statistics = useLoaded((signal) => mesh.statistics.getStatistics({ projectId }, { signal }), [projectId]);
  const live = useLiveStatistics(projectId);
  const changes = useChanges(live, statistics.again);
  const whole = live ?? statistics.value?.project ?? null;
  const own = statistics.value?.own ?? null;
  const problem = statistics.value ? null : (statistics.problem ?? project.problem);
  return (
    <>
      <header class="page-head">
        <h1>{project.value?.displayName ?? "Statistics"}</h1>
        <a class="button primary" href={addressOf({ at: "label", projectId })}>
          Go on labeling
        </a>
      </header>
      <Trouble problem={problem} />
      {!statistics.value && !problem && <Waiting what="Counting…" />}
      {own && whole && <Own own={own} whole={whole} />}
      {whole && <Whole whole={whole} live={live !== null} />}
      {includes(props.user.role, Role.MANAGER) && <Annotators projectId={projectId} changes={changes} />}
    </>
  );
}

/** Counts changes of the live numbers, at most one in AGAIN_MS, and calls `again` with each. */
function useChanges(live: ProjectStatistics | null, again: () => void): number {
  const [changes, setChanges] = useState(0);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const first = useRef(true);
  useEffect(() => {
    if (!live) return;
    if (first.current) {
      first.current = false;
      return;
    }
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      again();
      setChanges((now) => now + 1);
    }, AGAIN_MS);
  }, [live]);
  useEffect(() => () => clearTimeout(timer.current), []);
  return changes;
}

function Figure(props: { name: string; value: string; text: string; id: string }): JSX.Element {
  return (
    <div class="figure">
      <dt>{props.name}</dt>
      <dd>
        <span class="figure-value" data-testid={props.id}>
          {props.value}
        </span>
        <span class="figure-text">{props.text}</span>
      </dd>
    </div>
  );
}

function Own(props: { own: AnnotatorStatistics; whole: ProjectStatistics }): JSX.Element {
  const { own, whole } = props;
  return (
    <section aria-labelledby="own-heading">
      <h2 id="own-heading">Your work</h2>
      <dl class="figures">
        <Figure
          id="labels-given"
          name="Labels given"
          value={count(own.labelsGiven)}
          text={`the last one: ${readableTime(own.lastLabelTime)}`}
        />
        <Figure
          id="distinct-images"
          name="Distinct images"
          value={count(own.distinctImagesLabeled)}
          text="images you labeled at least once"
        />
        <Figure
          id="images-awaiting"
          name="Still awaiting"
          value={count(whole.imagesAwaiting)}
          text={`of ${several(whole.images, "image")} in the project`}
        />
        <Figure
          id="consistency"
          name="Your consistency"
          value={own.consistency === undefined ? "–" : percent(own.consistency)}
          text={
            own.consistency === undefined
              ? "known once you have seen some images twice"
              : `${count(own.repeatsConsistent)} of ${several(own.repeats, "repeat")} labeled the same`
          }
        />
      </dl>
    </section>
  );
}

function Whole(props: { whole: ProjectStatistics; live: boolean }): JSX.Element {
  const { whole } = props;
  const done = Number(whole.imagesCompleted);
  const all = Number(whole.images);
  return (
    <section class="panel" aria-labelledby="whole-heading">
      <h2 id="whole-heading">The project {props.live && <span class="badge badge-live">live</span>}</h2>
      <Progress label="Images of the project that are labeled" done={done} all={all} />
      <p>
        <strong data-testid="images-completed">{count(done)}</strong> of {several(all, "image")} labeled
        {all > 0 && `, ${percent(done / all)}`}.
      </p>
      <p class="quiet-text">
        {several(whole.labels, "label")} by people, {several(whole.machineLabels, "label")} by machines;{" "}
        {several(whole.imagesHeld, "image is", "images are")} open on somebody's screen right now.
      </p>
    </section>
  );
}

function Annotators(props: { projectId: string; changes: number }): JSX.Element {
  const { mesh } = useApp();
  const { projectId } = props;
  const annotators = useLoaded(
    (signal) =>
      readAll(
        (pageToken) => mesh.statistics.listAnnotatorStatistics({ projectId, pageSize: 200, pageToken }, { signal }),
        (reply) => reply.annotators,
        1000,
      ),
    [projectId, props.changes],
  );
  const nameOf = useNames();
  return (
    <section class="panel" aria-labelledby="annotators-heading">
      <h2 id="annotators-heading">Everybody</h2>
      <Trouble problem={annotators.value ? null : annotators.problem} />
      {annotators.value?.length === 0 && <p class="quiet-text">Nobody has labeled here yet.</p>}
      {annotators.value && annotators.value.length > 0 && (
        <ScrollTable label="Everybody's numbers">
          <thead>
            <tr>
              <th scope="col">Annotator</th>
              <th scope="col" class="number">
                Labels
              </th>
              <th scope="col" class="number">
                Images
              </th>
              <th scope="col" class="number">
                Repeats
              </th>
              <th scope="col" class="number">
                Consistency
              </th>
              <th scope="col">Last label</th>
            </tr>
          </thead>
          <tbody>
            {annotators.value.map((one) => (
              <tr key={one.authorId}>
                <th scope="row">{nameOf(one.authorId)}</th>
                <td class="number">{count(one.labelsGiven)}</td>
                <td class="number">{count(one.distinctImagesLabeled)}</td>
                <td class="number">{count(one.repeats)}</td>
                <td class="number">{one.consistency === undefined ? "–" : percent(one.consistency)}</td>
                <td>{readableTime(one.lastLabelTime)}</td>
              </tr>
            ))}
          </tbody>
        </ScrollTable>
      )}
    </section>
  );
}
