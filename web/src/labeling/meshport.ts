// The labeling queue's port over the real mesh.
import type { Mesh } from "../rpc/mesh";
import { durationOf } from "../rpc/time";
import type { LabelingPort } from "./port";

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
