// A project's settings and its images, for managers.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useApp } from "../app";
import { type Project, ProjectState } from "../gen/labelmesh/labeling/v1/projects_pb";
import { durationMs, durationOf } from "../rpc/time";
import { useAction } from "../ui/action";
import { useLoaded } from "../ui/loaded";
import { Field, percent, Select, several, Trouble, Waiting } from "../ui/parts";
import { classDrafts, classProblems, sameSettings, wireClasses } from "./draft";
import { ClassEditor } from "./editor";
import { ACCESS_OPTIONS } from "./new";
import { ScoringPanel, SuggestionModel } from "./scoringpanel";
import { UploadPanel } from "./uploadpanel";

export function ManagePage(props: { projectId: string }): JSX.Element {
  const { mesh } = useApp();
  const { projectId } = props;
  const [edition, setEdition] = useState(0);
  const project = useLoaded(async (signal) => (await mesh.projects.getProject({ projectId }, { signal })).project ?? null, [projectId]);
  /** Fetches the project and starts editing anew from what came. */
  const reload = useAction(async () => {
    const reply = await mesh.projects.getProject({ projectId });
    if (!reply.project) return;
    project.set(reply.project);
    setEdition((now) => now + 1);
  });
  if (!project.value) return project.problem ? <Trouble problem={project.problem} /> : <Waiting what="Opening the project…" />;
  return (
    <>
      <header class="page-head">
        <h1>{project.value.displayName}</h1>
        <OpenOrClose project={project.value} onChanged={project.set} />
      </header>
      <Trouble problem={reload.problem} />
      <UploadPanel projectId={projectId} onAdded={project.again} imagesCount={Number(project.value.imagesCount)} />
      <ScoringPanel key={project.value.suggestionModel} project={project.value} onDone={project.again} />
      <Settings key={edition} project={project.value} onChanged={project.set} onReload={() => void reload.run()} />
    </>
  );
}

function OpenOrClose(props: { project: Project; onChanged: (project: Project) => void }): JSX.Element {
  const { mesh } = useApp();
  const open = props.project.state === ProjectState.OPEN;
  const toggle = useAction(async () => {
    const state = open ? ProjectState.CLOSED : ProjectState.OPEN;
    const reply = await mesh.projects.updateProject({ projectId: props.project.id, state, updateMask: { paths: ["state"] } });
    if (reply.project) props.onChanged(reply.project);
  });
  return (
    <div class="state-switch">
      <span class={`badge ${open ? "badge-done" : "badge-closed"}`}>{open ? "open" : "closed"}</span>
      <button type="button" disabled={toggle.busy} onClick={() => void toggle.run()}>
        {open ? "Close the project" : "Open the project"}
      </button>
      <Trouble problem={toggle.problem} />
    </div>
  );
}

function Settings(props: { project: Project; onChanged: (project: Project) => void; onReload: () => void }): JSX.Element {
  const { mesh } = useApp();
  const { project } = props;
  const [displayName, setName] = useState(project.displayName);
  const [description, setDescription] = useState(project.description);
  const [access, setAccess] = useState(String(project.access));
  const [repeatRate, setRepeatRate] = useState(project.repeatRate);
  const [leaseSeconds, setLeaseSeconds] = useState(String(Math.round((durationMs(project.leaseDuration) ?? 120_000) / 1000)));
  const [suggestionModel, setSuggestionModel] = useState(project.suggestionModel);
  const [classes, setClasses] = useState(() => classDrafts(project));
  const [saved, setSaved] = useState(false);
  const problems = classProblems(classes);
  // What was fetched meanwhile (images were added, the project was closed) is a base for this form only while its settings
  // are those that the person started from: else saving would undo what somebody else changed.
  const base = useRef(project);
  if (sameSettings(base.current, project)) base.current = project;
  const save = useAction(async () => {
    setSaved(false);
    const reply = await mesh.projects.updateProject({
      projectId: project.id,
      displayName: displayName.trim(),
      description: description.trim(),
      access: Number(access),
      repeatRate,
      leaseDuration: durationOf(Number(leaseSeconds) * 1000),
      classes: wireClasses(classes),
      suggestionModel,
      updateMask: { paths: ["display_name", "description", "access", "repeat_rate", "lease_duration", "classes", "suggestion_model"] },
      etag: base.current.etag,
    });
    if (reply.project) {
      base.current = reply.project;
      props.onChanged(reply.project);
      setClasses(classDrafts(reply.project));
      setSaved(true);
    }
  });
  useEffect(() => {
    if (!saved) return;
    const timer = setTimeout(() => setSaved(false), 4000);
    return () => clearTimeout(timer);
  }, [saved]);
  const fields = save.problem?.fields;
  return (
    <form
      class="stack panel"
      onSubmit={(event) => {
        event.preventDefault();
        if (problems.length === 0) void save.run();
      }}
    >
      <h2>Settings</h2>
      <Field
        label="Name"
        required
        maxLength={200}
        value={displayName}
        error={fields?.get("display_name")}
        onInput={(event) => setName(event.currentTarget.value)}
      />
      <Field
        label="Description"
        maxLength={5000}
        value={description}
        error={fields?.get("description")}
        onInput={(event) => setDescription(event.currentTarget.value)}
      />
      <div class="columns">
        <Select label="Who may label" value={access} options={ACCESS_OPTIONS} onChoose={setAccess} />
        <SuggestionModel value={suggestionModel} onChoose={setSuggestionModel} />
        <Field
          label={`Repeats: ${percent(repeatRate)}`}
          type="range"
          min={0}
          max={0.5}
          step={0.05}
          value={repeatRate}
          hint="How often people see an image they labeled before; this measures their consistency."
          onInput={(event) => setRepeatRate(Number(event.currentTarget.value))}
        />
        <Field
          label="An image is held for (s)"
          type="number"
          min={1}
          max={3600}
          required
          value={leaseSeconds}
          error={fields?.get("lease_duration")}
          onInput={(event) => setLeaseSeconds(event.currentTarget.value)}
        />
      </div>
      <ClassEditor classes={classes} onChange={setClasses} />
      {problems.length > 0 && (
        <p role="alert" class="trouble">
          {problems.join(" ")}
        </p>
      )}
      <Trouble problem={save.problem}>
        {save.problem?.reason === "ETAG_MISMATCH" && (
          <button type="button" class="link" onClick={props.onReload}>
            Load the current state
          </button>
        )}
      </Trouble>
      <div class="actions">
        <span role="status" class="saved">
          {saved && `Saved, ${several(project.classes.length, "class", "classes")}.`}
        </span>
        <button type="submit" class="primary" disabled={save.busy || problems.length > 0}>
          Save
        </button>
      </div>
    </form>
  );
}
