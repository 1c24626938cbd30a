// A pipeline as it is edited: every change makes a new one, so that changes can be taken back.
import { create, fromJson, type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
import {
  Fill,
  type Finding,
  Format,
  type Step as StepMessage,
  type Pipeline as Wire,
  PipelineSchema as WireSchema,
} from "../gen/labelmesh/augment/v1/pipelines_pb";

export type Value = JsonValue;
/** Where a step is: its place at each level. */
export type Path = readonly number[];
export type Colour = readonly [number, number, number];

export const MAX_STEPS = 100;
export const MAX_DEPTH = 4;

export interface Step {
  /** Of this step for as long as it is edited, wherever it moves. */
  readonly key: string;
  readonly transform: string;
  /** 0 to 1; null means always. Inside one_of and some_of it is a weight. */
  readonly probability: number | null;
  /** Left in its place without being done: it goes over the wire with probability 0, so the draws of the other steps stay. */
  readonly off: boolean;
  readonly parameters: Readonly<Record<string, Value>>;
  readonly steps: readonly Step[];
}

export interface Rules {
  /** null means the mesh's default. */
  readonly minVisibleShare: number | null;
  readonly minArea: number | null;
  readonly mirrorPairs: readonly (readonly [string, string])[];
}

export interface Pipeline {
  readonly steps: readonly Step[];
  readonly fill: Fill;
  readonly fillColour: Colour | null;
  readonly rules: Rules;
  readonly format: Format;
  /** 0 means the input's. */
  readonly quality: number;
  readonly keepMetadata: boolean;
}

export const EMPTY: Pipeline = {
  steps: [],
  fill: Fill.COLOUR,
  fillColour: null,
  rules: { minVisibleShare: null, minArea: null, mirrorPairs: [] },
  format: Format.UNSPECIFIED,
  quality: 0,
  keepMetadata: false,
};

let made = 0;
const freshKey = (): string => {
  made += 1;
  return `step-${made}`;
};

export function newStep(transform: string): Step {
  return { key: freshKey(), transform, probability: null, off: false, parameters: {}, steps: [] };
}

// --- the contract's form ---

function stepOf(message: StepMessage): Step {
  const off = message.probability === 0;
  return {
    key: freshKey(),
    transform: message.transform,
    probability: off || message.probability === undefined || message.probability === 1 ? null : message.probability,
    off,
    parameters: message.parameters ?? {},
    steps: message.steps.map(stepOf),
  };
}

/** A pipeline of the contract, to be edited. */
export function pipelineOf(message: Wire): Pipeline {
  const [red, green, blue] = message.fillColour;
  const rules = message.labels;
  return {
    steps: message.steps.map(stepOf),
    fill: message.fill === Fill.UNSPECIFIED ? Fill.COLOUR : message.fill,
    fillColour: red === undefined || green === undefined || blue === undefined ? null : [red, green, blue],
    rules: {
      minVisibleShare: rules?.minVisibleShare ?? null,
      minArea: rules?.minArea ?? null,
      mirrorPairs: (rules?.mirrorPairs ?? []).map((pair) => [pair.first, pair.second] as const),
    },
    format: message.output?.format ?? Format.UNSPECIFIED,
    quality: message.output?.quality ?? 0,
    keepMetadata: message.output?.keepMetadata ?? false,
  };
}

function stepJson(step: Step): JsonObject {
  const json: JsonObject = { transform: step.transform };
  if (step.off) json.probability = 0;
  else if (step.probability !== null) json.probability = step.probability;
  if (Object.keys(step.parameters).length > 0) json.parameters = { ...step.parameters };
  if (step.steps.length > 0) json.steps = step.steps.map(stepJson);
  return json;
}

/** The pipeline in JSON as programs and the command line take it, without what is the default anyhow. */
export function jsonOf(pipeline: Pipeline): JsonObject {
  const json: JsonObject = { version: 1, steps: pipeline.steps.map(stepJson) };
  if (pipeline.fill !== Fill.COLOUR) json.fill = pipeline.fill === Fill.EDGE ? "FILL_EDGE" : "FILL_MIRROR";
  if (pipeline.fillColour) json.fillColour = [...pipeline.fillColour];
  const { rules } = pipeline;
  const labels: JsonObject = {};
  if (rules.minVisibleShare !== null) labels.minVisibleShare = rules.minVisibleShare;
  if (rules.minArea !== null) labels.minArea = rules.minArea;
  if (rules.mirrorPairs.length > 0) labels.mirrorPairs = rules.mirrorPairs.map(([first, second]) => ({ first, second }));
  if (Object.keys(labels).length > 0) json.labels = labels;
  const output: JsonObject = {};
  if (pipeline.format !== Format.UNSPECIFIED) output.format = `FORMAT_${Format[pipeline.format]}`;
  if (pipeline.quality > 0) output.quality = pipeline.quality;
  if (pipeline.keepMetadata) output.keepMetadata = true;
  if (Object.keys(output).length > 0) json.output = output;
  return json;
}

export function wireOf(pipeline: Pipeline): Wire {
  return fromJson(WireSchema, jsonOf(pipeline));
}

/** Why a text is no pipeline, in a sentence. */
export class NoPipeline extends Error {}

/** Reads a pipeline from JSON: an object, a list of steps, or one step. Throws NoPipeline. */
export function readPipeline(text: string): Pipeline {
  let json: JsonValue;
  try {
    json = JSON.parse(text) as JsonValue;
  } catch (thrown) {
    throw new NoPipeline(`This is no JSON: ${thrown instanceof Error ? thrown.message : String(thrown)}.`);
  }
  return pipelineFrom(json);
}

export function pipelineFrom(json: JsonValue): Pipeline {
  let whole: JsonValue = json;
  if (Array.isArray(json)) whole = { steps: json };
  else if (typeof json === "object" && json !== null && "transform" in json) whole = { steps: [json] };
  // What an answer or a saved file wraps around it.
  else if (typeof json === "object" && json !== null && !("steps" in json) && json.pipeline !== undefined) whole = json.pipeline;
  let message: Wire;
  try {
    message = fromJson(WireSchema, spelledOut(whole));
  } catch (thrown) {
    const said = thrown instanceof Error ? thrown.message : String(thrown);
    throw new NoPipeline(`This is no pipeline: ${said.replace(/(cannot decode )?(message |field )?labelmesh\.augment\.v1\./g, "")}.`);
  }
  if (message.version > 1) {
    throw new NoPipeline(`This pipeline is of format ${message.version}; this page knows format 1. Reload the page, it may be an old one.`);
  }
  if (countSteps(message.steps) > MAX_STEPS) throw new NoPipeline(`A pipeline has at most ${MAX_STEPS} steps.`);
  return pipelineOf(message);
}

/** The short words that the command line takes too: "edge" for FILL_EDGE, "jpeg" for FORMAT_JPEG. */
function spelledOut(json: JsonValue): JsonValue {
  if (typeof json !== "object" || json === null || Array.isArray(json)) return json;
  const whole: JsonObject = { ...json };
  const long = (value: JsonValue | undefined, start: string): JsonValue | undefined =>
    typeof value === "string" && /^[a-z]+$/.test(value) ? start + value.toUpperCase() : value;
  const fill = long(whole.fill, "FILL_");
  if (fill !== undefined) whole.fill = fill;
  const { output } = whole;
  if (typeof output === "object" && output !== null && !Array.isArray(output)) {
    const format = long(output.format, "FORMAT_");
    if (format !== undefined) whole.output = { ...output, format };
  }
  return whole;
}

function countSteps(steps: readonly { readonly steps: readonly unknown[] }[]): number {
  return steps.reduce((sum, step) => sum + 1 + countSteps(step.steps as StepMessage[]), 0);
}

export function stepCount(pipeline: Pipeline): number {
  return countSteps(pipeline.steps);
}

/** Every number, text and switch of it, for people. */
export function prettyJson(pipeline: Pipeline): string {
  // Pairs such as [-20, 20] stay on one line.
  return JSON.stringify(jsonOf(pipeline), null, 2).replace(/\[\s+((?:-?[\d.eE+-]+,?\s*)+)\]/g, (_, inner: string) => {
    return `[${inner.trim().replace(/\s+/g, " ")}]`;
  });
}

/** The message as it goes over the wire, e.g. of an answer, in JSON. */
export function wireJson(message: Wire): JsonValue {
  return toJson(WireSchema, message);
}

export const emptyWire = (): Wire => create(WireSchema);

// --- changing it ---

export function stepAt(pipeline: Pipeline, path: Path): Step | null {
  let steps = pipeline.steps;
  let found: Step | null = null;
  for (const place of path) {
    found = steps[place] ?? null;
    if (!found) return null;
    steps = found.steps;
  }
  return found;
}

/** Where the step with this key is. */
export function pathOf(pipeline: Pipeline, key: string): Path | null {
  const look = (steps: readonly Step[], before: Path): Path | null => {
    for (const [place, step] of steps.entries()) {
      const here = [...before, place];
      const found = step.key === key ? here : look(step.steps, here);
      if (found) return found;
    }
    return null;
  };
  return look(pipeline.steps, []);
}

function changedList(steps: readonly Step[], path: Path, change: (list: readonly Step[]) => readonly Step[]): readonly Step[] {
  const [place, ...rest] = path;
  if (place === undefined) return change(steps);
  return steps.map((step, index) => (index === place ? { ...step, steps: changedList(step.steps, rest, change) } : step));
}

/** Changes the list of steps that belongs to the step at `path`; the pipeline's own for []. */
function withList(pipeline: Pipeline, path: Path, change: (list: readonly Step[]) => readonly Step[]): Pipeline {
  return { ...pipeline, steps: changedList(pipeline.steps, path, change) };
}

export function withStep(pipeline: Pipeline, path: Path, change: Partial<Omit<Step, "key">>): Pipeline {
  const place = path.at(-1) ?? -1;
  return withList(pipeline, path.slice(0, -1), (list) => list.map((step, index) => (index === place ? { ...step, ...change } : step)));
}

/** Sets a parameter; `undefined` takes it back to its default. */
export function withParameter(pipeline: Pipeline, path: Path, name: string, value: Value | undefined): Pipeline {
  const step = stepAt(pipeline, path);
  if (!step) return pipeline;
  const { [name]: _, ...others } = step.parameters;
  return withStep(pipeline, path, { parameters: value === undefined ? others : { ...step.parameters, [name]: value } });
}

/** Puts a step into the list of the step at `parent`, before `place`. */
export function withNew(pipeline: Pipeline, parent: Path, step: Step, place = Number.POSITIVE_INFINITY): Pipeline {
  return withList(pipeline, parent, (list) => {
    const at = Math.min(place, list.length);
    return [...list.slice(0, at), step, ...list.slice(at)];
  });
}

export function without(pipeline: Pipeline, path: Path): Pipeline {
  const place = path.at(-1);
  return withList(pipeline, path.slice(0, -1), (list) => list.filter((_, index) => index !== place));
}

export function copyOf(step: Step): Step {
  return { ...step, key: freshKey(), steps: step.steps.map(copyOf) };
}

export function duplicated(pipeline: Pipeline, path: Path): Pipeline {
  const step = stepAt(pipeline, path);
  return step ? withNew(pipeline, path.slice(0, -1), copyOf(step), (path.at(-1) ?? 0) + 1) : pipeline;
}

/** Moves a step among its neighbours, by places. */
export function shifted(pipeline: Pipeline, path: Path, by: number): Pipeline {
  const step = stepAt(pipeline, path);
  const place = path.at(-1);
  if (!step || place === undefined) return pipeline;
  return withList(pipeline, path.slice(0, -1), (list) => {
    const rest = list.filter((_, index) => index !== place);
    const at = Math.max(0, Math.min(rest.length, place + by));
    return [...rest.slice(0, at), step, ...rest.slice(at)];
  });
}

const begins = (path: Path, start: Path): boolean => start.every((place, index) => path[index] === place);

/** Moves a step (by its key) into the list of the step `parent`, before `place`; never into itself. */
export function carried(pipeline: Pipeline, key: string, parent: Path, place: number): Pipeline {
  const from = pathOf(pipeline, key);
  const step = from && stepAt(pipeline, from);
  if (!from || !step || begins(parent, from)) return pipeline;
  const parentKey = stepAt(pipeline, parent)?.key;
  const sameList = from.length === parent.length + 1 && begins(from, parent);
  const taken = without(pipeline, from);
  const target = parentKey === undefined ? [] : (pathOf(taken, parentKey) ?? []);
  return withNew(taken, target, step, sameList && (from.at(-1) ?? 0) < place ? place - 1 : place);
}

// --- what the mesh says of it ---

/** Where in the pipeline a finding belongs: a step, perhaps a parameter of it; the pipeline itself for an empty path. */
export interface Remark {
  readonly path: Path;
  readonly parameter: string;
  readonly text: string;
  readonly warning: boolean;
}

/** "steps[1].steps[0].parameters.angle" as a path and a name. */
export function placeOfField(field: string): { path: Path; parameter: string } {
  const path = [...field.matchAll(/\bsteps\[(\d+)\]/g)].map((match) => Number(match[1]));
  const rest = field.replace(/^.*\bsteps\[\d+\]/, "").replace(/^\./, "");
  const named = /^parameters(?:\.([a-z0-9_]+)|\["?([a-z0-9_]+)"?\])/.exec(rest);
  return { path, parameter: named?.[1] ?? named?.[2] ?? (path.length > 0 && rest === "probability" ? "probability" : "") };
}

export function remarksOf(findings: readonly Pick<Finding, "field" | "description" | "warning">[]): Remark[] {
  return findings.map((one) => ({ ...placeOfField(one.field), text: one.description, warning: one.warning }));
}
