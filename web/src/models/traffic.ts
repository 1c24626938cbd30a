// Shares of a model's calls, in whole percent that always add up to 100.
import type { Alias, Routing, TrafficSplit } from "../gen/labelmesh/inference/v1/models_pb";

export interface Share {
  readonly alias: string;
  readonly percent: number;
}

/** Divides `whole` in proportion to the weights, without a remainder; equally where all weights are 0. */
export function apportion(weights: readonly number[], whole: number): number[] {
  const sum = weights.reduce((total, weight) => total + weight, 0);
  if (weights.length === 0) return [];
  const exact = weights.map((weight) => (sum > 0 ? (weight / sum) * whole : whole / weights.length));
  const parts = exact.map(Math.floor);
  let left = whole - parts.reduce((total, part) => total + part, 0);
  const byRemainder = exact
    .map((value, index) => ({ index, remainder: value - Math.floor(value) }))
    .sort((one, other) => other.remainder - one.remainder || one.index - other.index);
  for (const { index } of byRemainder) {
    if (left <= 0) break;
    parts[index] = (parts[index] ?? 0) + 1;
    left -= 1;
  }
  return parts;
}

/** The shares that a routing gives: one for each alias. Without splits everything goes to stable. */
export function sharesOf(aliases: readonly Alias[], splits: readonly TrafficSplit[]): Share[] {
  const names = aliases.map((alias) => alias.name);
  const weightOf = (name: string): number =>
    splits.length === 0 ? Number(name === "stable") : (splits.find((split) => split.alias === name)?.weight ?? 0);
  const weights = names.map(weightOf);
  if (weights.every((weight) => weight === 0)) return names.map((alias) => ({ alias, percent: 0 }));
  const parts = apportion(weights, 100);
  return names.map((alias, index) => ({ alias, percent: parts[index] ?? 0 }));
}

/** Sets one share; the others divide the rest as they did before. */
export function withShare(shares: readonly Share[], alias: string, percent: number): Share[] {
  const others = shares.filter((one) => one.alias !== alias);
  const wanted = others.length === 0 ? 100 : Math.min(100, Math.max(0, Math.round(percent)));
  const parts = apportion(
    others.map((one) => one.percent),
    100 - wanted,
  );
  const rest = new Map(others.map((one, index) => [one.alias, parts[index] ?? 0]));
  return shares.map((one) => ({ alias: one.alias, percent: one.alias === alias ? wanted : (rest.get(one.alias) ?? 0) }));
}

/** The shares as the contract has them. */
export function wireSplits(shares: readonly Share[]): { alias: string; weight: number }[] {
  return shares.filter((one) => one.percent > 0).map((one) => ({ alias: one.alias, weight: one.percent }));
}

export function sameShares(one: readonly Share[], other: readonly Share[]): boolean {
  const told = (shares: readonly Share[]): string =>
    JSON.stringify(
      shares
        .filter((share) => share.percent > 0)
        .map((share) => [share.alias, share.percent])
        .sort(),
    );
  return told(one) === told(other);
}

/** The version that an alias points at; null when it does not exist. */
export function versionOf(routing: Routing | undefined, alias: string): bigint | null {
  return routing?.aliases.find((one) => one.name === alias)?.version ?? null;
}

/** What moving an alias changes, as sentences. */
export function effectsOf(routing: Routing | undefined, alias: string, version: bigint): string[] {
  const from = versionOf(routing, alias);
  const share = sharesOf(routing?.aliases ?? [], routing?.splits ?? []).find((one) => one.alias === alias)?.percent ?? 0;
  const effects = [
    from === null
      ? `The alias ${alias} is made and points at version ${version}.`
      : `${alias} moves from version ${from} to version ${version}.`,
  ];
  if (share > 0) effects.push(`${share} % of the calls that name no version are answered by version ${version} from now on.`);
  else effects.push("It gets no calls of the traffic; only those that name it change.");
  if (routing?.shadow?.alias === alias && routing.shadow.share > 0) effects.push("Shadow calls go to that version too.");
  return effects;
}
