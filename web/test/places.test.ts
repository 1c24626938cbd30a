import { expect, test } from "vitest";
import { addressOf, type Place, placeOf } from "../src/router";

const ID = "3f0c1b1e-6b0a-4c52-9d58-0d4f1f6f2a11";

test("every place has an address that leads back to it", () => {
  const places: Place[] = [
    { at: "projects" },
    { at: "new-project" },
    { at: "label", projectId: ID },
    { at: "statistics", projectId: ID },
    { at: "manage", projectId: ID },
    { at: "admin", section: "audit" },
    { at: "predict" },
    { at: "models" },
    { at: "augment" },
    { at: "models", model: "mega-detector_v4.1" },
  ];
  for (const place of places) expect(placeOf(addressOf(place))).toEqual(place);
});

test("addresses that mean nothing lead nowhere", () => {
  for (const hash of [
    "#/projects/1",
    `#/projects/${ID}/secrets`,
    "#/admin",
    "#/admin/everything",
    "#/x/y",
    "#/predict/x",
    "#/models/Not%20One",
    "#/models/a/b",
  ]) {
    expect(placeOf(hash)).toEqual({ at: "nowhere" });
  }
});
