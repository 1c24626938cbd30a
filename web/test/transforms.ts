// A short list of transforms as a mesh answers it.
import { create } from "@bufbuild/protobuf";
import { Catalogue } from "../src/augment/catalogue";
import { Family, type Parameter, ParameterKind, ParameterSchema, TransformSchema } from "../src/gen/labelmesh/augment/v1/pipelines_pb";

const number = (value: number) => ({ kind: { case: "numberValue" as const, value } });
const pair = (low: number, high: number) => ({ kind: { case: "listValue" as const, value: { values: [number(low), number(high)] } } });

export const ANGLE: Parameter = create(ParameterSchema, {
  name: "angle",
  title: "Angle",
  kind: ParameterKind.NUMBER,
  ranged: true,
  unit: "°",
  minimum: -180,
  maximum: 180,
  step: 0.5,
  defaultValue: pair(-15, 15),
});

export const SIGMA: Parameter = create(ParameterSchema, {
  name: "sigma",
  title: "Sigma",
  kind: ParameterKind.NUMBER,
  ranged: true,
  unit: "px",
  minimum: 0.1,
  maximum: 10,
  step: 0.1,
  logarithmic: true,
  defaultValue: pair(0.5, 2),
});

export const CATALOGUE = new Catalogue([
  create(TransformSchema, { name: "turn", title: "Turn", family: Family.GEOMETRY, summary: "Turns it.", parameters: [ANGLE] }),
  create(TransformSchema, {
    name: "soften",
    title: "Soften",
    family: Family.QUALITY,
    summary: "Blurs it, like a lens.",
    parameters: [SIGMA],
  }),
  create(TransformSchema, { name: "lens", title: "Lens", family: Family.DISTORTION, summary: "Bends it." }),
  create(TransformSchema, { name: "put_four", title: "Put four", family: Family.MIXING, furtherPictures: 3 }),
  create(TransformSchema, { name: "either", title: "Either", family: Family.COMPOSITION, holdsSteps: true }),
]);
