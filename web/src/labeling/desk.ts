// The queues of the person at this page, one per project opened; the session's end and return reach all of them.
import type { Mesh } from "../rpc/mesh";
import type { Work } from "../session/keeper";
import { randomUuid } from "../session/tabs";
import { labelingPort, loadPicture } from "./meshport";
import { tabOutbox } from "./outbox";
import { LabelingQueue } from "./queue";

export class Desk implements Work {
  private readonly queues = new Map<string, LabelingQueue>();

  constructor(
    private readonly mesh: () => Mesh,
    private readonly clientId: string,
  ) {}

  /** The queue of a person in a project; the same one whenever it is asked for. */
  queue(userId: string, projectId: string): LabelingQueue {
    const key = `${userId} ${projectId}`;
    const open = this.queues.get(key);
    if (open) return open;
    const mesh = this.mesh();
    const queue = new LabelingQueue({
      port: labelingPort(mesh, projectId, this.clientId),
      load: loadPicture,
      outbox: tabOutbox(userId, projectId),
      uuid: randomUuid,
      back: (atMostMs) => mesh.link.back(atMostMs),
    });
    this.queues.set(key, queue);
    return queue;
  }

  async renew(): Promise<boolean> {
    const asked = await Promise.all([...this.queues.values()].map((queue) => queue.renew()));
    return asked.includes(true);
  }

  async pause(): Promise<void> {
    await Promise.all([...this.queues.values()].map((queue) => queue.pause()));
  }

  goOn(): void {
    for (const queue of this.queues.values()) queue.goOn();
  }

  forget(): void {
    for (const queue of this.queues.values()) void queue.pause();
    this.queues.clear();
    for (const key of Object.keys(sessionStorage)) if (key.startsWith("labelmesh.unsent.")) sessionStorage.removeItem(key);
  }

  /** Labels that are not confirmed yet, over all projects. */
  get unconfirmed(): number {
    return [...this.queues.values()].reduce((sum, queue) => sum + queue.unconfirmed.value, 0);
  }
}
