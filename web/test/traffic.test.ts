import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { RoutingSchema } from "../src/gen/labelmesh/inference/v1/models_pb";
import { apportion, effectsOf, sameShares, sharesOf, wireSplits, withShare } from "../src/models/traffic";

const routing = create(RoutingSchema, {
  revision: 5n,
  aliases: [
    { name: "stable", version: 3n },
    { name: "canary", version: 4n },
  ],
  splits: [
    { alias: "stable", weight: 9 },
    { alias: "canary", weight: 1 },
  ],
});
const sum = (shares: readonly { percent: number }[]): number => shares.reduce((total, one) => total + one.percent, 0);

test("weights of any size read as percent", () => {
  expect(sharesOf(routing.aliases, routing.splits)).toEqual([
    { alias: "stable", percent: 90 },
    { alias: "canary", percent: 10 },
  ]);
  expect(sharesOf(routing.aliases, [])).toEqual([
    { alias: "stable", percent: 100 },
    { alias: "canary", percent: 0 },
  ]);
});

test("whatever is moved, the shares add up to 100 and none is negative", () => {
  let shares = ["a", "b", "c", "d"].map((alias, index) => ({ alias, percent: [100, 0, 0, 0][index] ?? 0 }));
  for (let step = 0; step < 400; step += 1) {
    const alias = "abcd".charAt((step * 7) % 4);
    shares = withShare(shares, alias, (step * 37) % 117);
    expect(sum(shares)).toBe(100);
    expect(Math.min(...shares.map((one) => one.percent))).toBeGreaterThanOrEqual(0);
  }
});

test("the others keep their proportion", () => {
  const shares = [
    { alias: "stable", percent: 60 },
    { alias: "canary", percent: 30 },
    { alias: "next", percent: 10 },
  ];
  expect(withShare(shares, "next", 40).map((one) => one.percent)).toEqual([40, 20, 40]);
  expect(withShare([{ alias: "stable", percent: 100 }], "stable", 10)).toEqual([{ alias: "stable", percent: 100 }]);
});

test("a division leaves no remainder", () => {
  expect(apportion([1, 1, 1], 100)).toEqual([34, 33, 33]);
  expect(apportion([0, 0], 7)).toEqual([4, 3]);
  expect(apportion([], 100)).toEqual([]);
});

test("shares of nothing are not sent, and the same shares are no change", () => {
  const shares = [
    { alias: "stable", percent: 100 },
    { alias: "canary", percent: 0 },
  ];
  expect(wireSplits(shares)).toEqual([{ alias: "stable", weight: 100 }]);
  expect(sameShares(shares, [{ alias: "stable", percent: 100 }])).toBe(true);
  expect(sameShares(shares, withShare(shares, "canary", 1))).toBe(false);
});

test("a confirmation says what moving an alias changes", () => {
  expect(effectsOf(routing, "canary", 7n)).toEqual([
    "canary moves from version 4 to version 7.",
    "10 % of the calls that name no version are answered by version 7 from now on.",
  ]);
  expect(effectsOf(routing, "next", 7n)[0]).toBe("The alias next is made and points at version 7.");
});
