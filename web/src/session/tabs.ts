// What the tabs of one browser tell each other: they share one session.

export type TabNews =
  | { readonly kind: "activity"; readonly at: number }
  | { readonly kind: "signed-in"; readonly userId: string }
  /** The person signs out here: what other tabs hold is to be given back while it still may be. */
  | { readonly kind: "leaving" }
  | { readonly kind: "signed-out" };

export interface Tabs {
  tell(news: TabNews): void;
  listen(heard: (news: TabNews) => void): void;
}

/** The other tabs of this origin. */
export function otherTabs(): Tabs {
  const channel = new BroadcastChannel("labelmesh");
  return {
    tell: (news) => channel.postMessage(news),
    listen: (heard) => channel.addEventListener("message", (event: MessageEvent<TabNews>) => heard(event.data)),
  };
}

const CLIENT_ID = "labelmesh.client";

/**
 * The name of this page towards the labeling service. It survives a reload, so that images held before are handed out again,
 * and differs between tabs, a duplicated one included: a lock shows whether another tab lives under the same name.
 */
export async function clientId(storage: Storage = sessionStorage): Promise<string> {
  const kept = storage.getItem(CLIENT_ID);
  if (kept !== null && (await claim(kept))) return kept;
  const fresh = crypto.randomUUID?.() ?? randomUuid();
  storage.setItem(CLIENT_ID, fresh);
  await claim(fresh);
  return fresh;
}

async function claim(name: string): Promise<boolean> {
  if (!("locks" in navigator)) return true;
  for (let attempt = 0; attempt < 5; attempt += 1) {
    if (await lockForGood(`labelmesh.client.${name}`)) return true;
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
  return false;
}

function lockForGood(name: string): Promise<boolean> {
  return new Promise((resolve) => {
    void navigator.locks.request(name, { ifAvailable: true }, (lock) => {
      resolve(lock !== null);
      return lock === null ? undefined : new Promise<void>(() => undefined);
    });
  });
}

/** A random UUID (version 4) also where crypto.randomUUID is missing: on pages that came over plain HTTP from another machine. */
export function randomUuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
