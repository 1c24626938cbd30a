// Taking changes back, and doing them again.
import { signal } from "@preact/signals";

/** Changes of the same thing within this time are one: a slider that is drawn gives many. */
const TOGETHER_MS = 900;
const KEPT = 200;

export class Changes<Thing> {
  readonly now;
  private readonly before: Thing[] = [];
  private readonly after: Thing[] = [];
  private lastTopic = "";
  private lastAt = Number.NEGATIVE_INFINITY;
  /** Lengths of both lists, so that buttons know. */
  readonly depth = signal<{ readonly undo: number; readonly redo: number }>({ undo: 0, redo: 0 });

  constructor(
    first: Thing,
    private readonly clock: () => number = () => performance.now(),
  ) {
    this.now = signal<Thing>(first);
  }

  /** Changes it; changes with the same topic that follow each other at once are taken back together. */
  make(next: Thing, topic = ""): void {
    if (next === this.now.value) return;
    const at = this.clock();
    if (topic === "" || topic !== this.lastTopic || at - this.lastAt > TOGETHER_MS || this.before.length === 0) {
      this.before.push(this.now.value);
      if (this.before.length > KEPT) this.before.shift();
    }
    this.lastTopic = topic;
    this.lastAt = at;
    this.after.length = 0;
    this.settle(next);
  }

  undo(): boolean {
    return this.step(this.before, this.after);
  }

  redo(): boolean {
    return this.step(this.after, this.before);
  }

  private step(from: Thing[], to: Thing[]): boolean {
    const next = from.pop();
    if (next === undefined) return false;
    to.push(this.now.value);
    this.lastTopic = "";
    this.settle(next);
    return true;
  }

  private settle(next: Thing): void {
    this.now.value = next;
    this.depth.value = { undo: this.before.length, redo: this.after.length };
  }
}
