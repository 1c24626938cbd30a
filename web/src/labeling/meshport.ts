// The labeling queue's port over the real mesh.

import { Storage } from "../gen/labelmesh/inference/v1/predictions_pb";
import type { Mesh } from "../rpc/mesh";
import { durationOf } from "../rpc/time";
import type { LabelingPort } from "./port";
import type { SuggestionPort } from "./suggestions";

/** A suggestion that takes longer comes too late to help. */
const SUGGESTION_MS = 10_000;

/** Labels in one project, as one page. */
export function labelingPort(mesh: Mesh, projectId: string, clientId: string): LabelingPort {
  const rpc = mesh.annotations;
  return {
    async lease({ requestId, held }) {
      return (await rpc.leaseImage({ requestId, projectId, clientId, heldLeaseIds: [...held] })).next;
    },
    async submit({ requestId, held, leaseNext, leaseId, classId, leadMs }) {
      const leadTime = durationOf(Math.min(leadMs, 86_400_000));
      const reply = await rpc.submitAnnotation({
        requestId,
        projectId,
        leaseId,
        classId,
        leadTime,
        leaseNext,
        clientId,
        heldLeaseIds: [...held],
      });
      return { given: Number(reply.labelsGiven), next: reply.next };
    },
    async skip({ requestId, held, leaseNext, leaseId }) {
      const reply = await rpc.skipImage({ requestId, projectId, leaseId, leaseNext, clientId, heldLeaseIds: [...held] });
      return { next: reply.next };
    },
    async undo({ requestId }) {
      const reply = await rpc.undoAnnotation({ requestId, projectId, clientId });
      return { given: Number(reply.labelsGiven), lease: reply.lease };
    },
    async renew(leaseIds) {
      const reply = await rpc.renewLeases({ projectId, leaseIds: [...leaseIds] });
      return new Set(reply.leases.map((lease) => lease.leaseId));
    },
    async release(leaseIds) {
      await rpc.releaseLeases({ projectId, leaseIds: [...leaseIds] });
    },
  };
}

/** Loads and decodes an image, so that showing it takes no time. */
export async function loadPicture(url: string): Promise<HTMLImageElement> {
  const picture = new Image();
  picture.decoding = "async";
  picture.draggable = false;
  picture.src = url;
  await picture.decode();
  return picture;
}

/** Asks a model about pictures that this page has loaded already. The result is kept, the picture is not: labeling has it. */
export function suggestionPort(mesh: Mesh, model: string): SuggestionPort {
  return {
    async predict(imageUrl, stop) {
      const file = await fetch(imageUrl, { signal: stop, cache: "force-cache", credentials: "same-origin" });
      if (!file.ok) throw new TypeError("the picture could not be read again");
      const image = new Uint8Array(await file.arrayBuffer());
      const reply = await mesh.predictions.predict(
        { model: { model }, input: { input: { case: "image", value: image } }, settings: { storage: Storage.RESULT } },
        { signal: stop, timeoutMs: SUGGESTION_MS },
      );
      if (!reply.prediction) throw new Error("the answer holds no prediction");
      return reply.prediction;
    },
    async feedback(predictionId, correct, label) {
      await mesh.predictions.feedback({ predictionId, correct, label });
    },
  };
}
