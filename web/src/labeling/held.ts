// An image that this page holds.
import { type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { Lease } from "../gen/labelmesh/labeling/v1/annotations_pb";
import type { LoadPicture } from "./port";

export type PictureState = "loading" | "ready" | "broken";

export interface Held {
  readonly lease: Lease;
  readonly picture: Promise<HTMLImageElement>;
  readonly pictureState: ReadonlySignal<PictureState>;
  /** When it appeared on screen, ms of performance.now(). */
  readonly shownAt: Signal<number | null>;
}

/** Begins to load the image of a lease ahead of its turn. */
export function holdImage(lease: Lease, load: LoadPicture): Held {
  const pictureState = signal<PictureState>("loading");
  const picture = load(lease.imageUrl);
  picture.then(
    () => {
      pictureState.value = "ready";
    },
    () => {
      pictureState.value = "broken";
    },
  );
  return { lease, picture, pictureState, shownAt: signal(null) };
}
