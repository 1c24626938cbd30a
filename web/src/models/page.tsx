// Models: everybody may look, managers change.
import type { JSX } from "preact";
import { useCallback, useState } from "preact/hooks";
import { useApp } from "../app";
import { Role, type User } from "../gen/labelmesh/auth/v1/users_pb";
import type { Model } from "../gen/labelmesh/inference/v1/models_pb";
import { NoModel, ServerAway } from "../predict/page";
import { addressOf } from "../router";
import { readAll } from "../rpc/pages";
import { includes } from "../session/keeper";
import { useLoaded } from "../ui/loaded";
import { finePercent, several, Trouble, Waiting } from "../ui/parts";
import { usePolling } from "../ui/watching";
import { Revisions } from "./revisions";
import { RoutingPanel } from "./routing";
import { ShadowReports } from "./shadow";
import { versionOf } from "./traffic";
import { Trainings, TrainingsUnderWay } from "./trainings";
import { Metrics, quality, StateBadge, Versions } from "./versions";

/** States change by themselves; asking for them is no activity of a person. */
const EVERY_MS = 3000;

export function ModelsPage(props: { user: User; model: string | null }): JSX.Element {
  const manager = includes(props.user.role, Role.MANAGER);
  return props.model === null ? <AllModels manager={manager} /> : <OneModel name={props.model} manager={manager} />;
}

function AllModels(props: { manager: boolean }): JSX.Element {
  const { mesh } = useApp();
  const [problem, setProblem] = useState("");
  const models = useLoaded(
    (signal) =>
      readAll(
        async (pageToken) => {
          const reply = await mesh.models.listModels({ pageSize: 200, pageToken }, { signal });
          setProblem(reply.modelServerProblem);
          return reply;
        },
        (reply) => reply.models,
      ),
    [],
  );
  usePolling(models.again, EVERY_MS);
  return (
    <>
      <header class="page-head">
        <h1>Models</h1>
        <a class="button" href={addressOf({ at: "predict" })}>
          Try one
        </a>
      </header>
      <ServerAway problem={problem} />
      <Trouble problem={models.value ? null : models.problem}> This page asks again by itself.</Trouble>
      {!models.value && !models.problem && <Waiting what="Looking for models…" />}
      <TrainingsUnderWay onEnded={models.again} />
      {models.value?.length === 0 && <NoModel manager={props.manager} />}
      <ul class="cards">
        {models.value?.map((model) => (
          <li key={model.name}>
            <ModelCard model={model} />
          </li>
        ))}
      </ul>
    </>
  );
}

function ModelCard(props: { model: Model }): JSX.Element {
  const { model } = props;
  const stable = model.versions.find((one) => one.version === versionOf(model.routing, "stable"));
  const good = stable ? quality(stable) : null;
  return (
    <article class="card">
      <h2>
        <a class="card-link" href={addressOf({ at: "models", model: model.name })}>
          {model.displayName || model.name}
        </a>
      </h2>
      <p class="badges">
        {stable && <StateBadge version={stable} />}
        {model.routing?.aliases.map((alias) => (
          <span key={alias.name} class="badge badge-live">
            {alias.name}: {String(alias.version)}
          </span>
        ))}
      </p>
      {model.description && <p class="card-text">{model.description}</p>}
      <p class="card-progress">
        {several(model.versions.length, "version")}
        {good && `, ${good.name.toLowerCase()} ${finePercent(good.value)}`}
      </p>
    </article>
  );
}

function OneModel(props: { name: string; manager: boolean }): JSX.Element {
  const { mesh } = useApp();
  const { name, manager } = props;
  const [changes, setChanges] = useState(0);
  const loaded = useLoaded((signal) => mesh.models.getModel({ model: name }, { signal }), [name]);
  usePolling(loaded.again, EVERY_MS);
  const changed = useCallback(() => {
    setChanges((now) => now + 1);
    loaded.again();
  }, [loaded.again]);
  const model = loaded.value?.model;
  if (!model) {
    if (!loaded.problem) return <Waiting what="Opening the model…" />;
    return (
      <section class="empty">
        <h1>This model cannot be shown</h1>
        <p>{loaded.problem.sentence}</p>
        <a class="button" href={addressOf({ at: "models" })}>
          To the models
        </a>
      </section>
    );
  }
  return (
    <>
      <header class="page-head">
        <div>
          <h1>{model.displayName || model.name}</h1>
          {model.description && <p class="lead">{model.description}</p>}
        </div>
        <div class="actions">
          <a class="button" href={addressOf({ at: "models" })}>
            All models
          </a>
          <a class="button primary" href={addressOf({ at: "predict" })}>
            Try it
          </a>
        </div>
      </header>
      <ServerAway problem={loaded.value?.modelServerProblem ?? ""} />
      <Versions model={model} />
      <Metrics model={model} />
      <Trainings model={name} manager={manager} onEnded={changed} />
      <RoutingPanel model={model} manager={manager} onChanged={changed} />
      <ShadowReports model={name} changes={changes} />
      <Revisions model={name} revision={model.routing?.revision ?? 0n} manager={manager} onChanged={changed} />
    </>
  );
}
