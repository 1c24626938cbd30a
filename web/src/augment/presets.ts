// Pipelines to begin with, as the command line would take them. Steps that a mesh does not know are left out.
import type { JsonObject } from "@bufbuild/protobuf";

export interface Preset {
  readonly name: string;
  readonly title: string;
  readonly summary: string;
  readonly pipeline: JsonObject;
}

export const PRESETS: readonly Preset[] = [
  {
    name: "light",
    title: "Light",
    summary: "A mirror, a little turning and a little light: hard to do harm with.",
    pipeline: {
      steps: [
        { transform: "horizontal_flip", probability: 0.5 },
        { transform: "rotate", parameters: { angle: [-8, 8] } },
        { transform: "brightness", probability: 0.7 },
      ],
      fill: "FILL_MIRROR",
    },
  },
  {
    name: "typical",
    title: "Typical",
    summary: "What most detectors are trained with.",
    pipeline: {
      steps: [
        { transform: "horizontal_flip", probability: 0.5 },
        { transform: "affine", probability: 0.8 },
        { transform: "colour_jitter", probability: 0.8 },
        { transform: "grayscale", probability: 0.1 },
        {
          transform: "one_of",
          probability: 0.4,
          steps: [{ transform: "gaussian_blur" }, { transform: "gaussian_noise" }, { transform: "jpeg_quality" }],
        },
      ],
      fill: "FILL_EDGE",
    },
  },
  {
    name: "strong",
    title: "Strong",
    summary: "For few pictures: perspective, crops, weather, erased areas.",
    pipeline: {
      steps: [
        { transform: "horizontal_flip", probability: 0.5 },
        { transform: "rotate", parameters: { angle: [-25, 25] } },
        { transform: "perspective", probability: 0.5 },
        { transform: "crop_around_boxes", probability: 0.4 },
        { transform: "elastic", probability: 0.25 },
        { transform: "colour_jitter", probability: 0.9 },
        {
          transform: "one_of",
          probability: 0.5,
          steps: [{ transform: "fog" }, { transform: "rain" }, { transform: "shade" }],
        },
        {
          transform: "some_of",
          probability: 0.7,
          steps: [{ transform: "motion_blur" }, { transform: "iso_noise" }, { transform: "downscale" }, { transform: "jpeg_quality" }],
        },
        { transform: "cutout", probability: 0.4 },
      ],
      fill: "FILL_MIRROR",
    },
  },
];
