// The keys that session tokens are signed with.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useApp } from "../app";
import type { SigningKey } from "../gen/labelmesh/auth/v1/security_pb";
import { readableTime, timeMs } from "../rpc/time";
import { randomUuid } from "../session/tabs";
import { useAction } from "../ui/action";
import { useLoaded } from "../ui/loaded";
import { Dialog, ScrollTable, Trouble, Waiting } from "../ui/parts";

function stateOf(key: SigningKey, now: number): { text: string; good: boolean } {
  if ((timeMs(key.activateTime) ?? 0) > now) return { text: "published, signs soon", good: true };
  const retires = timeMs(key.retireTime);
  if (retires === null || retires > now) return { text: "signs", good: true };
  return { text: "verifies only", good: false };
}

export function SigningSection(): JSX.Element {
  const { mesh } = useApp();
  /** The id of the request while the person is asked: trying again does not make a second key. */
  const [asking, setAsking] = useState<string | null>(null);
  const keys = useLoaded(async (signal) => (await mesh.security.listSigningKeys({}, { signal })).signingKeys, []);
  const rotate = useAction(async (requestId: string) => {
    await mesh.security.rotateSigningKey({ requestId });
    setAsking(null);
    keys.again();
  });
  const now = Date.now();
  return (
    <section aria-labelledby="signing-heading">
      <header class="page-head">
        <h1 id="signing-heading">Signing keys</h1>
        <button type="button" class="primary" onClick={() => setAsking(randomUuid())}>
          Rotate
        </button>
      </header>
      <p class="lead">Tokens of sessions are signed with these. A new key takes over after an overlap; open sessions stay open.</p>
      <Trouble problem={keys.problem} />
      {!keys.value && !keys.problem && <Waiting what="Loading keys…" />}
      {keys.value && (
        <ScrollTable label="List of signing keys">
          <thead>
            <tr>
              <th scope="col">Key</th>
              <th scope="col">State</th>
              <th scope="col">Signs from</th>
              <th scope="col">Signs until</th>
              <th scope="col">Verifies until</th>
            </tr>
          </thead>
          <tbody>
            {keys.value.map((key) => {
              const state = stateOf(key, now);
              return (
                <tr key={key.keyId}>
                  <th scope="row">
                    <code>{key.keyId}</code>
                  </th>
                  <td>
                    <span class={`badge ${state.good ? "badge-done" : ""}`}>{state.text}</span>
                  </td>
                  <td>{readableTime(key.activateTime)}</td>
                  <td>{readableTime(key.retireTime)}</td>
                  <td>{readableTime(key.expireTime)}</td>
                </tr>
              );
            })}
          </tbody>
        </ScrollTable>
      )}
      {asking !== null && (
        <Dialog title="Make a new signing key?" class="narrow" onClose={() => setAsking(null)}>
          <p class="lead">It is published at once and signs after an overlap, when every part has fetched it. Nobody is signed out.</p>
          <Trouble problem={rotate.problem} />
          <div class="actions">
            <button type="button" onClick={() => setAsking(null)}>
              Cancel
            </button>
            <button type="button" class="primary" disabled={rotate.busy} onClick={() => void rotate.run(asking)}>
              Make it
            </button>
          </div>
        </Dialog>
      )}
    </section>
  );
}
