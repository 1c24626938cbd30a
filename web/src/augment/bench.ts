// Everything the page works on: the picture, its labels, the pipeline, and what came of them.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { batch, computed, effect, signal } from "@preact/signals";
import { type Preview, PreviewRequestSchema, type PreviewResponse, type SampleSchema } from "../gen/labelmesh/augment/v1/augmentations_pb";
import type { Labels } from "../gen/labelmesh/augment/v1/labels_pb";
import type { Mesh } from "../rpc/mesh";
import type { Problem } from "../rpc/problems";
import { COUNTS, type Shown as Linked, MOST_SEED, parametersFor, shownBy } from "./address";
import type { Catalogue } from "./catalogue";
import { Changes } from "./changes";
import { NO_LABELS } from "./labels";
import { type Path, type Pipeline, pathOf, pipelineFrom, type Remark, remarksOf, type Step, stepAt, wireOf } from "./pipeline";
import { PRESETS } from "./presets";
import { Previewer } from "./previewer";
import { builtIn, FURTHER_ADDRESSES, SAMPLE_ADDRESS, SAMPLE_LABELS } from "./sample";
import { keptFile, type Source, sameSource, wireSource } from "./source";

export interface Question {
  readonly source: Source;
  readonly labels: Labels;
  readonly pipeline: Pipeline;
  readonly seed: number;
  readonly count: number;
  readonly further: readonly Further[];
}

/** A further picture that somebody brought. */
export interface Further {
  readonly name: string;
  readonly file: Blob;
}

export interface SavedAs {
  readonly projectId: string;
  readonly name: string;
  readonly version: number;
}

/** How long the page may wait: the mesh itself gives up after 30 s. */
const DEADLINE_MS = 32_000;
export const SMALL_SIDE = 384;
export const LARGE_SIDE = 1024;

export class Bench {
  readonly source = signal<Source>({ kind: "sample" });
  readonly labels = signal<Labels>(SAMPLE_LABELS);
  readonly changes: Changes<Pipeline>;
  readonly seed = signal(1);
  readonly count = signal<number>(COUNTS.usual);
  readonly further = signal<readonly Further[]>([]);
  readonly catalogue = signal<Catalogue | null>(null);
  readonly saved = signal<SavedAs | null>(null);
  /** What a link asked for that could not be had. */
  readonly linkProblems = signal<readonly string[]>([]);
  /** Steps whose controls are shown, by key. */
  readonly open = signal<ReadonlySet<string>>(new Set());
  /** The step over which the pointer or the focus is: results show where it was done. */
  readonly pointed = signal<string | null>(null);
  readonly overlays = signal(true);
  /** Whether every parameter is explained below its control; a pointer at its name tells it anyhow. */
  readonly explained = signal(false);
  /** For screen readers: what just happened. */
  readonly said = signal("");
  readonly previewer: Previewer<Question, PreviewResponse>;

  readonly furtherWanted = computed(() => this.catalogue.value?.furtherWanted(this.changes.now.value) ?? 0);
  readonly question = computed<Question>(() => ({
    source: this.source.value,
    labels: this.labels.value,
    pipeline: this.changes.now.value,
    seed: this.seed.value,
    count: this.count.value,
    further: this.further.value,
  }));
  readonly parameters = computed(() =>
    parametersFor({
      source: this.source.value,
      pipeline: this.changes.now.value,
      labels: this.labels.value,
      seed: this.seed.value,
      count: this.count.value,
    }),
  );
  /** What the mesh says of steps and parameters, by the key of the step ("" for the pipeline). */
  readonly remarks = computed<ReadonlyMap<string, readonly Remark[]>>(() => {
    const setback = this.previewer.setback.value;
    const shown = this.previewer.shown.value;
    const found = new Map<string, Remark[]>();
    const add = (pipeline: Pipeline, remark: Remark): void => {
      const key = remark.path.length === 0 ? "" : (stepAt(pipeline, remark.path)?.key ?? "");
      found.set(key, [...(found.get(key) ?? []), remark]);
    };
    if (setback) {
      if (setback.problem.reason === "PIPELINE_INVALID" || setback.problem.reason === "INVALID_FIELDS") {
        const findings = [...setback.problem.fields].map(([field, description]) => ({ field, description, warning: false }));
        for (const remark of remarksOf(findings)) add(setback.question.pipeline, remark);
      }
    } else if (shown) {
      for (const remark of remarksOf(shown.reply.warnings)) add(shown.question.pipeline, remark);
    }
    return found;
  });

  private readonly ends: (() => void)[] = [];

  constructor(
    private readonly mesh: Mesh,
    start: Linked,
  ) {
    const pipeline = start.pipeline ?? pipelineFrom(PRESETS.find((one) => one.name === "typical")?.pipeline ?? { steps: [] });
    this.changes = new Changes<Pipeline>(pipeline);
    this.previewer = new Previewer<Question, PreviewResponse>((question, signal) => this.ask(question, signal, {}));
    this.take(start);
    if (start.seed === null) this.seed.value = anySeed();
  }

  /** Shows what a link or the last draft says; what it does not say stays. */
  take(linked: Linked): void {
    batch(() => {
      const { source } = linked;
      if (source) this.source.value = source.kind === "file" ? keptFile(source.key) : source;
      if (source) this.labels.value = NO_LABELS;
      if (linked.labels) this.labels.value = linked.labels;
      if (linked.pipeline) this.changes.make(linked.pipeline);
      if (linked.seed !== null) this.seed.value = linked.seed;
      if (linked.count !== null) this.count.value = linked.count;
      this.linkProblems.value = linked.problems;
    });
  }

  takeParameters(parameters: string): void {
    this.take(shownBy(parameters));
  }

  /** Asks whenever something changes, from now on. */
  begin(): void {
    let before: Question | null = null;
    this.ends.push(
      effect(() => {
        const question = this.question.value;
        // Pipelines are drawn with the mesh's own list: without it nothing is known of further pictures.
        if (this.catalogue.value === null) return;
        const other = before === null || !sameSource(before.source, question.source);
        const slid =
          before !== null &&
          (before.pipeline !== question.pipeline || before.labels !== question.labels || before.count !== question.count);
        before = question;
        if (question.source.kind === "file" && question.source.file === null) return this.previewer.clear();
        if (slid && !other) this.previewer.soon(question);
        else this.previewer.send(question);
      }),
    );
  }

  end(): void {
    this.previewer.breakOff();
    for (const end of this.ends.splice(0)) end();
  }

  bring(source: Source, labels: Labels = source.kind === "sample" ? SAMPLE_LABELS : NO_LABELS): void {
    batch(() => {
      this.source.value = source;
      this.labels.value = labels;
      this.linkProblems.value = [];
    });
  }

  edit(change: (pipeline: Pipeline) => Pipeline, topic = ""): void {
    this.changes.make(change(this.changes.now.value), topic);
  }

  /** Another pipeline in place of this one; it can be taken back. */
  replace(pipeline: Pipeline, saved: SavedAs | null = null): void {
    batch(() => {
      this.changes.make(pipeline);
      this.saved.value = saved;
    });
  }

  undo(): void {
    if (this.changes.undo()) this.said.value = "Taken back.";
  }

  redo(): void {
    if (this.changes.redo()) this.said.value = "Done again.";
  }

  another(): void {
    let seed = anySeed();
    while (seed === this.seed.value) seed = anySeed();
    this.seed.value = seed;
  }

  setSeed(seed: number): void {
    if (Number.isInteger(seed) && seed >= 0 && seed <= MOST_SEED) this.seed.value = seed;
  }

  toggleOpen(key: string, open = !this.open.value.has(key)): void {
    const next = new Set(this.open.value);
    if (open) next.add(key);
    else next.delete(key);
    this.open.value = next;
  }

  /** The step of the present pipeline that a drawn step was made of. */
  stepOf(drawnIn: Pipeline, path: Path): Step | null {
    const step = stepAt(drawnIn, path);
    if (!step) return null;
    const now = pathOf(this.changes.now.value, step.key);
    return now ? stepAt(this.changes.now.value, now) : null;
  }

  /** One result on its own, as large as a screen shows it. */
  async large(question: Question, copy: number, signal: AbortSignal): Promise<Preview> {
    const reply = await this.ask(question, signal, { count: 1, firstCopy: copy, maxSide: LARGE_SIDE });
    const preview = reply.previews[0];
    if (!preview) throw new Error("the answer holds no picture");
    return preview;
  }

  private async ask(
    question: Question,
    signal: AbortSignal,
    how: { count?: number; firstCopy?: number; maxSide?: number },
  ): Promise<PreviewResponse> {
    const request = create(PreviewRequestSchema, {
      sample: await this.sample(question),
      how: { case: "pipeline", value: wireOf(question.pipeline) },
      seed: question.seed,
      count: how.count ?? question.count,
      firstCopy: how.firstCopy ?? 0,
      maxSide: how.maxSide ?? SMALL_SIDE,
      further: await this.furtherSamples(question),
    });
    return this.mesh.augmentations.preview(request, { signal, timeoutMs: DEADLINE_MS });
  }

  async sample(question: Question): Promise<MessageInitShape<typeof SampleSchema>> {
    return { source: await wireSource(question.source, () => builtIn(SAMPLE_ADDRESS)), labels: question.labels };
  }

  /** Brought ones, or built-in ones until there are any; none where no step takes them. */
  async furtherSamples(question: Question): Promise<MessageInitShape<typeof SampleSchema>[]> {
    const wanted = this.catalogue.value?.furtherWanted(question.pipeline) ?? 0;
    if (wanted === 0) return [];
    const files =
      question.further.length > 0
        ? question.further.map(async (one) => new Uint8Array(await one.file.arrayBuffer()))
        : FURTHER_ADDRESSES.slice(0, wanted).map(builtIn);
    const contents = await Promise.all(files.slice(0, 8));
    return contents.map((value) => ({ source: { source: { case: "image" as const, value } } }));
  }
}

function anySeed(): number {
  const [number = 0] = crypto.getRandomValues(new Uint32Array(1));
  return number % 100_000;
}

const OF_THE_SOURCE: Readonly<Record<string, string>> = {
  NOT_AN_IMAGE: "Bring a JPEG, PNG, GIF, WebP or TIFF file. Of a web page, copy the address of the picture itself.",
  FORMAT_NOT_ALLOWED: "Save the picture as JPEG, PNG, GIF, WebP or TIFF, and bring it again.",
  TRUNCATED: "The file is not complete. Fetch it again, and bring it again.",
  TOO_MANY_PIXELS: "Make the picture smaller first: 50 megapixels is the most, all frames together.",
  TOO_MANY_FRAMES: "Shorten the animation first.",
  TOO_LARGE: "Make the file smaller first: 16 MiB is the most.",
  URL_REFUSED: "Only public http and https addresses are asked. Save the picture and drop the file here instead.",
  URL_FAILED: "Check the address in another tab. If it opens there, save the picture and drop the file here.",
  URL_TOO_LARGE: "4 MiB is the most from an address. Save the picture and drop the file here: as a file it may have 16 MiB.",
  IMAGE_NOT_FOUND: "It may have been removed. Choose another image.",
  PROJECT_NOT_FOUND: "The project may have been removed, or your account may not see it.",
};

/** What to do about a picture that cannot be had or read; null where a problem is not the picture's. */
export function adviceOn(problem: Problem, source: Source): string | null {
  const known = OF_THE_SOURCE[problem.reason];
  if (known !== undefined) return known;
  if ([...problem.fields.keys()].some((field) => field.includes("sample.source"))) {
    return source.kind === "address"
      ? "Paste the whole address of a picture, beginning with https:// or http://."
      : "Bring another picture.";
  }
  return null;
}
