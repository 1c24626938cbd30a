import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ModelVersionSchema } from "../src/gen/labelmesh/inference/v1/models_pb";
import { TimingSchema } from "../src/gen/labelmesh/inference/v1/predictions_pb";
import { TrainingSchema } from "../src/gen/labelmesh/inference/v1/trainings_pb";
import { metricPlots } from "../src/models/versions";
import { curvesOf } from "../src/models/watch";
import { partsOf, readableMs } from "../src/predict/timing";
import { axisOf, placeOn, wholeAxis } from "../src/ui/scales";

test("an axis has round ticks around all values", () => {
  expect(axisOf([0.912, 0.987]).ticks).toEqual([0.9, 0.95, 1]);
  expect(axisOf([0.99], 4, 1).high).toBe(1);
  for (const values of [[3, 17, 250], [-0.002, 0.0013], [1e-9, 2e-9], [5], [0], []]) {
    const axis = axisOf(values);
    expect(axis.high).toBeGreaterThan(axis.low);
    expect(axis.ticks.length).toBeLessThanOrEqual(8);
    for (const value of values) {
      expect(placeOn(axis, value)).toBeGreaterThanOrEqual(0);
      expect(placeOn(axis, value)).toBeLessThanOrEqual(1);
    }
  }
});

test("versions and epochs stand at whole numbers, few of many", () => {
  expect(wholeAxis([1, 2, 3]).ticks).toEqual([1, 2, 3]);
  expect(wholeAxis(Array.from({ length: 100 }, (_, index) => index + 1)).ticks.length).toBeLessThanOrEqual(9);
  expect(placeOn(wholeAxis([4]), 4)).toBe(0.5);
});

test("metrics become lines over the versions, what people found right among the accuracies", () => {
  const versions = [
    create(ModelVersionSchema, {
      version: 2n,
      metrics: { accuracy: 0.98, loss: 0.1, images: 1500 },
      feedbackCount: 4n,
      feedbackCorrectCount: 3n,
    }),
    create(ModelVersionSchema, { version: 1n, metrics: { accuracy: 0.95, loss: 0.2 } }),
  ];
  const plots = metricPlots(versions);
  expect(plots.map((plot) => plot.title)).toEqual(["Accuracy", "Loss"]);
  expect(plots[0]?.series).toEqual([
    {
      name: "Accuracy",
      points: [
        { x: 1, y: 0.95 },
        { x: 2, y: 0.98 },
      ],
    },
    { name: "Found right by people", points: [{ x: 2, y: 0.75 }] },
  ]);
});

test("a training's history becomes curves, losses and accuracies apart", () => {
  const history = [1, 2].map((epoch) => ({ epoch, metrics: { loss: 1 / epoch, validation_loss: 2 / epoch, accuracy: 0.4 * epoch } }));
  expect(curvesOf(create(TrainingSchema, { history })).map((plot) => [plot.title, plot.series.map((one) => one.name)])).toEqual([
    ["Loss", ["Loss", "Validation loss"]],
    ["Accuracy", ["Accuracy"]],
  ]);
});

test("the parts of the waiting add up to the round trip", () => {
  const ms = (value: number) => ({ seconds: 0n, nanos: value * 1e6 });
  const timing = create(TimingSchema, { preparation: ms(2), waiting: ms(3), model: ms(10), total: ms(17) });
  const parts = partsOf(timing, 25);
  expect(parts.map((part) => [part.name, part.ms])).toEqual([
    ["Preparing it", 2],
    ["Waiting for company", 3],
    ["Model", 10],
    ["Rest of the service", 2],
    ["On the way", 8],
  ]);
  expect(partsOf(undefined, 5).reduce((total, part) => total + part.ms, 0)).toBe(5);
  expect([readableMs(0.5), readableMs(12.34), readableMs(250), readableMs(12_000)]).toEqual(["0.50 ms", "12.3 ms", "250 ms", "12.0 s"]);
});
