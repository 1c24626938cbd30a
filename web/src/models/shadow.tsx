// What the shadow calls showed: where another version would have answered differently.
import type { JSX } from "preact";
import { useApp } from "../app";
import type { ShadowReport } from "../gen/labelmesh/inference/v1/models_pb";
import { readableMs } from "../predict/timing";
import { durationMs, readableTime } from "../rpc/time";
import { useLoaded } from "../ui/loaded";
import { count, percent, ScrollTable, several, Trouble } from "../ui/parts";
import { readableValue } from "../ui/scales";
import { usePolling } from "../ui/watching";

const EVERY_MS = 10_000;

/** Nothing at all while no shadow call was ever made. */
export function ShadowReports(props: { model: string; changes: number }): JSX.Element | null {
  const { mesh } = useApp();
  const { model } = props;
  const report = useLoaded((signal) => mesh.models.getShadowReport({ model }, { signal }), [model, props.changes]);
  usePolling(report.again, EVERY_MS);
  const reports = report.value?.reports ?? [];
  const dropped = report.value?.droppedCount ?? 0n;
  if (report.value && reports.length === 0) return null;
  if (!report.value && !report.problem) return null;
  return (
    <section class="panel" aria-labelledby="shadow-heading">
      <h2 id="shadow-heading">What the shadow showed</h2>
      <Trouble problem={report.value ? null : report.problem} />
      {reports.map((one) => (
        <Pair key={`${one.version} ${one.shadowVersion}`} report={one} />
      ))}
      {dropped > 0n && <p class="quiet-text">{several(dropped, "shadow call")} left out because too many waited.</p>}
    </section>
  );
}

function Pair(props: { report: ShadowReport }): JSX.Element {
  const { report } = props;
  const calls = Number(report.calls);
  const [own, shadow] = [durationMs(report.medianLatency), durationMs(report.shadowMedianLatency)];
  return (
    <article class="stack">
      <h3>
        Version {String(report.version)} and its shadow, version {String(report.shadowVersion)}
      </h3>
      <p>
        {calls > 0 ? `${percent(Number(report.agreeing) / calls)} of ${several(calls, "pair")} agree` : "No pair compared yet"}
        {report.failed > 0n && `, ${several(report.failed, "shadow call")} failed`}. Scores differ by{" "}
        {readableValue(report.meanScoreDifference)} on average
        {own !== null && shadow !== null && `; half of the calls took less than ${readableMs(own)}, of the shadow's ${readableMs(shadow)}`}.
      </p>
      {report.differences.length > 0 && (
        <details>
          <summary>{count(report.differences.length)} differences</summary>
          <ScrollTable label={`Where versions ${report.version} and ${report.shadowVersion} disagree`}>
            <thead>
              <tr>
                <th scope="col">When</th>
                <th scope="col">Version {String(report.version)}</th>
                <th scope="col">Version {String(report.shadowVersion)}</th>
              </tr>
            </thead>
            <tbody>
              {report.differences.map((one) => (
                <tr key={one.predictionId}>
                  <th scope="row">{readableTime(one.createTime)}</th>
                  <td>{one.answer}</td>
                  <td>{one.shadowAnswer}</td>
                </tr>
              ))}
            </tbody>
          </ScrollTable>
        </details>
      )}
    </article>
  );
}
