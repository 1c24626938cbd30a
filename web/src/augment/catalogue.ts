// The transforms that the mesh knows, and how their parameters are shown. Nothing here knows a transform by its name.
import { toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { Family, type Parameter, ParameterKind, type Transform } from "../gen/labelmesh/augment/v1/pipelines_pb";
import type { Pipeline, Step, Value } from "./pipeline";

export const FAMILIES: Readonly<Record<Family, string>> = {
  [Family.UNSPECIFIED]: "Other",
  [Family.GEOMETRY]: "Movement",
  [Family.SIZE]: "Size and crop",
  [Family.COLOUR]: "Colour",
  [Family.QUALITY]: "Quality",
  [Family.ERASING]: "Erasing",
  [Family.DISTORTION]: "Distortion",
  [Family.WEATHER]: "Weather",
  [Family.MIXING]: "Several pictures",
  [Family.COMPOSITION]: "Groups",
};

export class Catalogue {
  private readonly byName: ReadonlyMap<string, Transform>;

  constructor(readonly all: readonly Transform[]) {
    this.byName = new Map(all.map((one) => [one.name, one]));
  }

  get(name: string): Transform | undefined {
    return this.byName.get(name);
  }

  title(name: string): string {
    return this.byName.get(name)?.title || spoken(name);
  }

  /** By family in the order of the mesh; those that match all words of `wanted` in name, title, summary or family. */
  families(wanted = ""): { family: Family; title: string; transforms: Transform[] }[] {
    const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
    const found = new Map<Family, Transform[]>();
    for (const one of this.all) {
      const text = `${one.name} ${spoken(one.name)} ${one.title} ${one.summary} ${FAMILIES[one.family] ?? ""}`.toLowerCase();
      if (!words.every((word) => text.includes(word))) continue;
      found.set(one.family, [...(found.get(one.family) ?? []), one]);
    }
    // What is named so comes before what only mentions it.
    const first = words[0] ?? "";
    const named = (one: Transform): number => (first !== "" && `${one.title} ${one.name}`.toLowerCase().includes(first) ? 0 : 1);
    const groups = [...found].map(([family, transforms]) => ({
      family,
      title: FAMILIES[family] ?? "Other",
      transforms: transforms.toSorted((a, b) => named(a) - named(b)),
    }));
    const best = (group: { transforms: Transform[] }): number => Math.min(...group.transforms.map(named));
    return groups.toSorted((a, b) => best(a) - best(b));
  }

  /** How many further pictures the pipeline can use. */
  furtherWanted(pipeline: Pipeline): number {
    const most = (steps: readonly Step[]): number =>
      Math.max(
        0,
        ...steps.filter((step) => !step.off).map((step) => Math.max(this.get(step.transform)?.furtherPictures ?? 0, most(step.steps))),
      );
    return most(pipeline.steps);
  }

  /** The pipeline without steps that this mesh does not know. */
  known(pipeline: Pipeline): Pipeline {
    const keep = (steps: readonly Step[]): Step[] =>
      steps.filter((step) => this.byName.has(step.transform)).map((step) => ({ ...step, steps: keep(step.steps) }));
    return { ...pipeline, steps: keep(pipeline.steps) };
  }
}

/** A name of the contract as words: "min_area" is "Min area". */
export function spoken(name: string): string {
  const words = name.replaceAll("_", " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function defaultOf(parameter: Parameter): Value {
  return parameter.defaultValue ? toJson(ValueSchema, parameter.defaultValue) : null;
}

export function isNumeric(parameter: Parameter): boolean {
  return parameter.kind === ParameterKind.NUMBER || parameter.kind === ParameterKind.INTEGER;
}

/** A value of a numeric parameter as a pair; null where it is none. */
export function pairOf(value: Value | undefined): readonly [number, number] | null {
  if (typeof value === "number") return [value, value];
  if (!Array.isArray(value) || value.length !== 2) return null;
  const [low, high] = value;
  return typeof low === "number" && typeof high === "number" ? [low, high] : null;
}

export function isPair(value: Value | undefined): boolean {
  return Array.isArray(value) && value.length === 2;
}

const DEGREES = new Set(["°", "%"]);

/** How many decimals a slider's step asks for. */
export function decimalsOf(step: number): number {
  if (!(step > 0)) return 3;
  return Math.max(0, Math.min(6, Math.ceil(-Math.log10(step) - 1e-9)));
}

export function readableNumber(value: number, decimals = 3): string {
  const size = Math.abs(value);
  const rounded = Number(value.toFixed(size >= 1000 ? 0 : size >= 100 ? Math.min(1, decimals) : decimals));
  return Object.is(rounded, -0) ? "0" : String(rounded).replace("-", "−");
}

/** A unit of one word stands behind the number, a longer one ("share of the width") beside the name. */
export function shortUnit(unit: string): string {
  return unit.length > 4 ? "" : DEGREES.has(unit) ? unit : unit === "" ? "" : ` ${unit}`;
}

/** A value as people read it. */
export function readable(value: Value | undefined, parameter?: Parameter): string {
  const unit = shortUnit(parameter?.unit ?? "");
  const decimals = parameter ? Math.max(2, decimalsOf(parameter.step)) : 3;
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return readableNumber(value, decimals) + unit;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return /^[0-9a-f]{32,}$/.test(value) ? `${value.slice(0, 8)}…` : spoken(value).toLowerCase();
  if (Array.isArray(value)) {
    if (parameter?.kind === ParameterKind.COLOUR) return hexOf(value);
    const pair = pairOf(value);
    if (pair && parameter) {
      if (pair[0] === pair[1]) return readable(pair[0], parameter);
      return `${readableNumber(pair[0], decimals)} to ${readableNumber(pair[1], decimals)}${unit}`;
    }
    const shown = value.slice(0, 12).map((one) => readable(one));
    return `[${shown.join(", ")}${value.length > 12 ? ", …" : ""}]`;
  }
  return JSON.stringify(value);
}

export function hexOf(colour: readonly Value[]): string {
  return `#${[0, 1, 2].map((index) => byte(colour[index]).toString(16).padStart(2, "0")).join("")}`;
}

export function colourOfHex(hex: string): [number, number, number] {
  const whole = Number.parseInt(hex.slice(1), 16) || 0;
  return [(whole >> 16) & 255, (whole >> 8) & 255, whole & 255];
}

const byte = (value: Value | undefined): number => Math.max(0, Math.min(255, Math.round(Number(value) || 0)));

// --- sliders ---

/** Places on a slider. */
export const NOTCHES = 1000;

export interface Scale {
  readonly minimum: number;
  readonly maximum: number;
  readonly step: number;
  readonly logarithmic: boolean;
  readonly whole: boolean;
}

export function scaleOf(parameter: Parameter): Scale {
  const whole = parameter.kind === ParameterKind.INTEGER;
  return {
    minimum: parameter.minimum,
    maximum: Math.max(parameter.maximum, parameter.minimum),
    step: parameter.step > 0 ? parameter.step : whole ? 1 : (parameter.maximum - parameter.minimum) / 200 || 1,
    logarithmic: parameter.logarithmic && parameter.minimum > 0,
    whole,
  };
}

/** The notch of a value; values outside go to the ends. */
export function notchOf(scale: Scale, value: number): number {
  const { minimum, maximum, logarithmic } = scale;
  if (maximum === minimum) return 0;
  const bounded = Math.max(minimum, Math.min(maximum, value));
  const share = logarithmic ? Math.log(bounded / minimum) / Math.log(maximum / minimum) : (bounded - minimum) / (maximum - minimum);
  return Math.round(share * NOTCHES);
}

/** The value at a notch, rounded to the slider's step. */
export function valueAt(scale: Scale, notch: number): number {
  const { minimum, maximum, logarithmic } = scale;
  const share = Math.max(0, Math.min(1, notch / NOTCHES));
  return fitted(scale, logarithmic ? minimum * (maximum / minimum) ** share : minimum + (maximum - minimum) * share);
}

/** The nearest value that the slider can have. */
export function fitted(scale: Scale, value: number): number {
  const { minimum, maximum, step, whole } = scale;
  const unit = whole ? Math.max(1, Math.round(step)) : step;
  const rounded = Number((Math.round(value / unit) * unit).toFixed(Math.max(decimalsOf(unit), 0)));
  return Math.max(minimum, Math.min(maximum, rounded));
}

/** The next value upwards or downwards, as an arrow key moves it. */
export function nudged(scale: Scale, value: number, steps: number): number {
  if (!scale.logarithmic) return fitted(scale, value + steps * scale.step);
  const moved = fitted(scale, value * (scale.maximum / scale.minimum) ** (steps / 100));
  return moved === value ? fitted(scale, value + steps * scale.step) : moved;
}

/** A pair in place of one value: a fifth of the slider to each side. */
export function widened(scale: Scale, value: number): [number, number] {
  const notch = notchOf(scale, value);
  return [valueAt(scale, notch - NOTCHES / 5), valueAt(scale, notch + NOTCHES / 5)];
}
