// Who answers: aliases, shares of the calls, and the shadow.
import type { JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { useApp } from "../app";
import { type Model, type Routing, VersionState } from "../gen/labelmesh/inference/v1/models_pb";
import { randomUuid } from "../session/tabs";
import { useAction } from "../ui/action";
import { Dialog, Field, percent, Select, Trouble } from "../ui/parts";
import { effectsOf, type Share, sameShares, sharesOf, versionOf, wireSplits, withShare } from "./traffic";
import { metricList } from "./versions";

/** Names that everybody knows are offered before they exist. */
const USUAL = ["stable", "canary"];

export function RoutingPanel(props: { model: Model; manager: boolean; onChanged: () => void }): JSX.Element {
  const { model, manager, onChanged } = props;
  const routing = model.routing;
  return (
    <section class="panel" aria-labelledby="routing-heading">
      <h2 id="routing-heading">Who answers</h2>
      <Aliases model={model} manager={manager} onChanged={onChanged} />
      {manager && routing && routing.aliases.length > 0 && (
        <Traffic key={String(routing.revision)} model={model.name} routing={routing} onChanged={onChanged} />
      )}
      {!manager && routing && <TrafficInWords routing={routing} />}
    </section>
  );
}

function TrafficInWords(props: { routing: Routing }): JSX.Element {
  const shares = sharesOf(props.routing.aliases, props.routing.splits).filter((one) => one.percent > 0);
  return <p>{shares.map((one) => `${one.percent} % of the calls go to ${one.alias}`).join(", ")}.</p>;
}

function Aliases(props: { model: Model; manager: boolean; onChanged: () => void }): JSX.Element {
  const { model, manager } = props;
  const [moving, setMoving] = useState<{ alias: string; version: bigint } | null>(null);
  const existing = model.routing?.aliases ?? [];
  const names = [...new Set([...(manager ? USUAL : []), ...existing.map((one) => one.name)])];
  const choices = model.versions
    .filter((one) => one.manifest !== undefined)
    .map((one) => ({
      value: String(one.version),
      text: `Version ${one.version}${one.state === VersionState.AVAILABLE ? "" : " (not available)"}`,
    }));
  return (
    <>
      <ul class="aliases">
        {names.map((name) => {
          const version = versionOf(model.routing, name);
          return (
            <li key={name} data-alias={name}>
              <strong>{name}</strong>
              {!manager && <span>version {String(version)}</span>}
              {manager && (
                <Select
                  bare
                  label={`Version of ${name}`}
                  value={version === null ? "" : String(version)}
                  options={version === null ? [{ value: "", text: "Nothing yet" }, ...choices] : choices}
                  onChoose={(chosen) => {
                    if (chosen !== "" && BigInt(chosen) !== version) setMoving({ alias: name, version: BigInt(chosen) });
                  }}
                />
              )}
              {manager && version !== null && name !== "stable" && (
                <button type="button" class="quiet" aria-label={`Remove ${name}`} onClick={() => setMoving({ alias: name, version: 0n })}>
                  Remove
                </button>
              )}
            </li>
          );
        })}
      </ul>
      {moving && <MoveAlias model={model} {...moving} onClose={() => setMoving(null)} onChanged={props.onChanged} />}
    </>
  );
}

function MoveAlias(props: { model: Model; alias: string; version: bigint; onClose: () => void; onChanged: () => void }): JSX.Element {
  const { mesh } = useApp();
  const { model, alias, version } = props;
  const requestId = useMemo(randomUuid, []);
  // What the person saw when they decided: a change by somebody else meanwhile is refused, not overwritten.
  const [routing] = useState(model.routing);
  const from = versionOf(routing, alias);
  const removing = version === 0n;
  const move = useAction(async () => {
    await mesh.models.setAlias({ requestId, model: model.name, alias, version, revision: routing?.revision ?? 0n });
    props.onChanged();
    props.onClose();
  });
  const metricsOf = (wanted: bigint | null): string => metricList(model.versions.find((one) => one.version === wanted)?.metrics ?? {});
  const [before, after] = [metricsOf(from), metricsOf(version)];
  return (
    <Dialog title={removing ? `Remove ${alias}?` : `Move ${alias} to version ${version}?`} onClose={props.onClose}>
      <ul class="effects">
        {removing ? (
          <li>Calls that name {alias} are refused from now on.</li>
        ) : (
          effectsOf(routing, alias, version).map((effect) => <li key={effect}>{effect}</li>)
        )}
      </ul>
      {!removing && (before !== "" || after !== "") && (
        <dl class="compared">
          {from !== null && (
            <>
              <dt>Version {String(from)}, now</dt>
              <dd>{before || "no metrics"}</dd>
            </>
          )}
          <dt>Version {String(version)}</dt>
          <dd>{after || "no metrics"}</dd>
        </dl>
      )}
      <p class="quiet-text">This can be rolled back in the list of changes.</p>
      <Trouble problem={move.problem} />
      <div class="actions">
        <button type="button" onClick={props.onClose}>
          Cancel
        </button>
        <button type="button" class="primary" disabled={move.busy} onClick={() => void move.run()}>
          {removing ? "Remove it" : "Move it"}
        </button>
      </div>
    </Dialog>
  );
}

/** Begins anew with each revision (its key): what is edited is never what somebody else has changed meanwhile. */
function Traffic(props: { model: string; routing: Routing; onChanged: () => void }): JSX.Element {
  const { mesh } = useApp();
  const { model, routing } = props;
  const now = sharesOf(routing.aliases, routing.splits);
  const [shares, setShares] = useState<readonly Share[]>(now);
  const [shadow, setShadow] = useState(routing.shadow?.alias ?? "");
  const [shadowShare, setShadowShare] = useState(routing.shadow?.share || 0.1);
  const [requestId, setRequestId] = useState(randomUuid);
  const wasShadow = routing.shadow?.alias ?? "";
  const shadowChanged = shadow !== wasShadow || (shadow !== "" && shadowShare !== routing.shadow?.share);
  const changed = !sameShares(shares, now) || shadowChanged;
  useEffect(() => setRequestId(randomUuid()), [shares, shadow, shadowShare]);
  const save = useAction(async () => {
    await mesh.models.setTraffic({
      requestId,
      model,
      splits: wireSplits(shares),
      shadow: { alias: shadow, share: shadow === "" ? 0 : shadowShare },
      revision: routing.revision,
    });
    props.onChanged();
  });
  const reset = (): void => {
    setShares(now);
    setShadow(wasShadow);
    setShadowShare(routing.shadow?.share || 0.1);
  };
  return (
    <form
      class="stack"
      aria-label="Traffic"
      onSubmit={(event) => {
        event.preventDefault();
        void save.run();
      }}
    >
      <fieldset class="shares">
        <legend>Calls that name no version</legend>
        {shares.map((one) => (
          <Field
            key={one.alias}
            label={`${one.alias}: ${one.percent} %`}
            type="range"
            min={0}
            max={100}
            step={1}
            value={one.percent}
            disabled={shares.length === 1}
            aria-valuetext={`${one.percent} percent`}
            onInput={(event) => setShares(withShare(shares, one.alias, Number(event.currentTarget.value)))}
          />
        ))}
        <div class="share-bar" aria-hidden="true">
          {shares.map((one, index) => (
            <span key={one.alias} class={`share-${index % 4}`} style={{ flexGrow: String(one.percent) }} />
          ))}
        </div>
      </fieldset>
      <div class="columns">
        <Select
          label="Shadow"
          value={shadow}
          options={[
            { value: "", text: "None" },
            ...routing.aliases.map((alias) => ({ value: alias.name, text: `${alias.name} (version ${alias.version})` })),
          ]}
          onChoose={setShadow}
        />
        <Field
          label={`Share of calls it answers too: ${percent(shadowShare)}`}
          type="range"
          min={0.05}
          max={1}
          step={0.05}
          disabled={shadow === ""}
          hint="Callers never see its answers; the differences are counted."
          value={shadowShare}
          onInput={(event) => setShadowShare(Number(event.currentTarget.value))}
        />
      </div>
      <Trouble problem={save.problem} />
      <div class="actions">
        <button type="button" disabled={!changed || save.busy} onClick={reset}>
          As it was
        </button>
        <button type="submit" class="primary" disabled={!changed || save.busy}>
          Apply
        </button>
      </div>
    </form>
  );
}
