// The augment page: a picture, a pipeline, and what comes of them, at once and again with the same link.
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useApp } from "../app";
import { Role, type User } from "../gen/labelmesh/auth/v1/users_pb";
import { parameters as placeParameters, replaceParameters } from "../router";
import { includes } from "../session/keeper";
import { useLoaded } from "../ui/loaded";
import { several, Trouble, Waiting } from "../ui/parts";
import { useRemembered } from "../ui/remembered";
import { shownBy } from "./address";
import { adviceOn, Bench } from "./bench";
import { Bring } from "./bring";
import { Catalogue } from "./catalogue";
import { PipelineEditor } from "./editor";
import { Results } from "./results";
import { fileProblem, nameOf, sameSource } from "./source";

/** So long after the last change the address says what is shown. */
const ADDRESS_MS = 250;

export function AugmentPage(props: { user: User }): JSX.Element {
  const { mesh } = useApp();
  const [draft, remember] = useRemembered("augment", "");
  const bench = useMemo(() => {
    const linked = placeParameters.peek();
    return new Bench(mesh, shownBy(linked === "" ? draft : linked));
  }, [mesh]);
  const transforms = useLoaded((signal) => mesh.pipelines.listTransforms({}, { signal }), []);
  const catalogue = useMemo(() => (transforms.value ? new Catalogue(transforms.value.transforms) : null), [transforms.value]);
  useEffect(() => {
    bench.catalogue.value = catalogue;
  }, [bench, catalogue]);
  useEffect(() => {
    bench.begin();
    return () => bench.end();
  }, [bench]);
  useAddress(bench, remember);
  return (
    <>
      <header class="page-head">
        <h1>Augment</h1>
        <p class="lead">See what training will see: the same picture, changed at random, with its labels moving along.</p>
      </header>
      <HowTo bench={bench} />
      <Bring bench={bench}>
        <Setbacks bench={bench} />
      </Bring>
      <div class="augment">
        <div class="augment-results">
          <Results bench={bench} catalogue={catalogue} />
        </div>
        <div class="augment-pipeline">
          <Trouble problem={transforms.value ? null : transforms.problem}> This page asks again by itself.</Trouble>
          {!catalogue && !transforms.problem && <Waiting what="Looking for transforms…" />}
          {catalogue && <PipelineEditor bench={bench} catalogue={catalogue} manager={includes(props.user.role, Role.MANAGER)} />}
          <FurtherPictures bench={bench} />
        </div>
      </div>
      <p class="unseen" aria-live="polite">
        {bench.said.value}
      </p>
    </>
  );
}

/** Keeps the address and the draft as the page is, and follows links that lead elsewhere on it. */
function useAddress(bench: Bench, remember: (draft: string) => void): void {
  const written = useRef(placeParameters.peek());
  const wanted = bench.parameters.value;
  const present = placeParameters.value;
  useEffect(() => {
    const timer = setTimeout(() => {
      if (!location.hash.startsWith("#/augment")) return;
      written.current = wanted;
      replaceParameters(wanted);
      remember(wanted);
    }, ADDRESS_MS);
    return () => clearTimeout(timer);
  }, [wanted]);
  useEffect(() => {
    if (present === written.current) return;
    written.current = present;
    if (present === "") replaceParameters(bench.parameters.peek());
    else bench.takeParameters(present);
  }, [present]);
}

/** Told until somebody has brought a picture. */
function HowTo(props: { bench: Bench }): JSX.Element | null {
  const [known, know] = useRemembered("augment-known", "");
  const { bench } = props;
  if (known !== "" || bench.source.value.kind !== "sample") return null;
  return (
    <section class="panel how-to" aria-label="How to use this page">
      <ol>
        <li>
          <strong>Bring a picture.</strong> Paste its address below, drop a file anywhere, or take an image of a project. Until then there
          is a robin.
        </li>
        <li>
          <strong>Choose what may happen to it.</strong> Every step has sliders: how often, and from where to where values are drawn.
        </li>
        <li>
          <strong>Take it along.</strong> Copy the pipeline as JSON, save it in a project, download the results, or send the link: the same
          seed gives the same pictures.
        </li>
      </ol>
      <button type="button" class="quiet icon" aria-label="I know how" title="I know how" onClick={() => know("yes")}>
        ✕
      </button>
    </section>
  );
}

/** Why there are no results, and when they are asked for again. What was shown before stays. */
function Setbacks(props: { bench: Bench }): JSX.Element {
  const { bench } = props;
  const setback = bench.previewer.setback.value;
  const shown = bench.previewer.shown.value;
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    setNow(Date.now());
    if (setback?.againAt == null) return;
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, [setback]);
  const current = setback && sameSource(setback.question.source, bench.source.value) ? setback : null;
  const problem = current?.problem ?? null;
  const advice = problem ? adviceOn(problem, bench.source.value) : null;
  const ofThePipeline = problem?.reason === "PIPELINE_INVALID" && problem.fields.size > 0;
  const before = problem && shown && !sameSource(shown.question.source, bench.source.value) ? shown.question.source : null;
  return (
    <>
      <div role="alert" class="trouble-slot">
        {problem && !ofThePipeline && (
          <div class="trouble" data-testid="setback" data-reason={problem.reason}>
            <p>
              <strong>{advice === null ? problem.sentence : `This picture cannot be shown. ${problem.sentence}`}</strong>
            </p>
            {advice === null && <Details fields={problem.fields} />}
            {advice !== null && <p>{advice}</p>}
            {before && <p>Below is still {before.kind === "sample" ? "the sample picture" : nameOf(before)}.</p>}
            {problem.transient && (
              <p>
                {current?.againAt != null && "Asking again by itself. "}
                <button type="button" class="link" onClick={() => current && bench.previewer.send(bench.question.peek())}>
                  Ask now
                </button>
              </p>
            )}
          </div>
        )}
        {ofThePipeline && (
          <p class="caution" data-testid="setback" data-reason="PIPELINE_INVALID">
            The pipeline cannot be done like this: what is wrong stands at its steps. The results are those from before.
          </p>
        )}
      </div>
      {current?.againAt != null && (
        <p class="quiet-text" aria-hidden="true">
          Again in {Math.max(0, Math.ceil((current.againAt - now) / 1000))} s
        </p>
      )}
    </>
  );
}

function Details(props: { fields: ReadonlyMap<string, string> }): JSX.Element | null {
  const sentences = [...new Set(props.fields.values())].slice(0, 5);
  if (sentences.length === 0) return null;
  return (
    <ul>
      {sentences.map((one) => (
        <li key={one}>{one}</li>
      ))}
    </ul>
  );
}

/** Pictures for steps that put several together. */
function FurtherPictures(props: { bench: Bench }): JSX.Element | null {
  const { bench } = props;
  const [problem, setProblem] = useState("");
  const wanted = bench.furtherWanted.value;
  if (wanted === 0) return null;
  const further = bench.further.value;
  return (
    <section class="panel further" aria-labelledby="further-heading">
      <h2 id="further-heading">Further pictures</h2>
      <p class="quiet-text">
        {further.length === 0
          ? `A step puts several pictures together: ${several(wanted, "built-in picture")} until you bring others.`
          : further.map((one) => one.name).join(", ")}
      </p>
      <div class="actions start">
        <label class="button small">
          Choose files
          <input
            class="unseen"
            type="file"
            multiple
            accept="image/jpeg,image/png,image/gif,image/webp,image/tiff"
            onChange={async (event) => {
              const files = [...(event.currentTarget.files ?? [])].slice(0, 8);
              event.currentTarget.value = "";
              const problems = await Promise.all(files.map((one) => fileProblem(one, one.name)));
              setProblem(problems.filter((one) => one !== null).join(" "));
              const good = files.filter((_, index) => problems[index] === null);
              if (good.length > 0) bench.further.value = good.map((file) => ({ name: file.name, file }));
            }}
          />
        </label>
        {further.length > 0 && (
          <button
            type="button"
            class="small"
            onClick={() => {
              bench.further.value = [];
            }}
          >
            Built-in ones
          </button>
        )}
      </div>
      <div role="alert" class="trouble-slot">
        {problem !== "" && <p class="trouble">{problem}</p>}
      </div>
    </section>
  );
}
