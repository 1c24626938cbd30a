// Labels that were given but are not confirmed yet survive a reload of the page. Holds no secret: ids and classes only.

/** A label or a skip that the server has not confirmed. Sending it again under the same request id changes nothing further. */
export interface Unsent {
  readonly kind: "submit" | "skip";
  readonly requestId: string;
  readonly leaseId: string;
  readonly classId: string;
  readonly leadMs: number;
}

export interface Outbox {
  read(): Unsent[];
  write(unsent: readonly Unsent[]): void;
}

/** An outbox in the tab's own storage, for one person in one project. */
export function tabOutbox(userId: string, projectId: string, storage: Storage = sessionStorage): Outbox {
  const key = `labelmesh.unsent.${userId}.${projectId}`;
  return {
    read() {
      try {
        const kept: unknown = JSON.parse(storage.getItem(key) ?? "[]");
        return Array.isArray(kept) ? kept.filter(isUnsent) : [];
      } catch {
        return [];
      }
    },
    write(unsent) {
      if (unsent.length === 0) storage.removeItem(key);
      else storage.setItem(key, JSON.stringify(unsent));
    },
  };
}

function isUnsent(value: unknown): value is Unsent {
  if (typeof value !== "object" || value === null) return false;
  const { kind, requestId, leaseId, classId, leadMs } = value as Record<string, unknown>;
  const texts = [requestId, leaseId, classId].every((text) => typeof text === "string");
  return (kind === "submit" || kind === "skip") && texts && typeof leadMs === "number";
}
