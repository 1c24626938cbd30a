// Which model is asked: by its traffic, an alias, or a version.
import { InputKind, type ModelManifest } from "../gen/labelmesh/inference/v1/manifests_pb";
import type { Model, ModelVersion } from "../gen/labelmesh/inference/v1/models_pb";
import type { Detection, Result } from "../gen/labelmesh/inference/v1/results_pb";

/** "" for the model's traffic, "alias:NAME", "version:NUMBER". */
export type Way = string;

export interface Choice {
  readonly model: string;
  readonly way: Way;
}

/** Models that can be shown a picture. */
export function modelsForPictures(models: readonly Model[]): Model[] {
  return models.filter((model) => {
    const manifest = manifestOf(model);
    return manifest !== undefined && manifest.input?.kind !== InputKind.TENSOR;
  });
}

/** The manifest of the version that answers by default, or of the newest that has one. */
export function manifestOf(model: Model | undefined, version?: bigint): ModelManifest | undefined {
  const stable = version ?? model?.routing?.aliases.find((alias) => alias.name === "stable")?.version;
  const found: ModelVersion | undefined = model?.versions.find((one) => one.version === stable && one.manifest !== undefined);
  return (found ?? model?.versions.find((one) => one.manifest !== undefined))?.manifest;
}

/** The choice as the contract has it. */
export function wireChoice(choice: Choice): { model: string; alias?: string; version?: bigint } {
  const [kind, rest] = [choice.way.slice(0, choice.way.indexOf(":")), choice.way.slice(choice.way.indexOf(":") + 1)];
  if (kind === "alias") return { model: choice.model, alias: rest };
  if (kind === "version" && /^\d+$/.test(rest)) return { model: choice.model, version: BigInt(rest) };
  return { model: choice.model };
}

/** The ways to a model's versions, the traffic first. */
export function waysTo(model: Model): { value: Way; text: string }[] {
  const aliases = model.routing?.aliases ?? [];
  return [
    { value: "", text: "By its traffic" },
    ...aliases.map((alias) => ({ value: `alias:${alias.name}`, text: `${alias.name} (version ${alias.version})` })),
    ...model.versions.map((one) => ({ value: `version:${one.version}`, text: `Version ${one.version}` })),
  ];
}

/** The names that a person can choose the right one from, without empty ones. */
export function labelsOf(manifest: ModelManifest | undefined): string[] {
  return [...new Set((manifest?.labels ?? []).filter((label) => label !== ""))];
}

/** The best answer of a result as a label; empty where it has none. */
export function bestLabel(result: Result | undefined): string {
  const what = result?.result;
  if (what?.case === "classification") return what.value.classes[0]?.label ?? "";
  if (what?.case === "detections") return what.value.detections[0]?.label ?? "";
  if (what?.case === "segmentation") return what.value.segments[0]?.label ?? "";
  return "";
}

/** Detections from a score on. */
export function atLeast(detections: readonly Detection[], threshold: number): Detection[] {
  return detections.filter((one) => one.score >= threshold);
}
