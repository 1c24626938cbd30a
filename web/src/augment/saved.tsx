// Pipelines that a project keeps: versions that never change, each with a note.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useApp } from "../app";
import type { SavedPipeline } from "../gen/labelmesh/augment/v1/pipelines_pb";
import { readAll } from "../rpc/pages";
import { problemOf } from "../rpc/problems";
import { readableTime } from "../rpc/time";
import { randomUuid } from "../session/tabs";
import { useAction } from "../ui/action";
import { useLoaded } from "../ui/loaded";
import { Dialog, Field, several, Trouble, Waiting } from "../ui/parts";
import type { Bench } from "./bench";
import { pipelineOf, stepCount, wireOf } from "./pipeline";
import { InProject } from "./projects";

const NAME = /^[a-z0-9][a-z0-9_.-]{0,63}$/;

export function SavedDialog(props: { bench: Bench; manager: boolean; onClose: () => void }): JSX.Element {
  return (
    <Dialog title="Pipelines of projects" class="projects-pipelines" onClose={props.onClose}>
      <InProject>{(projectId) => <OfProject key={projectId} {...props} projectId={projectId} />}</InProject>
    </Dialog>
  );
}

function OfProject(props: { bench: Bench; manager: boolean; projectId: string; onClose: () => void }): JSX.Element {
  const { mesh } = useApp();
  const { bench, projectId } = props;
  const kept = useLoaded(
    (signal) =>
      readAll(
        (pageToken) => mesh.pipelines.listPipelines({ projectId, pageSize: 200, pageToken }, { signal }),
        (reply) => reply.pipelines,
      ),
    [projectId],
  );
  const load = (saved: SavedPipeline): void => {
    if (!saved.pipeline) return;
    bench.replace(pipelineOf(saved.pipeline), { projectId, name: saved.name, version: saved.version });
    bench.said.value = `${saved.name}, version ${saved.version}, was loaded.`;
    props.onClose();
  };
  return (
    <>
      {props.manager && <Save bench={bench} projectId={projectId} kept={kept.value ?? []} onSaved={kept.again} onLoad={load} />}
      <section aria-labelledby="kept-heading" class="stack">
        <h3 id="kept-heading">Load one</h3>
        <Trouble problem={kept.problem} />
        {!kept.value && !kept.problem && <Waiting what="Looking for pipelines…" />}
        {kept.value?.length === 0 && (
          <p class="quiet-text">This project keeps no pipeline yet.{!props.manager && " Whoever manages the project can save some."}</p>
        )}
        <ul class="kept-pipelines">
          {kept.value?.map((one) => (
            <Kept key={`${one.name} ${one.version}`} newest={one} projectId={projectId} onLoad={load} />
          ))}
        </ul>
      </section>
    </>
  );
}

function Kept(props: { newest: SavedPipeline; projectId: string; onLoad: (saved: SavedPipeline) => void }): JSX.Element {
  const { newest } = props;
  const [older, setOlder] = useState(false);
  return (
    <li>
      <Version saved={newest} onLoad={props.onLoad} />
      {newest.version > 1 &&
        (older ? (
          <Older {...props} />
        ) : (
          <button type="button" class="link quiet-text" onClick={() => setOlder(true)}>
            {several(newest.version - 1, "older version")} of {newest.name}
          </button>
        ))}
    </li>
  );
}

function Older(props: { newest: SavedPipeline; projectId: string; onLoad: (saved: SavedPipeline) => void }): JSX.Element {
  const { mesh } = useApp();
  const { newest, projectId } = props;
  const versions = useLoaded(
    (signal) =>
      readAll(
        (pageToken) => mesh.pipelines.listPipelines({ projectId, name: newest.name, pageSize: 200, pageToken }, { signal }),
        (reply) => reply.pipelines,
      ),
    [projectId, newest.name, newest.version],
  );
  return (
    <>
      <Trouble problem={versions.problem} />
      {!versions.value && !versions.problem && <Waiting what="Looking for versions…" />}
      <ul class="older">
        {versions.value
          ?.filter((one) => one.version !== newest.version)
          .map((one) => (
            <li key={one.version}>
              <Version saved={one} onLoad={props.onLoad} />
            </li>
          ))}
      </ul>
    </>
  );
}

function Version(props: { saved: SavedPipeline; onLoad: (saved: SavedPipeline) => void }): JSX.Element {
  const { saved } = props;
  const steps = saved.pipeline ? stepCount(pipelineOf(saved.pipeline)) : 0;
  return (
    <div class="kept-pipeline">
      <div>
        <strong>{saved.name}</strong> <span class="badge">version {saved.version}</span>
        <span class="second-line">
          {several(steps, "step")}, {readableTime(saved.createTime)}
        </span>
        {saved.note && <span class="note">{saved.note}</span>}
      </div>
      <button type="button" class="small" aria-label={`Load ${saved.name}, version ${saved.version}`} onClick={() => props.onLoad(saved)}>
        Load
      </button>
    </div>
  );
}

function Save(props: {
  bench: Bench;
  projectId: string;
  /** What the project is known to keep. */
  kept: readonly SavedPipeline[];
  onSaved: () => void;
  onLoad: (saved: SavedPipeline) => void;
}): JSX.Element {
  const { mesh } = useApp();
  const { bench, projectId } = props;
  const from = bench.saved.value?.projectId === projectId ? bench.saved.value : null;
  const [name, setName] = useState(from?.name ?? "");
  const [note, setNote] = useState("");
  const [done, setDone] = useState("");
  /** The version that somebody else saved meanwhile. */
  const [theirs, setTheirs] = useState<SavedPipeline | null>(null);
  const newest = props.kept.find((one) => one.name === name)?.version ?? 0;
  /** What this one was made from; of a name that it was not made from, what one sees here. */
  const base = from?.name === name ? from.version : newest;
  const save = useAction(async (regardless: boolean) => {
    setDone("");
    setTheirs(null);
    const previousVersion = regardless ? 0 : base;
    try {
      const reply = await mesh.pipelines.savePipeline({
        requestId: randomUuid(),
        projectId,
        name,
        note: note.trim(),
        pipeline: wireOf(bench.changes.now.value),
        previousVersion,
      });
      const version = reply.pipeline?.version ?? 1;
      bench.saved.value = { projectId, name, version };
      setDone(`Saved as ${name}, version ${version}.`);
      setNote("");
      props.onSaved();
    } catch (thrown) {
      if (problemOf(thrown).reason === "VERSION_EXISTS") {
        const newest = await mesh.pipelines.getPipeline({ projectId, name, version: 0 });
        setTheirs(newest.pipeline ?? null);
        return;
      }
      throw thrown;
    }
  });
  const nameProblem =
    name === "" || NAME.test(name) ? undefined : "Small letters, digits, “-”, “_” and “.”, beginning with a letter or digit.";
  return (
    <form
      class="stack"
      aria-labelledby="save-heading"
      onSubmit={(event) => {
        event.preventDefault();
        void save.run(false);
      }}
    >
      <h3 id="save-heading">Save this one</h3>
      <div class="columns">
        <Field
          label="Name"
          value={name}
          maxLength={64}
          placeholder="night-camera"
          autocomplete="off"
          error={nameProblem}
          hint={newest > 0 && theirs === null && done === "" ? `There is version ${newest} of it: this becomes the next one.` : undefined}
          onInput={(event) => {
            setName(event.currentTarget.value);
            setTheirs(null);
          }}
        />
        <Field
          label="Note"
          value={note}
          maxLength={1000}
          placeholder="What is new, or what it is for"
          autocomplete="off"
          onInput={(event) => setNote(event.currentTarget.value)}
        />
      </div>
      <Trouble problem={save.problem} />
      <div role="alert" class="trouble-slot">
        {theirs && (
          <div class="caution conflict">
            <p>
              Somebody saved <strong>{theirs.name}</strong> version {theirs.version} in the meantime; yours began with version {base}.
              Nothing is lost: versions never change.{theirs.note && ` Their note: “${theirs.note}”.`}
            </p>
            <div class="actions start">
              <button type="button" onClick={() => props.onLoad(theirs)}>
                Look at theirs
              </button>
              <button type="button" onClick={() => void save.run(true)}>
                Save mine as version {theirs.version + 1}
              </button>
            </div>
          </div>
        )}
      </div>
      <div class="actions">
        <span role="status" class="quiet-text">
          {done}
        </span>
        <button type="submit" class="primary" disabled={save.busy || name === "" || nameProblem !== undefined}>
          {save.busy ? "Saving…" : "Save"}
        </button>
      </div>
    </form>
  );
}
