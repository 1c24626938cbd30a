// What the labeling queue needs from the mesh, in its own words.
import type { Lease, Next } from "../gen/labelmesh/labeling/v1/annotations_pb";
import type { Outbox } from "./outbox";

export interface Asking {
  readonly requestId: string;
  /** The leases that this page knows it holds. */
  readonly held: readonly string[];
}

export interface LabelingPort {
  lease(asking: Asking): Promise<Next | undefined>;
  submit(
    asking: Asking & { leaseNext: boolean; leaseId: string; classId: string; leadMs: number },
  ): Promise<{ given: number; next: Next | undefined }>;
  skip(asking: Asking & { leaseNext: boolean; leaseId: string }): Promise<{ next: Next | undefined }>;
  undo(asking: { requestId: string }): Promise<{ given: number; lease: Lease | undefined }>;
  /** Those still held afterwards. */
  renew(leaseIds: readonly string[]): Promise<ReadonlySet<string>>;
  release(leaseIds: readonly string[]): Promise<void>;
}

/** Loads an image ahead of its turn; rejects when it cannot be had. */
export type LoadPicture = (url: string) => Promise<HTMLImageElement>;

export interface QueueSurroundings {
  readonly port: LabelingPort;
  readonly load: LoadPicture;
  readonly outbox: Outbox;
  readonly uuid: () => string;
  /** Resolves when the server answers again, or after so many ms. */
  readonly back: (atMostMs: number) => Promise<void>;
}
