// Asking for previews as often as somebody moves a slider: what was shown stays until the next is there, outdated calls are broken off,
// and one that was refused for want of a worker is made again when the mesh says so.
import { signal } from "@preact/signals";
import { type Problem, problemOf } from "../rpc/problems";

/** How long a change rests before it is asked about for good, */
const REST_MS = 160;
/** and how often at the most while it goes on. */
const EVERY_MS = 450;
const AGAIN_MS = [1000, 2000, 4000, 8000];

export interface Shown<Question, Reply> {
  readonly question: Question;
  readonly reply: Reply;
  readonly tookMs: number;
}

/** A question that failed, and when it is asked again by itself (ms since the epoch), if it is. */
export interface Setback<Question> {
  readonly question: Question;
  readonly problem: Problem;
  readonly againAt: number | null;
}

export class Previewer<Question, Reply> {
  readonly shown = signal<Shown<Question, Reply> | null>(null);
  readonly setback = signal<Setback<Question> | null>(null);
  readonly asking = signal(false);

  private call: AbortController | null = null;
  private rest: ReturnType<typeof setTimeout> | undefined;
  private repeat: ReturnType<typeof setTimeout> | undefined;
  private askedAt = Number.NEGATIVE_INFINITY;
  private asked: Question | null = null;
  private failures = 0;

  constructor(
    private readonly ask: (question: Question, signal: AbortSignal) => Promise<Reply>,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Asks when the change rests. While it goes on, some of what passes by is asked too: it shows which way it goes. */
  soon(question: Question): void {
    clearTimeout(this.rest);
    clearTimeout(this.repeat);
    this.rest = setTimeout(() => {
      this.rest = undefined;
      // A single change was asked about when it began.
      if (this.asked === question) this.asking.value = this.call !== null;
      else this.send(question);
    }, REST_MS);
    if (!this.call && this.now() - this.askedAt >= EVERY_MS) this.hear(question);
    this.asking.value = true;
  }

  /** Asks now, in place of whatever is under way. */
  send(question: Question): void {
    clearTimeout(this.rest);
    this.rest = undefined;
    clearTimeout(this.repeat);
    this.call?.abort();
    this.hear(question);
  }

  /** Forgets what was shown, e.g. because the picture is another one. */
  clear(): void {
    this.breakOff();
    this.shown.value = null;
    this.setback.value = null;
  }

  breakOff(): void {
    clearTimeout(this.rest);
    this.rest = undefined;
    clearTimeout(this.repeat);
    this.call?.abort();
    this.call = null;
    this.asked = null;
    this.asking.value = false;
  }

  private hear(question: Question): void {
    const call = new AbortController();
    this.call = call;
    this.asked = question;
    this.askedAt = this.now();
    this.asking.value = true;
    void this.listen(question, call, this.askedAt);
  }

  private async listen(question: Question, call: AbortController, sentAt: number): Promise<void> {
    try {
      const reply = await this.ask(question, call.signal);
      if (this.call !== call) return;
      this.shown.value = { question, reply, tookMs: this.now() - sentAt };
      this.setback.value = null;
      this.failures = 0;
    } catch (thrown) {
      if (this.call !== call) return;
      this.failed(question, problemOf(thrown));
    }
    this.call = null;
    this.asking.value = this.rest !== undefined;
  }

  private failed(question: Question, problem: Problem): void {
    const wait = problem.transient ? (problem.retryAfterMs ?? AGAIN_MS[Math.min(this.failures, AGAIN_MS.length - 1)] ?? 8000) : null;
    this.failures += 1;
    this.asked = null;
    this.setback.value = { question, problem, againAt: wait === null ? null : Date.now() + wait };
    // A question that is about to be asked by itself comes before one that is asked again.
    if (wait !== null && this.rest === undefined) this.repeat = setTimeout(() => this.send(question), wait);
  }
}
