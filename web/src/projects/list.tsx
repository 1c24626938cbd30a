// The projects a person may label in.
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { useApp } from "../app";
import { Role, type User } from "../gen/labelmesh/auth/v1/users_pb";
import { type Project, ProjectAccess, ProjectState } from "../gen/labelmesh/labeling/v1/projects_pb";
import { addressOf, justCame, replaceWith } from "../router";
import { readAll } from "../rpc/pages";
import { includes } from "../session/keeper";
import { useLoaded } from "../ui/loaded";
import { count, Progress, percent, Trouble, Waiting } from "../ui/parts";

export function ProjectsPage(props: { user: User }): JSX.Element {
  const { mesh } = useApp();
  const manager = includes(props.user.role, Role.MANAGER);
  const projects = useLoaded(
    (signal) =>
      readAll(
        (pageToken) => mesh.projects.listProjects({ pageSize: 200, pageToken }, { signal }),
        (reply) => reply.projects,
      ),
    [],
  );
  const only = projects.value?.length === 1 ? projects.value[0] : undefined;
  useEffect(() => {
    if (only && justCame.value) replaceWith({ at: "label", projectId: only.id });
  }, [only]);
  return (
    <>
      <header class="page-head">
        <h1>Projects</h1>
        {manager && (
          <a class="button primary" href={addressOf({ at: "new-project" })}>
            New project
          </a>
        )}
      </header>
      <Trouble problem={projects.value ? null : projects.problem} />
      {!projects.value && !projects.problem && <Waiting what="Looking for projects…" />}
      {projects.value?.length === 0 && <NoProjects manager={manager} />}
      <ul class="cards">
        {projects.value?.map((project) => (
          <li key={project.id}>
            <ProjectCard project={project} manager={manager} />
          </li>
        ))}
      </ul>
    </>
  );
}

function NoProjects(props: { manager: boolean }): JSX.Element {
  if (!props.manager) {
    return (
      <section class="empty">
        <h2>There is no project for you yet</h2>
        <p>As soon as a manager makes one that you may label in, it shows up here.</p>
      </section>
    );
  }
  return (
    <section class="empty">
      <h2>There is no project yet</h2>
      <p>Make one here, or load real data with a command:</p>
      <dl class="commands">
        <dt>
          <code class="command">labelmesh demo digits</code>
        </dt>
        <dd>1,797 real handwritten digits to try things out</dd>
        <dt>
          <code class="command">labelmesh import folder DIR</code>
        </dt>
        <dd>any folder of JPEG and PNG files</dd>
      </dl>
      <a class="button primary" href={addressOf({ at: "new-project" })}>
        New project
      </a>
    </section>
  );
}

function ProjectCard(props: { project: Project; manager: boolean }): JSX.Element {
  const { project, manager } = props;
  const done = Number(project.completedCount);
  const all = Number(project.imagesCount);
  return (
    <article class="card">
      <h2>
        <a class="card-link" href={addressOf({ at: "label", projectId: project.id })}>
          {project.displayName}
        </a>
      </h2>
      <p class="badges">
        {project.state === ProjectState.CLOSED && <span class="badge badge-closed">closed</span>}
        {project.access === ProjectAccess.RESTRICTED && <span class="badge">selected people</span>}
        {all > 0 && done >= all && <span class="badge badge-done">all labeled</span>}
      </p>
      {project.description && <p class="card-text">{project.description}</p>}
      <div class="card-progress">
        <Progress label={`Labeled images of ${project.displayName}`} done={done} all={all} />
        <p>{all === 0 ? "no images yet" : `${count(done)} of ${count(all)} images labeled, ${percent(done / all)}`}</p>
      </div>
      <p class="card-actions">
        <a href={addressOf({ at: "statistics", projectId: project.id })}>Statistics</a>
        {manager && <a href={addressOf({ at: "manage", projectId: project.id })}>Manage</a>}
      </p>
    </article>
  );
}
