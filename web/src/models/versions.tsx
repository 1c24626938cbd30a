// A model's versions: can they answer, how good are they, what do people say of their answers.
import type { JSX } from "preact";
import { type Model, type ModelVersion, VersionState } from "../gen/labelmesh/inference/v1/models_pb";
import { readableTime } from "../rpc/time";
import { count, finePercent, ScrollTable } from "../ui/parts";
import { Plot, type Series } from "../ui/plot";
import { readableValue } from "../ui/scales";

const STATES: Record<VersionState, { readonly text: string; readonly badge: string }> = {
  [VersionState.UNSPECIFIED]: { text: "unknown", badge: "" },
  [VersionState.UNKNOWN]: { text: "unknown", badge: "badge-closed" },
  [VersionState.LOADING]: { text: "loading", badge: "badge-closed" },
  [VersionState.AVAILABLE]: { text: "available", badge: "badge-done" },
  [VersionState.UNLOADING]: { text: "unloading", badge: "badge-closed" },
  [VersionState.ABSENT]: { text: "not there", badge: "" },
};

export function StateBadge(props: { version: ModelVersion }): JSX.Element {
  const { text, badge } = STATES[props.version.state] ?? STATES[VersionState.UNKNOWN];
  return <span class={`badge ${badge}`}>{text}</span>;
}

/** The share of judged predictions that people found right; null where nobody judged. */
export function foundRight(version: ModelVersion): number | null {
  return version.feedbackCount > 0n ? Number(version.feedbackCorrectCount) / Number(version.feedbackCount) : null;
}

/** How good a version was when it was made, in a word and a number; null where nothing was said. */
export function quality(version: ModelVersion): { readonly name: string; readonly value: number } | null {
  const names = Object.keys(version.metrics);
  const name =
    ["test_accuracy", "accuracy", "validation_accuracy"].find((one) => names.includes(one)) ??
    names.find((one) => one.includes("accuracy"));
  return name === undefined ? null : { name: words(name), value: version.metrics[name] ?? 0 };
}

/** A metric's name as people read it. */
export function words(name: string): string {
  const spaced = name.replaceAll("_", " ");
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

export function Versions(props: { model: Model }): JSX.Element {
  return (
    <section class="panel" aria-labelledby="versions-heading">
      <h2 id="versions-heading">Versions</h2>
      {props.model.versions.length === 0 && <p class="quiet-text">There is no version yet.</p>}
      {props.model.versions.length > 0 && (
        <ScrollTable label="Versions, their states and how good they are">
          <thead>
            <tr>
              <th scope="col">Version</th>
              <th scope="col">State</th>
              <th scope="col">Aliases</th>
              <th scope="col" class="number">
                Accuracy
              </th>
              <th scope="col" class="number">
                Predictions
              </th>
              <th scope="col" class="number">
                Found right
              </th>
              <th scope="col">Registered</th>
            </tr>
          </thead>
          <tbody>
            {props.model.versions.map((version) => (
              <VersionRow key={String(version.version)} version={version} />
            ))}
          </tbody>
        </ScrollTable>
      )}
    </section>
  );
}

function VersionRow(props: { version: ModelVersion }): JSX.Element {
  const { version } = props;
  const good = quality(version);
  const right = foundRight(version);
  return (
    <tr data-version={String(version.version)}>
      <th scope="row">{String(version.version)}</th>
      <td>
        <StateBadge version={version} />
        {version.stateMessage !== "" && <span class="second-line">{version.stateMessage}</span>}
      </td>
      <td>
        {version.aliases.map((alias) => (
          <span key={alias} class="badge badge-live">
            {alias}
          </span>
        ))}
      </td>
      <td class="number">{good ? finePercent(good.value) : "–"}</td>
      <td class="number">{count(version.predictionsCount)}</td>
      <td class="number">
        {right === null ? "–" : finePercent(right)}
        {right !== null && <span class="second-line">of {count(version.feedbackCount)} judged</span>}
      </td>
      <td>{version.registerTime ? readableTime(version.registerTime) : "not registered"}</td>
    </tr>
  );
}

/** Lines over the versions: accuracies together, what people found right among them, and losses together. */
export function metricPlots(versions: readonly ModelVersion[]): { readonly title: string; readonly series: Series[] }[] {
  const ascending = [...versions].sort((one, other) => Number(one.version - other.version));
  const names = metricNames(versions);
  const line = (name: string, of: (version: ModelVersion) => number | null | undefined): Series => ({
    name,
    points: ascending.flatMap((version) => {
      const value = of(version);
      return value === undefined || value === null ? [] : [{ x: Number(version.version), y: value }];
    }),
  });
  const lines = (part: string): Series[] =>
    names.filter((name) => name.includes(part)).map((name) => line(words(name), (version) => version.metrics[name]));
  return [
    { title: "Accuracy", series: [...lines("accuracy").slice(0, 3), line("Found right by people", foundRight)] },
    { title: "Loss", series: lines("loss").slice(0, 4) },
  ]
    .map((plot) => ({ ...plot, series: plot.series.filter((one) => one.points.length > 0) }))
    .filter((plot) => plot.series.length > 0);
}

function metricNames(versions: readonly ModelVersion[]): string[] {
  return [...new Set(versions.flatMap((version) => Object.keys(version.metrics)))].sort();
}

/** So many versions stand beside each other in the table of all metrics. */
const BESIDE = 6;

export function Metrics(props: { model: Model }): JSX.Element | null {
  const { versions } = props.model;
  const names = metricNames(versions);
  // One version makes no line.
  const plots = metricPlots(versions).filter((plot) => plot.series.some((one) => one.points.length > 1));
  const shown = versions.filter((version) => Object.keys(version.metrics).length > 0).slice(0, BESIDE);
  if (names.length === 0) return null;
  return (
    <section class="panel" aria-labelledby="metrics-heading">
      <h2 id="metrics-heading">Metrics</h2>
      <div class="plots">
        {plots.map((plot) => (
          <Plot key={plot.title} title={plot.title} across="version" series={plot.series} />
        ))}
      </div>
      <details>
        <summary>All {names.length} metrics</summary>
        <ScrollTable label="All metrics by version">
          <thead>
            <tr>
              <th scope="col">Metric</th>
              {shown.map((version) => (
                <th key={String(version.version)} scope="col" class="number">
                  Version {String(version.version)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {names.map((name) => (
              <tr key={name}>
                <th scope="row">{words(name)}</th>
                {shown.map((version) => {
                  const value = version.metrics[name];
                  return (
                    <td key={String(version.version)} class="number">
                      {value === undefined ? "–" : readableValue(value)}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </ScrollTable>
      </details>
    </section>
  );
}

/** Of many metrics these are told first. */
const TOLD_FIRST = 6;

/** What a metric was, for lists of a few. */
export function metricList(metrics: Readonly<Record<string, number>>): string {
  const weight = (name: string): number =>
    Number(!name.includes("accuracy")) + Number(!name.includes("accuracy") && !name.includes("loss"));
  return Object.entries(metrics)
    .sort(([one], [other]) => weight(one) - weight(other) || one.localeCompare(other))
    .slice(0, TOLD_FIRST)
    .map(([name, value]) => `${words(name)} ${readableValue(value)}`)
    .join(", ");
}
