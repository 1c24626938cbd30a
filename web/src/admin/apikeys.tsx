// Keys of machine clients: made, shown once, revoked.
import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { useApp } from "../app";
import type { ApiKey } from "../gen/labelmesh/auth/v1/api_keys_pb";
import { readAll } from "../rpc/pages";
import { readableTime, timeMs } from "../rpc/time";
import { randomUuid } from "../session/tabs";
import { useAction } from "../ui/action";
import { useLoaded } from "../ui/loaded";
import { Dialog, Field, ScrollTable, Select, Trouble, Waiting } from "../ui/parts";

const SCOPES = [
  { scope: "labeling.read", text: "Read projects, images, annotations and statistics" },
  { scope: "labeling.annotate", text: "Label, and put labels of models" },
  { scope: "labeling.import", text: "Add images" },
  { scope: "labeling.prioritize", text: "Set priorities" },
  { scope: "labeling.manage", text: "Make and change projects" },
  { scope: "inference.read", text: "Read models, trainings and stored predictions" },
  { scope: "inference.predict", text: "Ask models, and say whether they were right" },
  { scope: "inference.manage", text: "Register models, train, move aliases and traffic" },
  { scope: "augment.read", text: "Read transforms and saved pipelines, and check pipelines" },
  { scope: "augment.apply", text: "Augment pictures" },
  { scope: "augment.manage", text: "Save and delete pipelines of projects" },
];
const DAY_MS = 86_400_000;
const LIFETIMES = [
  { value: "30", text: "30 days" },
  { value: "90", text: "90 days" },
  { value: "365", text: "A year" },
  { value: "0", text: "No end" },
];

export function ApiKeysSection(): JSX.Element {
  const { mesh } = useApp();
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<ApiKey | null>(null);
  const keys = useLoaded(
    (signal) =>
      readAll(
        (pageToken) => mesh.apiKeys.listApiKeys({ pageSize: 200, pageToken }, { signal }),
        (reply) => reply.apiKeys,
      ),
    [],
  );
  return (
    <section aria-labelledby="keys-heading">
      <header class="page-head">
        <h1 id="keys-heading">API keys</h1>
        <button type="button" class="primary" onClick={() => setMaking(true)}>
          New key
        </button>
      </header>
      <p class="lead">
        For programs that label, import, prioritise, train, ask models or augment pictures. A key can do no more than its owner.
      </p>
      <Trouble problem={keys.problem} />
      {!keys.value && !keys.problem && <Waiting what="Loading keys…" />}
      {keys.value?.length === 0 && <p class="quiet-text">There is no key yet.</p>}
      {keys.value && keys.value.length > 0 && <KeyTable keys={keys.value} onRevoke={setRevoking} />}
      {making && <NewKey onClose={() => setMaking(false)} onDone={keys.again} />}
      {revoking && <RevokeKey apiKey={revoking} onClose={() => setRevoking(null)} onDone={keys.again} />}
    </section>
  );
}

function stateOf(key: ApiKey): "active" | "revoked" | "expired" {
  if (key.revokeTime) return "revoked";
  const expires = timeMs(key.expireTime);
  return expires !== null && expires <= Date.now() ? "expired" : "active";
}

/** What stands in the table: labeling is what most keys are for. */
function shortScope(scope: string): string {
  return scope
    .replace(/^labeling\./, "")
    .replace(/^inference\./, "models: ")
    .replace(/^augment\./, "augmentation: ");
}

function KeyTable(props: { keys: readonly ApiKey[]; onRevoke: (key: ApiKey) => void }): JSX.Element {
  return (
    <ScrollTable label="List of API keys">
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col">Allowed</th>
          <th scope="col">State</th>
          <th scope="col">Expires</th>
          <th scope="col">Last used</th>
          <th scope="col">
            <span class="unseen">Actions</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {props.keys.map((key) => {
          const state = stateOf(key);
          return (
            <tr key={key.id}>
              <th scope="row">
                {key.displayName}
                <code class="second-line">{key.prefix}…</code>
              </th>
              <td>{key.scopes.map(shortScope).join(", ")}</td>
              <td>
                <span class={`badge ${state === "active" ? "badge-done" : "badge-closed"}`}>{state}</span>
              </td>
              <td>{key.expireTime ? readableTime(key.expireTime) : "never"}</td>
              <td>{key.lastUseTime ? readableTime(key.lastUseTime) : "never"}</td>
              <td class="row-actions">
                {state === "active" && (
                  <button type="button" aria-label={`Revoke ${key.displayName}`} onClick={() => props.onRevoke(key)}>
                    Revoke
                  </button>
                )}
              </td>
            </tr>
          );
        })}
      </tbody>
    </ScrollTable>
  );
}

function NewKey(props: { onClose: () => void; onDone: () => void }): JSX.Element {
  const { mesh } = useApp();
  const requestId = useMemo(randomUuid, []);
  const [displayName, setName] = useState("");
  const [scopes, setScopes] = useState<string[]>(["labeling.read"]);
  const [days, setDays] = useState("90");
  const [secret, setSecret] = useState<string | null>(null);
  const [copied, setCopied] = useState(false);
  const create = useAction(async () => {
    const end =
      Number(days) > 0 ? { expireTime: { seconds: BigInt(Math.floor((Date.now() + Number(days) * DAY_MS) / 1000)), nanos: 0 } } : {};
    const reply = await mesh.apiKeys.createApiKey({ requestId, displayName: displayName.trim(), scopes, ...end });
    setSecret(reply.secret);
    props.onDone();
  });
  if (secret !== null) {
    return (
      <Dialog title="Your new key">
        <p class="lead">This is the only time the key is shown. Keep it where secrets belong.</p>
        <p class="secret">
          <code>{secret}</code>
        </p>
        <div class="actions">
          <button
            type="button"
            onClick={() => {
              void navigator.clipboard?.writeText(secret).then(() => setCopied(true));
            }}
          >
            {copied ? "Copied" : "Copy"}
          </button>
          <button type="button" class="primary" onClick={props.onClose}>
            I have kept it
          </button>
        </div>
      </Dialog>
    );
  }
  return (
    <Dialog title="New API key" class="narrow" onClose={props.onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (scopes.length > 0) void create.run();
        }}
      >
        <Field
          label="Name"
          required
          maxLength={200}
          hint="What the key is for, e.g. the program that uses it."
          value={displayName}
          error={create.problem?.fields.get("display_name")}
          onInput={(event) => setName(event.currentTarget.value)}
        />
        <fieldset class="checks">
          <legend>What it may do</legend>
          {SCOPES.map((one) => (
            <label key={one.scope}>
              <input
                type="checkbox"
                checked={scopes.includes(one.scope)}
                onChange={(event) =>
                  setScopes(event.currentTarget.checked ? [...scopes, one.scope] : scopes.filter((scope) => scope !== one.scope))
                }
              />
              {one.text}
            </label>
          ))}
        </fieldset>
        <Select label="It ends after" value={days} options={LIFETIMES} onChoose={setDays} />
        <Trouble problem={create.problem} />
        <div class="actions">
          <button type="button" onClick={props.onClose}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={create.busy || scopes.length === 0}>
            Make the key
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function RevokeKey(props: { apiKey: ApiKey; onClose: () => void; onDone: () => void }): JSX.Element {
  const { mesh } = useApp();
  const revoke = useAction(async () => {
    await mesh.apiKeys.revokeApiKey({ apiKeyId: props.apiKey.id });
    props.onDone();
    props.onClose();
  });
  return (
    <Dialog title={`Revoke “${props.apiKey.displayName}”?`} class="narrow" onClose={props.onClose}>
      <p class="lead">Programs that use it are refused from now on. This cannot be taken back.</p>
      <Trouble problem={revoke.problem} />
      <div class="actions">
        <button type="button" onClick={props.onClose}>
          Cancel
        </button>
        <button type="button" class="primary" disabled={revoke.busy} onClick={() => void revoke.run()}>
          Revoke
        </button>
      </div>
    </Dialog>
  );
}
