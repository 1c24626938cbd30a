// Who did what, newest first.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useApp } from "../app";
import type { AuditEvent } from "../gen/labelmesh/auth/v1/security_pb";
import { readAll } from "../rpc/pages";
import { readableTime } from "../rpc/time";
import { useAction } from "../ui/action";
import { useLoaded } from "../ui/loaded";
import { ScrollTable, Select, Trouble, Waiting } from "../ui/parts";

const KINDS = [
  { value: "", text: "Everything" },
  { value: "session.", text: "Sessions" },
  { value: "user.", text: "Accounts" },
  { value: "api_key.", text: "API keys" },
  { value: "signing_key.", text: "Signing keys" },
];
const PAGE = 50;

export function AuditSection(): JSX.Element {
  const { mesh } = useApp();
  const [actionPrefix, setPrefix] = useState("");
  const first = useLoaded((signal) => mesh.security.listAuditEvents({ pageSize: PAGE, actionPrefix }, { signal }), [actionPrefix]);
  const names = useLoaded(async (signal) => {
    const users = await readAll(
      (pageToken) => mesh.users.listUsers({ pageSize: 500, pageToken }, { signal }),
      (reply) => reply.users,
    );
    return new Map(users.map((user) => [`user:${user.id}`, user.name]));
  }, []);
  const nameOf = (who: string): string =>
    names.value?.get(who) ?? who.replace(/^(\w+):([0-9a-f]{8})[0-9a-f-]+$/, "$1 $2…").replace("_", " ");
  return (
    <section aria-labelledby="audit-heading">
      <header class="page-head">
        <h1 id="audit-heading">Audit log</h1>
        <Select label="Show" bare value={actionPrefix} options={KINDS} onChoose={setPrefix} />
      </header>
      <Trouble problem={first.problem} />
      {!first.value && !first.problem && <Waiting what="Loading…" />}
      {first.value && (
        <Events
          key={`${actionPrefix} ${first.value.events[0]?.id ?? ""}`}
          first={first.value.events}
          token={first.value.nextPageToken}
          actionPrefix={actionPrefix}
          nameOf={nameOf}
        />
      )}
    </section>
  );
}

function Events(props: {
  first: readonly AuditEvent[];
  token: string;
  actionPrefix: string;
  nameOf: (who: string) => string;
}): JSX.Element {
  const { mesh } = useApp();
  const [events, setEvents] = useState(props.first);
  const [pageToken, setToken] = useState(props.token);
  const more = useAction(async () => {
    const reply = await mesh.security.listAuditEvents({ pageSize: PAGE, pageToken, actionPrefix: props.actionPrefix });
    setEvents([...events, ...reply.events]);
    setToken(reply.nextPageToken);
  });
  if (events.length === 0) return <p class="quiet-text">Nothing happened yet.</p>;
  return (
    <>
      <ScrollTable label="Events">
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">Who</th>
            <th scope="col">What</th>
            <th scope="col">To whom</th>
            <th scope="col">From</th>
            <th scope="col">More</th>
          </tr>
        </thead>
        <tbody>
          {events.map((event) => (
            <tr key={String(event.id)}>
              <td class="nowrap">{readableTime(event.time)}</td>
              <td>{props.nameOf(event.actor)}</td>
              <td>
                <code>{event.action}</code>
              </td>
              <td>{event.target === event.actor ? "" : props.nameOf(event.target)}</td>
              <td>{event.address}</td>
              <td>
                {Object.entries(event.details)
                  .map(([name, value]) => `${name}: ${value}`)
                  .join(", ")}
              </td>
            </tr>
          ))}
        </tbody>
      </ScrollTable>
      <Trouble problem={more.problem} />
      {pageToken !== "" && (
        <button type="button" disabled={more.busy} onClick={() => void more.run()}>
          Show older
        </button>
      )}
    </>
  );
}
