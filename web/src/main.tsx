// The page's composition root: makes everything once and draws it.
import { render } from "preact";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/shell.css";
import "./styles/labeling.css";
import "./styles/pages.css";
import "./styles/models.css";
import "./styles/predict.css";
import "./styles/augment.css";
import "./styles/pipeline.css";
import { type App, AppProvider } from "./app";
import { Desk } from "./labeling/desk";
import { connectMesh, type Mesh } from "./rpc/mesh";
import { watchInput } from "./session/input";
import { SessionKeeper } from "./session/keeper";
import { clientId, otherTabs } from "./session/tabs";
import { Shell } from "./shell";
import { startTracing } from "./tracing/start";
import { Theme } from "./ui/theme";

async function start(): Promise<void> {
  const theme = new Theme();
  const name = await clientId();
  const tracing = await startTracing(document);
  const desk = new Desk(() => mesh, name);
  const keeper: SessionKeeper = new SessionKeeper(() => mesh, otherTabs(), desk);
  const observer = {
    activity: (sentAt: number) => keeper.confirmed(sentAt),
    sessionRefused: (reason: string, sentAt: number) => keeper.refused(reason, sentAt),
  };
  const mesh: Mesh = connectMesh(observer, tracing);
  const app: App = { mesh, keeper, desk, theme };

  watchInput(() => keeper.input());
  addEventListener("online", () => mesh.link.ask());
  // A page that is closed gives its images back; one that comes back from the browser's cache goes on.
  addEventListener("pagehide", () => void desk.pause());
  addEventListener("pageshow", (event) => {
    if (event.persisted) {
      desk.goOn();
      void keeper.look();
    }
  });
  addEventListener("beforeunload", (event) => {
    if (desk.unconfirmed > 0 && mesh.link.away.value) event.preventDefault();
  });

  const root = document.getElementById("page");
  if (!root) throw new Error("index.html has no #page");
  render(
    <AppProvider value={app}>
      <Shell />
    </AppProvider>,
    root,
  );
  await keeper.look();
}

void start();
