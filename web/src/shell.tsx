// The frame around every page: who is here, where they are, what is wrong with the connection.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { AccountMenu } from "./account/menu";
import { AdminPage } from "./admin/page";
import { useApp } from "./app";
import { AugmentPage } from "./augment/page";
import { Role, type User } from "./gen/labelmesh/auth/v1/users_pb";
import { LabelPage } from "./labeling/page";
import { ModelsPage } from "./models/page";
import { PredictPage } from "./predict/page";
import { ProjectsPage } from "./projects/list";
import { ManagePage } from "./projects/manage";
import { NewProjectPage } from "./projects/new";
import { addressOf, type Place, place } from "./router";
import { includes } from "./session/keeper";
import { SignInAgain, SignInPage } from "./session/signin";
import { IdleWarning } from "./session/warning";
import { StatisticsPage } from "./statistics/page";
import { Mark } from "./ui/mark";
import { Waiting } from "./ui/parts";

export function Shell(): JSX.Element {
  const { keeper } = useApp();
  const state = keeper.state.value;
  return (
    <>
      <AwayBanner />
      {state.phase === "unknown" && (
        <main class="middle">
          <Waiting what="Connecting…" />
        </main>
      )}
      {state.phase === "signed-out" && <SignInPage />}
      {(state.phase === "signed-in" || state.phase === "interrupted") && (
        <div class={`frame${state.phase === "interrupted" ? " veiled" : ""}`} key={state.user.id}>
          <Frame user={state.user} />
        </div>
      )}
      {state.phase === "interrupted" && <SignInAgain user={state.user} why={state.why} />}
      <IdleWarning />
    </>
  );
}

function Frame(props: { user: User }): JSX.Element {
  const here = place.value;
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const key = addressOf(here);
  useEffect(() => {
    // After going to another page the keyboard and the screen reader start at its content.
    if (first.current) first.current = false;
    else main.current?.focus({ preventScroll: true });
  }, [key]);
  return (
    <>
      <button type="button" class="skip-link" onClick={() => main.current?.focus()}>
        Skip to the content
      </button>
      <TopBar user={props.user} here={here} />
      <main id="main" ref={main} tabIndex={-1} class={frameOf(here)} key={key}>
        <Page here={here} user={props.user} />
      </main>
    </>
  );
}

function frameOf(here: Place): string {
  if (here.at === "label") return "label-main";
  return here.at === "augment" ? "page-main augment-main" : "page-main";
}

function Page(props: { here: Place; user: User }): JSX.Element {
  const { here, user } = props;
  switch (here.at) {
    case "projects":
      return <ProjectsPage user={user} />;
    case "label":
      return <LabelPage user={user} projectId={here.projectId} />;
    case "statistics":
      return <StatisticsPage user={user} projectId={here.projectId} />;
    case "new-project":
    case "manage":
      if (!includes(user.role, Role.MANAGER)) return <Nowhere />;
      return here.at === "manage" ? <ManagePage projectId={here.projectId} /> : <NewProjectPage />;
    case "admin":
      if (!includes(user.role, here.section === "keys" ? Role.MANAGER : Role.ADMIN)) return <Nowhere />;
      return <AdminPage section={here.section} user={user} />;
    case "predict":
      return <PredictPage user={user} />;
    case "models":
      return <ModelsPage user={user} model={here.model ?? null} />;
    case "augment":
      return <AugmentPage user={user} />;
    case "nowhere":
      return <Nowhere />;
  }
}

function Nowhere(): JSX.Element {
  return (
    <section class="empty">
      <h1>There is nothing here</h1>
      <p>The address may be incomplete, or your account may not see what it leads to.</p>
      <a class="button" href={addressOf({ at: "projects" })}>
        To the projects
      </a>
    </section>
  );
}

/** `aside` tabs are for other work than the one at hand: there only where there is room. */
function Tab(props: { to: Place; here: Place; aside?: boolean; children: string }): JSX.Element {
  const sections = props.to.at === "admin" || props.to.at === "models";
  const current = addressOf(props.to) === addressOf(props.here) || (sections && props.to.at === props.here.at);
  const tab = useRef<HTMLAnchorElement>(null);
  useEffect(() => {
    // On a phone the tabs scroll.
    if (current) tab.current?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [current]);
  return (
    <a ref={tab} href={addressOf(props.to)} class={`tab${props.aside ? " aside" : ""}`} aria-current={current ? "page" : undefined}>
      {props.children}
    </a>
  );
}

function TopBar(props: { user: User; here: Place }): JSX.Element {
  const { here, user } = props;
  const manager = includes(user.role, Role.MANAGER);
  const projectId = "projectId" in here ? here.projectId : null;
  return (
    <header class="top-bar">
      <a class="brand" href={addressOf({ at: "projects" })} aria-label="labelmesh: all projects">
        <Mark />
        <span class="brand-name">labelmesh</span>
      </a>
      <nav class="tabs" aria-label="Pages">
        {projectId !== null && (
          <>
            <Tab to={{ at: "label", projectId }} here={here}>
              Label
            </Tab>
            <Tab to={{ at: "statistics", projectId }} here={here}>
              Statistics
            </Tab>
            {manager && (
              <Tab to={{ at: "manage", projectId }} here={here}>
                Manage
              </Tab>
            )}
          </>
        )}
        {projectId === null && (
          <Tab to={{ at: "projects" }} here={here}>
            Projects
          </Tab>
        )}
        <Tab to={{ at: "predict" }} here={here} aside={projectId !== null}>
          Predict
        </Tab>
        <Tab to={{ at: "models" }} here={here} aside={projectId !== null}>
          Models
        </Tab>
        <Tab to={{ at: "augment" }} here={here} aside={projectId !== null}>
          Augment
        </Tab>
        {projectId === null && manager && (
          <Tab to={{ at: "admin", section: includes(user.role, Role.ADMIN) ? "users" : "keys" }} here={here}>
            Administration
          </Tab>
        )}
      </nav>
      <AccountMenu user={user} />
    </header>
  );
}

function AwayBanner(): JSX.Element {
  const { mesh, desk } = useApp();
  const [wasAway, setWasAway] = useState(false);
  const away = mesh.link.away.value;
  useEffect(() => {
    if (away) {
      setWasAway(true);
      return;
    }
    if (!wasAway) return;
    const timer = setTimeout(() => setWasAway(false), 3000);
    return () => clearTimeout(timer);
  }, [away, wasAway]);
  const unsaved = desk.unconfirmed;
  return (
    <div role="status" class="banner-slot">
      {away && (
        <p class="banner banner-away">
          The server is away.{" "}
          {unsaved > 0 ? "Your last labels are kept and sent as soon as it is back." : "This page goes on as soon as it is back."}{" "}
          <button type="button" class="link" onClick={() => mesh.link.ask()}>
            Try now
          </button>
        </p>
      )}
      {!away && wasAway && <p class="banner banner-back">The server is back.</p>}
    </div>
  );
}
