// What was drawn for a result, for people.
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { toJson } from "@bufbuild/protobuf";
import { type DrawnStep, type Recipe, RecipeSchema } from "../gen/labelmesh/augment/v1/augmentations_pb";
import { type Family, type Parameter, ParameterKind } from "../gen/labelmesh/augment/v1/pipelines_pb";
import { type Catalogue, defaultOf, readable, spoken } from "./catalogue";
import type { Path } from "./pipeline";

export interface DrawnValue {
  readonly title: string;
  readonly text: string;
}

export interface Done {
  readonly title: string;
  readonly family: Family;
  readonly path: Path;
  /** The most telling value, for a line of its own; may be empty. */
  readonly brief: string;
  readonly values: readonly DrawnValue[];
}

/** The steps of a recipe with their values. Parameters of the catalogue come first, then what only recipes have. */
export function stepsDone(recipe: Recipe | undefined, catalogue: Catalogue): Done[] {
  return (recipe?.steps ?? []).map((step) => doneOf(step, catalogue));
}

function doneOf(step: DrawnStep, catalogue: Catalogue): Done {
  const transform = catalogue.get(step.transform);
  const drawn: JsonObject = step.parameters ?? {};
  const known = (transform?.parameters ?? []).filter((one) => one.name in drawn);
  const names = new Set(known.map((one) => one.name));
  const values = [
    ...known.map((one) => ({ title: one.title || spoken(one.name), text: drawnText(drawn[one.name], one) })),
    ...Object.keys(drawn)
      .filter((name) => !names.has(name))
      .map((name) => ({ title: spoken(name), text: readable(drawn[name]) })),
  ];
  // Settings that are not drawn and have their default tell nothing.
  const special = known.filter((one) => one.ranged || JSON.stringify(drawn[one.name]) !== JSON.stringify(defaultOf(one)));
  const kinds = [ParameterKind.NUMBER, ParameterKind.INTEGER, ParameterKind.CHOICE];
  const telling = special.filter((one) => kinds.includes(one.kind) && !Array.isArray(drawn[one.name]));
  const brief = telling.length === 1 || telling.length === 2 ? telling.map((one) => readable(drawn[one.name], one)).join(", ") : "";
  return { title: catalogue.title(step.transform), family: transform?.family ?? 0, path: step.path, brief, values };
}

/** Several values of one parameter, e.g. the widths of several holes, are no range. */
function drawnText(value: JsonValue | undefined, parameter: Parameter): string {
  if (!Array.isArray(value) || parameter.kind === ParameterKind.COLOUR) return readable(value, parameter);
  const shown = value.slice(0, 12).map((one) => readable(one, parameter));
  return value.length > shown.length ? `${shown.join(", ")}, …` : shown.join(", ");
}

export function recipeJson(recipe: Recipe | undefined): string {
  return recipe ? JSON.stringify(toJson(RecipeSchema, recipe), null, 2) : "{}";
}
