// Asking a model as often as somebody draws: the last question wins, stale calls are broken off, and a model server that is away is
// asked again by itself.
import { signal } from "@preact/signals";
import type { Prediction } from "../gen/labelmesh/inference/v1/predictions_pb";
import { type Problem, problemOf } from "../rpc/problems";

/** What is asked, as one press of a button or one line of a drawing makes it. */
export interface Question<Subject> {
  readonly subject: Subject;
  /** Whether the answer is kept by the mesh, so that it can be found again and judged. */
  readonly keep: boolean;
  /** The same for every attempt: the answer is kept once. Empty where it is not kept. */
  readonly requestId: string;
}

export interface Answer<Subject> {
  readonly prediction: Prediction;
  readonly subject: Subject;
  /** From sending the question to having the answer, in ms. */
  readonly roundTripMs: number;
}

/** A question that failed, and when it is asked again by itself (ms since the epoch), if it is. */
export interface Setback {
  readonly problem: Problem;
  readonly againAt: number | null;
}

export interface AskerSurroundings<Subject> {
  readonly call: (question: Question<Subject>, signal: AbortSignal) => Promise<Prediction>;
  readonly uuid: () => string;
  /** Milliseconds of a steady clock. */
  readonly now: () => number;
}

/** A line under way is asked about after a pause this short, */
const PAUSE_MS = 90;
/** but after so long at the latest, */
const LATEST_MS = 320;
/** and a drawing that rests this long is asked about for good. */
const REST_MS = 700;
const AGAIN_MS = [1000, 2000, 4000, 8000];

export class Asker<Subject> {
  readonly answer = signal<Answer<Subject> | null>(null);
  readonly setback = signal<Setback | null>(null);
  /** Whether an answer is on its way. */
  readonly asking = signal(false);

  private call: AbortController | null = null;
  private live: ReturnType<typeof setTimeout> | undefined;
  private rest: ReturnType<typeof setTimeout> | undefined;
  private repeat: ReturnType<typeof setTimeout> | undefined;
  private liveSince: number | null = null;
  private last: Question<Subject> | null = null;
  private failures = 0;

  constructor(private readonly around: AskerSurroundings<Subject>) {}

  /** Asks now; the answer is kept. */
  ask(subject: Subject): void {
    this.failures = 0;
    this.send({ subject, keep: true, requestId: this.around.uuid() });
  }

  /** Asks soon, for the drawing goes on; when it rests, `resting` says so and the question is asked for good. */
  sketch(subject: Subject, resting: boolean): void {
    clearTimeout(this.live);
    clearTimeout(this.rest);
    const now = this.around.now();
    this.liveSince ??= now;
    const wait = Math.max(0, Math.min(PAUSE_MS, this.liveSince + LATEST_MS - now));
    this.live = setTimeout(() => this.send({ subject, keep: false, requestId: "" }, true), wait);
    if (resting) this.rest = setTimeout(() => this.ask(subject), REST_MS);
  }

  /** Asks the last question again, e.g. of another model. */
  again(): void {
    if (this.last) this.ask(this.last.subject);
  }

  /** Forgets question and answer. */
  clear(): void {
    this.breakOff();
    this.last = null;
    this.answer.value = null;
    this.setback.value = null;
  }

  /** Breaks off whatever is under way; what was answered stays. */
  breakOff(): void {
    for (const timer of [this.live, this.rest, this.repeat]) clearTimeout(timer);
    this.liveSince = null;
    this.call?.abort();
    this.call = null;
    this.asking.value = false;
  }

  private send(question: Question<Subject>, drawing = false): void {
    if (!drawing) clearTimeout(this.rest);
    clearTimeout(this.live);
    clearTimeout(this.repeat);
    this.liveSince = null;
    this.call?.abort();
    const call = new AbortController();
    this.call = call;
    this.last = question;
    this.asking.value = true;
    void this.hear(question, call);
  }

  private async hear(question: Question<Subject>, call: AbortController): Promise<void> {
    const sentAt = this.around.now();
    try {
      const prediction = await this.around.call(question, call.signal);
      if (this.call !== call) return;
      this.answer.value = { prediction, subject: question.subject, roundTripMs: this.around.now() - sentAt };
      this.setback.value = null;
      this.failures = 0;
    } catch (thrown) {
      if (this.call !== call) return;
      this.failed(question, problemOf(thrown));
    }
    this.call = null;
    this.asking.value = false;
  }

  private failed(question: Question<Subject>, problem: Problem): void {
    const wait = problem.transient ? (problem.retryAfterMs ?? AGAIN_MS[Math.min(this.failures, AGAIN_MS.length - 1)] ?? 8000) : null;
    this.failures += 1;
    this.setback.value = { problem, againAt: wait === null ? null : Date.now() + wait };
    if (wait !== null) this.repeat = setTimeout(() => this.send(question), wait);
    // What was said of something else would be taken for the answer.
    if (this.answer.value?.subject !== question.subject) this.answer.value = null;
  }
}
