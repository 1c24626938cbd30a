// A model's versions: can they answer, how good are they, what do people say of their answers.
import type { JSX } from "preact";
import { type Model, type ModelVersion, VersionState } from "../gen/labelmesh/inference/v1/models_pb";
import { readableTime } from "../rpc/time";
import { count, percent, ScrollTable } from "../ui/parts";
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
        <ScrollTable label="Versions">
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
      <td class="number">{good ? percent(good.value) : "–"}</td>
      <td class="number">{count(version.predictionsCount)}</td>
      <td class="number">
        {right === null ? "–" : percent(right)}
        {right !== null && <span class="second-line">of {count(version.feedbackCount)} judged</span>}
      </td>
      <td>{version.registerTime ? readableTime(version.registerTime) : "not registered"}</td>
    </tr>
  );
}

/** One line for each metric over the versions, those of one kind in one plot. */
export function metricPlots(versions: readonly ModelVersion[]): { readonly title: string; readonly series: Series[] }[] {
  const ascending = [...versions].sort((one, other) => Number(one.version - other.version));
  const names = [...new Set(ascending.flatMap((version) => Object.keys(version.metrics)))].sort();
  const seriesOf = (name: string): Series => ({
    name: words(name),
    points: ascending.flatMap((version) => {
      const value = version.metrics[name];
      return value === undefined ? [] : [{ x: Number(version.version), y: value }];
    }),
  });
  const judged: Series = {
    name: "Found right by people",
    points: ascending.flatMap((version) => {
      const right = foundRight(version);
      return right === null ? [] : [{ x: Number(version.version), y: right }];
    }),
  };
  const accuracies = [...names.filter((name) => name.includes("accuracy")).map(seriesOf), judged].filter((one) => one.points.length > 0);
  const losses = names.filter((name) => name.includes("loss")).map(seriesOf);
  const others = names.filter((name) => !name.includes("accuracy") && !name.includes("loss"));
  return [
    ...(accuracies.length > 0 ? [{ title: "Accuracy", series: accuracies.slice(0, 4) }] : []),
    ...(losses.length > 0 ? [{ title: "Loss", series: losses.slice(0, 4) }] : []),
    ...others.map((name) => ({ title: words(name), series: [seriesOf(name)] })),
  ];
}

export function Metrics(props: { model: Model }): JSX.Element | null {
  const plots = metricPlots(props.model.versions);
  if (plots.length === 0) return null;
  const [first, more] = [plots.slice(0, 4), plots.slice(4)];
  return (
    <section class="panel" aria-labelledby="metrics-heading">
      <h2 id="metrics-heading">Over the versions</h2>
      <div class="plots">
        {first.map((plot) => (
          <Plot key={plot.title} title={plot.title} across="version" series={plot.series} />
        ))}
      </div>
      {more.length > 0 && (
        <details>
          <summary>{more.length} more</summary>
          <div class="plots">
            {more.map((plot) => (
              <Plot key={plot.title} title={plot.title} across="version" series={plot.series} />
            ))}
          </div>
        </details>
      )}
    </section>
  );
}

/** What a metric was, for lists of a few. */
export function metricList(metrics: Readonly<Record<string, number>>): string {
  return Object.entries(metrics)
    .sort(([one], [other]) => one.localeCompare(other))
    .map(([name, value]) => `${words(name)} ${readableValue(value)}`)
    .join(", ");
}
