// What every part of the page can reach: made once in main.tsx and handed down.
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Desk } from "./labeling/desk";
import type { Mesh } from "./rpc/mesh";
import type { SessionKeeper } from "./session/keeper";
import type { Theme } from "./ui/theme";

export interface App {
  readonly mesh: Mesh;
  readonly keeper: SessionKeeper;
  readonly desk: Desk;
  readonly theme: Theme;
}

const AppContext = createContext<App | null>(null);
export const AppProvider = AppContext.Provider;

export function useApp(): App {
  const app = useContext(AppContext);
  if (!app) throw new Error("the page was drawn without its app");
  return app;
}
