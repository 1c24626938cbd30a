// Where the person is: the part of the address after "#". Every place can be linked to and reloaded.
import { computed, signal } from "@preact/signals";

export type Place =
  | { readonly at: "projects" }
  | { readonly at: "new-project" }
  | { readonly at: "label"; readonly projectId: string }
  | { readonly at: "statistics"; readonly projectId: string }
  | { readonly at: "manage"; readonly projectId: string }
  | { readonly at: "predict" }
  | { readonly at: "models"; readonly model?: string }
  | { readonly at: "augment" }
  | { readonly at: "admin"; readonly section: AdminSection }
  | { readonly at: "nowhere" };

export const ADMIN_SECTIONS = ["users", "keys", "audit", "signing"] as const;
export type AdminSection = (typeof ADMIN_SECTIONS)[number];

const MODEL = /^[a-z0-9][a-z0-9_.-]{0,63}$/;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Reads a place from an address; what means nothing is "nowhere". */
export function placeOf(hash: string): Place {
  // Only this place takes parameters: what is shown there can be linked to.
  if (/^#?\/?augment\/?(\?|$)/.test(hash)) return { at: "augment" };
  const parts = hash
    .replace(/^#?\/?/, "")
    .split("/")
    .filter(Boolean);
  const [first, second, third] = parts;
  if (first === undefined) return { at: "projects" };
  if (first === "new-project" && parts.length === 1) return { at: "new-project" };
  if (first === "projects" && parts.length === 1) return { at: "projects" };
  if (first === "projects" && second !== undefined && UUID.test(second)) {
    if (parts.length === 2) return { at: "label", projectId: second };
    if (third === "statistics") return { at: "statistics", projectId: second };
    if (third === "manage") return { at: "manage", projectId: second };
  }
  if (first === "predict" && parts.length === 1) return { at: "predict" };
  if (first === "models" && parts.length === 1) return { at: "models" };
  if (first === "models" && second !== undefined && MODEL.test(second) && parts.length === 2) return { at: "models", model: second };
  const section = ADMIN_SECTIONS.find((one) => one === second);
  if (first === "admin" && section !== undefined && parts.length === 2) return { at: "admin", section };
  return { at: "nowhere" };
}

/** The address of a place. */
export function addressOf(place: Place): string {
  switch (place.at) {
    case "label":
      return `#/projects/${place.projectId}`;
    case "statistics":
    case "manage":
      return `#/projects/${place.projectId}/${place.at}`;
    case "admin":
      return `#/admin/${place.section}`;
    case "new-project":
      return "#/new-project";
    case "predict":
      return "#/predict";
    case "models":
      return place.model === undefined ? "#/models" : `#/models/${place.model}`;
    case "augment":
      return "#/augment";
    case "projects":
      return "#/projects";
    case "nowhere":
      return "#/";
  }
}

const hash = signal(globalThis.location?.hash ?? "");
globalThis.addEventListener?.("hashchange", () => {
  hash.value = location.hash;
});

export const place = computed(() => placeOf(hash.value));

/** The parameters of the place, without the question mark; empty where there are none. */
export const parameters = computed(() => parametersOf(hash.value));

export function parametersOf(hash: string): string {
  const start = hash.indexOf("?");
  return start < 0 ? "" : hash.slice(start + 1);
}

/** Puts other parameters to the present place, without another step in the history. */
export function replaceParameters(text: string): void {
  const bare = location.hash.split("?")[0] ?? "";
  history.replaceState(null, "", text === "" ? bare : `${bare}?${text}`);
  hash.value = location.hash;
}

/** True when the person came to the page itself, not to a place in it: a single project is opened right away then. */
export const justCame = computed(() => hash.value.replace(/^#?\/?/, "") === "");

export function go(to: Place): void {
  location.hash = addressOf(to);
}

/** Goes there without leaving the present place in the history. */
export function replaceWith(to: Place): void {
  history.replaceState(null, "", addressOf(to));
  hash.value = location.hash;
}
