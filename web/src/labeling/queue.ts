// The labeling loop: the image on screen, the ones fetched ahead, and the labels on their way.
//
// A key press takes effect at once: the next image is already here, and the label is sent behind the person's back. Calls that
// hand out images go one after the other, so the server always knows what this page holds; a label that the server refuses comes
// back onto the screen. Nothing here knows whether an image was seen before, nor could it.

import { Code } from "@connectrpc/connect";
import { batch, computed, signal } from "@preact/signals";
import type { Lease, Next, Nothing } from "../gen/labelmesh/labeling/v1/annotations_pb";
import { NothingReason } from "../gen/labelmesh/labeling/v1/annotations_pb";
import { type Problem, problemOf } from "../rpc/problems";
import { timeMs } from "../rpc/time";
import { type Held, holdImage } from "./held";
import type { Unsent } from "./outbox";
import type { QueueSurroundings } from "./port";

/** The image on screen and those fetched ahead. */
const HOLD = 3;
/** More come together only by undoing; the surplus is given back. */
const HOLD_AT_MOST = 5;
/** Labels on their way before the page waits for the server. */
const UNCONFIRMED_AT_MOST = 5;
const RETRY_MS = [300, 1000, 2000, 4000, 8000];
/** Errors that are no absence of the server are tried this often before the label comes back. */
const ATTEMPTS = 3;
/** Such errors should not happen: worth another try, but not for ever. */
const STRANGE = new Set([Code.Internal, Code.Unknown, Code.ResourceExhausted, Code.Aborted]);
/** How soon to look again when there is nothing to do: others may give images back any time. */
const LOOK_AGAIN_MS = 10_000;

export interface Idle {
  readonly reason: NothingReason;
  /** When this page asks again, ms since the epoch. */
  readonly againAt: number;
  /** When the first held image comes back at the latest, ms since the epoch; null when the server did not say. */
  readonly heldUntil: number | null;
}

interface Sending extends Unsent {
  readonly held: Held | null;
  attempts: number;
}
type Job = { readonly kind: "send"; readonly sending: Sending } | { readonly kind: "undo"; readonly requestId: string; attempts: number };

/** Something the person should read. */
export interface Notice {
  readonly sentence: string;
  readonly tone: "info" | "problem";
}

export class LabelingQueue {
  private readonly list = signal<readonly Held[]>([]);
  private readonly jobs = signal<readonly Job[]>([]);
  private readonly confirmed = signal<number | null>(null);
  private readonly undoing = signal(false);

  readonly current = computed(() => this.list.value[0] ?? null);
  /** The image that comes after the one on screen, as far as it is known. */
  readonly upcoming = computed(() => this.list.value[1] ?? null);
  readonly nothing = signal<Idle | null>(null);
  readonly notice = signal<Notice | null>(null);
  /** Why no image could be had at all; cleared by the next success. */
  readonly trouble = signal<Problem | null>(null);
  /** Labels and skips that the server has not confirmed. */
  readonly unconfirmed = computed(() => this.jobs.value.filter((job) => job.kind === "send").length);
  /** Labels given in this project, those on their way included; null until known. */
  readonly given = computed(() => {
    const pending = this.jobs.value.filter((job) => job.kind === "send" && job.sending.kind === "submit").length;
    return this.confirmed.value === null ? null : this.confirmed.value + pending;
  });
  readonly busyUndoing = computed(() => this.undoing.value);
  /** Whether a label or a skip would be taken now. */
  readonly ready = computed(() => {
    const held = this.current.value;
    return (
      held !== null &&
      !this.undoing.value &&
      this.unconfirmed.value < UNCONFIRMED_AT_MOST &&
      held.pictureState.value === "ready" &&
      held.shownAt.value !== null
    );
  });
  /** The last class given here, for the line that offers to take it back. */
  readonly lastClass = signal<string | null>(null);

  private mode: "labeling" | "draining" = "draining";
  private paused = false;
  private running = false;
  private inFlight: Job | null = null;
  private leasing: { requestId: string; attempts: number } | null = null;
  /** False while it makes no sense to ask for another image: there is none, or asking failed. */
  private mayAsk = true;
  private again: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly around: QueueSurroundings) {
    const kept = around.outbox.read().map((unsent): Job => ({ kind: "send", sending: { ...unsent, held: null, attempts: 0 } }));
    this.jobs.value = kept;
  }

  /** The person labels: images are fetched, and what is unsent is sent. */
  enter(): void {
    this.mode = "labeling";
    this.lookAgain();
  }

  /** The person went elsewhere: images go back; labels on their way are still sent. */
  async leave(): Promise<void> {
    this.mode = "draining";
    clearTimeout(this.again);
    const ids = this.heldIds();
    this.list.value = [];
    void this.run();
    if (ids.length > 0 && !this.paused) await this.around.port.release(ids).catch(() => undefined);
  }

  /** Gives back what is held, unless a label of it is on its way. Nothing further is sent until `goOn`. */
  async pause(): Promise<void> {
    if (this.paused) return;
    this.paused = true;
    clearTimeout(this.again);
    const ids = this.heldIds();
    if (ids.length === 0) return;
    try {
      await this.around.port.release(ids);
      this.list.value = this.list.value.filter((held) => !ids.includes(held.lease.id));
    } catch {
      // Too late to give them back: they stay on screen, and `goOn` asks whether they are still this person's.
    }
  }

  /** Goes on after a pause, where it stood. */
  goOn(): void {
    this.paused = false;
    if (this.list.value.length > 0) void this.renew().catch(() => undefined);
    this.lookAgain();
  }

  /** What was known from elsewhere, e.g. the statistics at the page's start. */
  knowGiven(count: number): void {
    if (this.confirmed.value === null) this.confirmed.value = count;
  }

  /** The image of this lease is on screen now. */
  shown(leaseId: string, now: number): void {
    const held = this.list.value.find((one) => one.lease.id === leaseId);
    if (held && held.shownAt.value === null) held.shownAt.value = now;
  }

  /** Labels the image on screen; false when nothing can be labeled right now. */
  label(classId: string, now: number): boolean {
    return this.send("submit", classId, now);
  }

  /** Puts the image on screen back for later; false when that cannot be done right now. */
  skip(now: number): boolean {
    return this.send("skip", "", now);
  }

  /** Takes the last label back and shows its image again. */
  undo(): void {
    if (this.undoing.value) return;
    const jobs = this.jobs.value;
    const last = jobs.findLastIndex((job) => job.kind === "send" && job.sending.kind === "submit");
    const job = jobs[last];
    if (job?.kind === "send" && job !== this.inFlight && job.sending.attempts === 0 && job.sending.held) {
      // Never sent: nobody but this page knows of it.
      this.setJobs(jobs.filter((one) => one !== job));
      this.putInFront({ ...job.sending.held, shownAt: signal(null) }, job.sending.classId);
      return;
    }
    this.undoing.value = true;
    this.setJobs([...jobs, { kind: "undo", requestId: this.around.uuid(), attempts: 0 }]);
    void this.run();
  }

  /** Holds the images for longer. False when there are none, so that the server was not asked. */
  async renew(): Promise<boolean> {
    const asked = this.heldIds();
    if (asked.length === 0 || this.paused) return false;
    const still = await this.around.port.renew(asked);
    const lost = new Set(asked.filter((id) => !still.has(id)));
    const before = this.current.value?.lease.id;
    const kept = this.list.value.filter((held) => !lost.has(held.lease.id));
    if (kept.length === this.list.value.length) return true;
    this.list.value = kept;
    if (before !== undefined && lost.has(before)) this.say("Somebody else took over the image you had open; here is another one.");
    void this.run();
    return true;
  }

  /** Asks for the image on screen again under a fresh address, e.g. because it could not be loaded. */
  reload(): void {
    const held = this.current.value;
    if (!held) return;
    this.list.value = this.list.value.slice(1);
    this.mayAsk = true;
    void this.run();
  }

  /** Asks again now although there was nothing to do or something failed. */
  lookAgain(): void {
    clearTimeout(this.again);
    this.mayAsk = true;
    void this.run();
  }

  private send(kind: "submit" | "skip", classId: string, now: number): boolean {
    const held = this.current.value;
    const shownAt = held?.shownAt.value ?? null;
    if (!held || !this.ready.value || shownAt === null || this.paused) return false;
    const leadMs = Math.max(0, now - shownAt);
    const sending: Sending = { kind, requestId: this.around.uuid(), leaseId: held.lease.id, classId, leadMs, held, attempts: 0 };
    this.list.value = this.list.value.slice(1);
    this.notice.value = null;
    if (kind === "submit") this.lastClass.value = classId;
    this.setJobs([...this.jobs.value, { kind: "send", sending }]);
    void this.run();
    return true;
  }

  private setJobs(jobs: readonly Job[]): void {
    this.jobs.value = jobs;
    this.around.outbox.write(
      jobs.flatMap((job) => {
        if (job.kind !== "send") return [];
        const { kind, requestId, leaseId, classId, leadMs } = job.sending;
        return [{ kind, requestId, leaseId, classId, leadMs }];
      }),
    );
  }

  /** Does what there is to do, one call at a time. */
  private async run(): Promise<void> {
    if (this.running) return;
    this.running = true;
    try {
      while (!this.paused) {
        const job = this.jobs.value[0];
        if (job) await this.doJob(job);
        else if (this.wantsMore()) await this.fetchOne();
        else break;
      }
    } finally {
      this.running = false;
    }
  }

  private wantsMore(): boolean {
    return this.mode === "labeling" && this.mayAsk && this.list.value.length < HOLD;
  }

  private knownLeases(): string[] {
    const onTheWay = this.jobs.value.flatMap((job) => (job.kind === "send" ? [job.sending.leaseId] : []));
    return [...new Set([...this.heldIds(), ...onTheWay])].slice(0, 16);
  }

  private async doJob(job: Job): Promise<void> {
    this.inFlight = job;
    try {
      const apply = job.kind === "undo" ? await this.doUndo(job.requestId) : await this.doSend(job.sending);
      batch(() => {
        this.done(job);
        apply();
      });
    } catch (thrown) {
      await this.failed(job, problemOf(thrown));
    } finally {
      this.inFlight = null;
    }
  }

  private done(job: Job): void {
    this.setJobs(this.jobs.value.filter((one) => one !== job));
  }

  private async doSend(sending: Sending): Promise<() => void> {
    // Also where the last answer said that there is nothing: this label may have changed it, and the answer says anew why.
    const leaseNext = this.mode === "labeling" && this.list.value.length < HOLD;
    const asking = { requestId: sending.requestId, held: this.knownLeases(), leaseId: sending.leaseId, leaseNext };
    if (sending.kind === "skip") {
      const { next } = await this.around.port.skip(asking);
      return () => this.take(next);
    }
    const { given, next } = await this.around.port.submit({ ...asking, classId: sending.classId, leadMs: sending.leadMs });
    return () => {
      this.confirmed.value = given;
      this.take(next);
    };
  }

  private async doUndo(requestId: string): Promise<() => void> {
    const { given, lease } = await this.around.port.undo({ requestId });
    return () => {
      this.confirmed.value = given;
      this.undoing.value = false;
      this.lastClass.value = null;
      if (lease && this.isNew(lease)) this.putInFront(holdImage(lease, this.around.load), null);
    };
  }

  private async failed(job: Job, problem: Problem): Promise<void> {
    const record = job.kind === "send" ? job.sending : job;
    record.attempts += 1;
    if (problem.code === Code.Unauthenticated) {
      // The keeper of the session has seen it too: the person signs in again, and this goes on where it stands.
      this.paused = true;
      return;
    }
    const patient = problem.transient || problem.code === Code.Canceled;
    if (patient || (STRANGE.has(problem.code) && record.attempts < ATTEMPTS)) {
      const wait = problem.retryAfterMs ?? RETRY_MS[Math.min(record.attempts - 1, RETRY_MS.length - 1)] ?? 1000;
      await (problem.transient && problem.retryAfterMs === null
        ? this.around.back(wait)
        : new Promise((resolve) => setTimeout(resolve, wait)));
      return;
    }
    this.done(job);
    if (job.kind === "undo") {
      this.undoing.value = false;
      this.say(problem.sentence, problem.reason === "NOTHING_TO_UNDO" ? "info" : "problem");
      return;
    }
    this.mayAsk = true;
    const gone = problem.reason === "LEASE_LOST" || problem.reason === "LEASE_ENDED" || problem.code === Code.NotFound;
    if (!gone && job.sending.held) this.putInFront({ ...job.sending.held, shownAt: signal(null) }, null);
    const what = job.sending.kind === "skip" ? "The image could not be skipped" : "The label was not saved";
    this.say(gone ? problem.sentence : `${what}: ${problem.sentence}`, "problem");
  }

  private async fetchOne(): Promise<void> {
    this.leasing ??= { requestId: this.around.uuid(), attempts: 0 };
    const asking = this.leasing;
    try {
      const next = await this.around.port.lease({ requestId: asking.requestId, held: this.knownLeases() });
      this.leasing = null;
      if (!this.take(next)) await new Promise((resolve) => setTimeout(resolve, RETRY_MS[1]));
    } catch (thrown) {
      const problem = problemOf(thrown);
      asking.attempts += 1;
      if (problem.code === Code.Unauthenticated) this.paused = true;
      else if (problem.transient) await this.around.back(RETRY_MS[Math.min(asking.attempts - 1, RETRY_MS.length - 1)] ?? 8000);
      else {
        this.leasing = null;
        this.mayAsk = false;
        this.trouble.value = problem;
      }
    }
  }

  /** Takes in what comes next; false when the answer held nothing new. */
  private take(next: Next | undefined): boolean {
    const what = next?.next;
    if (what?.case === "nothing") {
      this.rest(what.value);
      return true;
    }
    if (what?.case !== "lease") return false;
    this.nothing.value = null;
    this.trouble.value = null;
    if (!this.isNew(what.value)) return false;
    if (this.paused || this.mode === "draining") void this.around.port.release([what.value.id]).catch(() => undefined);
    else this.list.value = [...this.list.value, holdImage(what.value, this.around.load)];
    return true;
  }

  private isNew(lease: Lease): boolean {
    return !this.knownLeases().includes(lease.id);
  }

  private rest(nothing: Nothing): void {
    const heldUntil = timeMs(nothing.retryTime);
    const until = heldUntil === null ? LOOK_AGAIN_MS : heldUntil - Date.now();
    const wait = nothing.reason === NothingReason.NO_ACCESS ? 6 * LOOK_AGAIN_MS : Math.min(Math.max(until, 1000), LOOK_AGAIN_MS);
    this.nothing.value = { reason: nothing.reason, againAt: Date.now() + wait, heldUntil };
    this.trouble.value = null;
    this.mayAsk = false;
    clearTimeout(this.again);
    if (!this.paused && this.mode === "labeling") this.again = setTimeout(() => this.lookAgain(), wait);
  }

  private putInFront(held: Held, previousClass: string | null): void {
    const lease = previousClass === null ? held.lease : { ...held.lease, previousClassId: previousClass };
    const list = [{ ...held, lease }, ...this.list.value];
    this.list.value = list.slice(0, HOLD_AT_MOST);
    const surplus = list.slice(HOLD_AT_MOST).map((one) => one.lease.id);
    if (surplus.length > 0) void this.around.port.release(surplus).catch(() => undefined);
  }

  private heldIds(): string[] {
    return this.list.value.map((held) => held.lease.id);
  }

  private say(sentence: string, tone: Notice["tone"] = "info"): void {
    this.notice.value = { sentence, tone };
  }
}
