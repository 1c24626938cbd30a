// Every change of aliases and traffic, and the way back.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useNames } from "../account/names";
import { useApp } from "../app";
import type { Routing } from "../gen/labelmesh/inference/v1/models_pb";
import { readableTime } from "../rpc/time";
import { randomUuid } from "../session/tabs";
import { useAction } from "../ui/action";
import { useLoaded } from "../ui/loaded";
import { percent, ScrollTable, Trouble } from "../ui/parts";
import { sharesOf } from "./traffic";

const SHOWN = 20;

/** A routing in a line: aliases with their versions and shares. */
export function inALine(routing: Routing): string {
  const shares = new Map(sharesOf(routing.aliases, routing.splits).map((one) => [one.alias, one.percent]));
  const aliases = routing.aliases.map((one) => {
    const share = shares.get(one.name) ?? 0;
    return `${one.name} → ${one.version}${share > 0 ? `, ${share} %` : ""}`;
  });
  if (routing.shadow && routing.shadow.alias !== "" && routing.shadow.share > 0)
    aliases.push(`shadow ${routing.shadow.alias}, ${percent(routing.shadow.share)}`);
  return aliases.join("; ");
}

export function Revisions(props: { model: string; revision: bigint; manager: boolean; onChanged: () => void }): JSX.Element {
  const { mesh } = useApp();
  const { model, revision, manager } = props;
  const nameOf = useNames();
  const [back, setBack] = useState<{ to: bigint; from: bigint } | null>(null);
  const list = useLoaded((signal) => mesh.models.listRoutings({ model, pageSize: SHOWN }, { signal }), [model, revision]);
  const roll = useAction(async (to: bigint, from: bigint) => {
    const reply = await mesh.models.rollbackRouting({ requestId: randomUuid(), model, toRevision: to });
    setBack(reply.routing ? { to, from } : null);
    props.onChanged();
  });
  const routings = list.value?.routings ?? [];
  return (
    <section class="panel" aria-labelledby="revisions-heading">
      <h2 id="revisions-heading">Changes</h2>
      <Trouble problem={list.value ? null : list.problem} />
      <p role="status" class={back ? "notice" : "unseen"} data-testid="rolled-back">
        {back && (
          <>
            Rolled back to revision {String(back.to)}.{" "}
            <button type="button" class="link" disabled={roll.busy} onClick={() => void roll.run(back.from, back.to)}>
              Undo
            </button>
          </>
        )}
      </p>
      <Trouble problem={roll.problem} />
      {routings.length === 0 && list.value && <p class="quiet-text">Nothing was changed yet.</p>}
      {routings.length > 0 && (
        <ScrollTable label="Changes of aliases and traffic">
          <thead>
            <tr>
              <th scope="col">Revision</th>
              <th scope="col">What</th>
              <th scope="col">Who and when</th>
              {manager && (
                <th scope="col">
                  <span class="unseen">Actions</span>
                </th>
              )}
            </tr>
          </thead>
          <tbody>
            {routings.map((one) => (
              <tr key={String(one.revision)} data-revision={String(one.revision)}>
                <th scope="row">{String(one.revision)}</th>
                <td>
                  {one.change}
                  <span class="second-line">{inALine(one)}</span>
                </td>
                <td>
                  {one.changedBy !== "" && nameOf(one.changedBy)}
                  <span class="second-line">{readableTime(one.changeTime)}</span>
                </td>
                {manager && (
                  <td class="row-actions">
                    {one.revision === revision ? (
                      <span class="badge badge-live">current</span>
                    ) : (
                      <button
                        type="button"
                        aria-label={`Roll back to revision ${one.revision}`}
                        disabled={roll.busy}
                        onClick={() => void roll.run(one.revision, revision)}
                      >
                        Roll back
                      </button>
                    )}
                  </td>
                )}
              </tr>
            ))}
          </tbody>
        </ScrollTable>
      )}
    </section>
  );
}
