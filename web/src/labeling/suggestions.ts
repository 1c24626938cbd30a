// What a model would say of the images that this page holds: asked for ahead of their turn, never waited for.
//
// An image that was labeled before is asked about like any other: nothing of an answer is kept for longer than undoing needs it.
import { signal } from "@preact/signals";
import type { Prediction } from "../gen/labelmesh/inference/v1/predictions_pb";
import type { LabelClass } from "../gen/labelmesh/labeling/v1/projects_pb";
import { problemOf } from "../rpc/problems";
import type { Held } from "./held";

export interface Suggestion {
  readonly classId: string;
  /** 0 to 1. */
  readonly confidence: number;
  readonly predictionId: string;
  /** How the model calls a class of the project. */
  readonly labelOf: (classId: string) => string;
}

export interface SuggestionPort {
  predict(imageUrl: string, stop: AbortSignal): Promise<Prediction>;
  feedback(predictionId: string, correct: boolean, label: string): Promise<void>;
}

/** Answers for so many labeled images are kept for undoing; images come back as repeats later than that. */
const RECENT = 5;
const AGAIN_MS = [1000, 3000, 10_000, 30_000];
const FEEDBACK_ATTEMPTS = 3;

/** The project's class that a model's label means: by id, else by name. */
export function suggestionOf(prediction: Prediction, classes: readonly LabelClass[]): Suggestion | null {
  const what = prediction.result?.result;
  const best = what?.case === "classification" ? what.value.classes[0] : undefined;
  if (!best) return null;
  const byId = classes.find((one) => one.id === best.label);
  const chosen = byId ?? classes.find((one) => one.displayName === best.label);
  if (!chosen) return null;
  const labelOf = (classId: string): string => (byId ? classId : classes.find((one) => one.id === classId)?.displayName || classId);
  return { classId: chosen.id, confidence: best.score, predictionId: prediction.id, labelOf };
}

/** An image's content, whatever lease and signature it came with. */
function contentOf(imageUrl: string): string {
  return imageUrl.split("?")[0] ?? imageUrl;
}

export class Suggestions {
  /** True while the model does not answer. */
  readonly away = signal(false);
  private readonly known = signal<ReadonlyMap<string, Suggestion | null>>(new Map());
  private wanted: readonly Held[] = [];
  private recent: readonly string[] = [];
  private asking: AbortController | null = null;
  private askedFor = "";
  private again: ReturnType<typeof setTimeout> | undefined;
  private failures = 0;

  constructor(
    private readonly port: SuggestionPort,
    private readonly classes: readonly LabelClass[],
  ) {}

  /** What the model says of an image; null while it has not answered, or when it means no class of the project. */
  of(imageUrl: string): Suggestion | null {
    return this.known.value.get(contentOf(imageUrl)) ?? null;
  }

  /** These images are on screen or come next, in this order; what is asked about others is broken off. */
  want(held: readonly Held[]): void {
    this.wanted = held;
    const kept = new Set([...held.map((one) => contentOf(one.lease.imageUrl)), ...this.recent]);
    if ([...this.known.peek().keys()].some((key) => !kept.has(key)))
      this.known.value = new Map([...this.known.peek()].filter(([key]) => kept.has(key)));
    if (this.asking && !kept.has(this.askedFor)) this.asking.abort();
    void this.ask();
  }

  /** The image was labeled: tells whether the model was right. */
  labeled(imageUrl: string, classId: string): void {
    const key = contentOf(imageUrl);
    this.recent = [...this.recent.filter((one) => one !== key), key].slice(-RECENT);
    const suggestion = this.known.peek().get(key);
    if (suggestion && suggestion.predictionId !== "") void this.tell(suggestion, classId);
  }

  stop(): void {
    clearTimeout(this.again);
    this.wanted = [];
    this.asking?.abort();
  }

  private async ask(): Promise<void> {
    if (this.asking) return;
    const next = this.wanted.find((one) => !this.known.peek().has(contentOf(one.lease.imageUrl)));
    if (!next) return;
    clearTimeout(this.again);
    const controller = new AbortController();
    const key = contentOf(next.lease.imageUrl);
    this.asking = controller;
    this.askedFor = key;
    let wait: number | null = null;
    try {
      // The picture on screen comes first: its bytes are in the browser's cache then.
      await next.picture;
      if (!controller.signal.aborted)
        this.learn(key, suggestionOf(await this.port.predict(next.lease.imageUrl, controller.signal), this.classes));
      this.failures = 0;
      this.away.value = false;
    } catch (thrown) {
      if (!controller.signal.aborted) wait = this.failed(key, thrown);
    }
    this.asking = null;
    if (wait === null) void this.ask();
    else this.again = setTimeout(() => void this.ask(), wait);
  }

  /** How long to wait before the next question. */
  private failed(key: string, thrown: unknown): number {
    const problem = problemOf(thrown);
    const wait = problem.retryAfterMs ?? AGAIN_MS[Math.min(this.failures, AGAIN_MS.length - 1)] ?? 30_000;
    this.failures += 1;
    this.away.value = problem.transient;
    // What is wrong with this image stays wrong.
    if (!problem.transient) this.learn(key, null);
    return wait;
  }

  private learn(key: string, suggestion: Suggestion | null): void {
    this.known.value = new Map([...this.known.peek(), [key, suggestion]]);
  }

  private async tell(suggestion: Suggestion, classId: string): Promise<void> {
    for (let attempt = 0; attempt < FEEDBACK_ATTEMPTS; attempt += 1) {
      try {
        await this.port.feedback(suggestion.predictionId, classId === suggestion.classId, suggestion.labelOf(classId));
        return;
      } catch (thrown) {
        if (!problemOf(thrown).transient) return;
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS[attempt]));
      }
    }
  }
}
