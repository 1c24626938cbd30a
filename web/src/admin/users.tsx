// Accounts of people, for admins.
import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { ROLE_NAMES } from "../account/menu";
import { useApp } from "../app";
import { Role, type User } from "../gen/labelmesh/auth/v1/users_pb";
import { ProjectAccess } from "../gen/labelmesh/labeling/v1/projects_pb";
import { readAll } from "../rpc/pages";
import { readableTime } from "../rpc/time";
import { randomUuid } from "../session/tabs";
import { useAction } from "../ui/action";
import { useLoaded } from "../ui/loaded";
import { Dialog, Field, ScrollTable, Select, Trouble, Waiting } from "../ui/parts";

const ROLE_OPTIONS = [Role.ANNOTATOR, Role.MANAGER, Role.ADMIN].map((role) => ({ value: String(role), text: ROLE_NAMES[role] }));

type Open = { readonly what: "new" } | { readonly what: "edit" | "password"; readonly user: User };

export function UsersSection(props: { self: User }): JSX.Element {
  const { mesh } = useApp();
  const [query, setQuery] = useState("");
  const [pages, setPages] = useState(1);
  const [open, setOpen] = useState<Open | null>(null);
  const users = useLoaded(
    (signal) =>
      readAll(
        (pageToken) => mesh.users.listUsers({ pageSize: 100, pageToken, query: query.trim() }, { signal }),
        (reply) => reply.users,
        pages * 100,
      ),
    [query, pages],
  );
  const close = (): void => setOpen(null);
  return (
    <section aria-labelledby="users-heading">
      <header class="page-head">
        <h1 id="users-heading">People</h1>
        <button type="button" class="primary" onClick={() => setOpen({ what: "new" })}>
          New account
        </button>
      </header>
      <Field
        label="Search"
        type="search"
        value={query}
        maxLength={100}
        placeholder="Name"
        onInput={(event) => setQuery(event.currentTarget.value)}
      />
      <Trouble problem={users.problem} />
      {!users.value && !users.problem && <Waiting what="Loading accounts…" />}
      {users.value && (
        <ScrollTable label="Accounts">
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">Role</th>
              <th scope="col">State</th>
              <th scope="col">Last sign-in</th>
              <th scope="col">
                <span class="unseen">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {users.value.map((user) => (
              <tr key={user.id}>
                <th scope="row">
                  {user.name}
                  {user.displayName && user.displayName !== user.name && <span class="second-line">{user.displayName}</span>}
                </th>
                <td>{ROLE_NAMES[user.role]}</td>
                <td>
                  <span class={`badge ${user.disabled ? "badge-closed" : "badge-done"}`}>{user.disabled ? "disabled" : "active"}</span>
                </td>
                <td>{user.lastSignInTime ? readableTime(user.lastSignInTime) : "never"}</td>
                <td class="row-actions">
                  <button type="button" aria-label={`Edit ${user.name}`} onClick={() => setOpen({ what: "edit", user })}>
                    Edit
                  </button>
                  <button type="button" aria-label={`Set the password of ${user.name}`} onClick={() => setOpen({ what: "password", user })}>
                    Password
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </ScrollTable>
      )}
      {users.value?.length === pages * 100 && (
        <button type="button" onClick={() => setPages(pages + 1)}>
          Show more
        </button>
      )}
      {open?.what === "new" && <NewUser onClose={close} onDone={users.again} />}
      {open?.what === "edit" && <EditUser user={open.user} self={props.self} onClose={close} onDone={users.again} />}
      {open?.what === "password" && <SetPassword user={open.user} onClose={close} />}
    </section>
  );
}

function ProjectChoice(props: { chosen: readonly string[]; onChange: (ids: string[]) => void }): JSX.Element | null {
  const { mesh } = useApp();
  const projects = useLoaded(
    (signal) =>
      readAll(
        (pageToken) => mesh.projects.listProjects({ pageSize: 200, pageToken }, { signal }),
        (reply) => reply.projects,
      ),
    [],
  );
  const restricted = projects.value?.filter((one) => one.access === ProjectAccess.RESTRICTED) ?? [];
  if (restricted.length === 0) return null;
  return (
    <fieldset class="checks">
      <legend>Projects for selected people</legend>
      {restricted.map((project) => (
        <label key={project.id}>
          <input
            type="checkbox"
            checked={props.chosen.includes(project.id)}
            onChange={(event) =>
              props.onChange(event.currentTarget.checked ? [...props.chosen, project.id] : props.chosen.filter((id) => id !== project.id))
            }
          />
          {project.displayName}
        </label>
      ))}
    </fieldset>
  );
}

function NewUser(props: { onClose: () => void; onDone: () => void }): JSX.Element {
  const { mesh } = useApp();
  const requestId = useMemo(randomUuid, []);
  const [name, setName] = useState("");
  const [displayName, setDisplayName] = useState("");
  const [password, setPassword] = useState("");
  const [role, setRole] = useState(String(Role.ANNOTATOR));
  const [projectIds, setProjectIds] = useState<string[]>([]);
  const create = useAction(async () => {
    await mesh.users.createUser({ requestId, name, displayName, password, role: Number(role), projectIds });
    props.onDone();
    props.onClose();
  });
  const fields = create.problem?.fields;
  return (
    <Dialog title="New account" class="narrow" onClose={props.onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void create.run();
        }}
      >
        <Field
          label="Name"
          required
          maxLength={64}
          pattern="[A-Za-z0-9._@+\-]+"
          autocapitalize="none"
          autocomplete="off"
          hint="To sign in with: letters, digits and . - _ @ +"
          value={name}
          error={fields?.get("name")}
          onInput={(event) => setName(event.currentTarget.value)}
        />
        <Field
          label="Full name"
          maxLength={200}
          autocomplete="off"
          value={displayName}
          error={fields?.get("display_name")}
          onInput={(event) => setDisplayName(event.currentTarget.value)}
        />
        <Field
          label="Password"
          type="password"
          required
          maxLength={256}
          autocomplete="new-password"
          hint="At least 10 characters, not a common one, without the name."
          value={password}
          error={fields?.get("password")}
          onInput={(event) => setPassword(event.currentTarget.value)}
        />
        <Select label="Role" value={role} options={ROLE_OPTIONS} onChoose={setRole} />
        {role === String(Role.ANNOTATOR) && <ProjectChoice chosen={projectIds} onChange={setProjectIds} />}
        <Trouble problem={fields?.size ? null : create.problem} />
        <div class="actions">
          <button type="button" onClick={props.onClose}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={create.busy}>
            Make the account
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function EditUser(props: { user: User; self: User; onClose: () => void; onDone: () => void }): JSX.Element {
  const { mesh } = useApp();
  const { user } = props;
  const [displayName, setDisplayName] = useState(user.displayName);
  const [role, setRole] = useState(String(user.role));
  const [disabled, setDisabled] = useState(user.disabled);
  const [projectIds, setProjectIds] = useState<string[]>([...user.projectIds]);
  // After a refusal the list may be what is out of date: the next attempt starts from the current state.
  const close = (): void => {
    if (save.problem) props.onDone();
    props.onClose();
  };
  const save = useAction(async () => {
    await mesh.users.updateUser({
      userId: user.id,
      displayName,
      role: Number(role),
      disabled,
      projectIds,
      updateMask: { paths: ["display_name", "role", "disabled", "project_ids"] },
      etag: user.etag,
    });
    props.onDone();
    props.onClose();
  });
  return (
    <Dialog title={user.name} class="narrow" onClose={close}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void save.run();
        }}
      >
        <Field label="Full name" maxLength={200} value={displayName} onInput={(event) => setDisplayName(event.currentTarget.value)} />
        <Select label="Role" value={role} options={ROLE_OPTIONS} onChoose={setRole} />
        {role === String(Role.ANNOTATOR) && <ProjectChoice chosen={projectIds} onChange={setProjectIds} />}
        <label class="check">
          <input
            type="checkbox"
            checked={disabled}
            disabled={user.id === props.self.id}
            onChange={(event) => setDisabled(event.currentTarget.checked)}
          />
          Disabled: may not sign in, all sessions end, API keys stop working
        </label>
        <Trouble problem={save.problem} />
        <div class="actions">
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={save.busy}>
            Save
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function SetPassword(props: { user: User; onClose: () => void }): JSX.Element {
  const { mesh } = useApp();
  const [password, setPassword] = useState("");
  const save = useAction(async () => {
    await mesh.users.setPassword({ userId: props.user.id, password });
    props.onClose();
  });
  const fields = save.problem?.fields;
  return (
    <Dialog title={`New password for ${props.user.name}`} class="narrow" onClose={props.onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void save.run();
        }}
      >
        <p class="lead">All sessions of the account end.</p>
        <Field
          label="New password"
          type="password"
          required
          maxLength={256}
          autocomplete="new-password"
          hint="At least 10 characters, not a common one, without the name."
          value={password}
          error={fields?.get("password")}
          onInput={(event) => setPassword(event.currentTarget.value)}
        />
        <Trouble problem={fields?.size ? null : save.problem} />
        <div class="actions">
          <button type="button" onClick={props.onClose}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={save.busy}>
            Set the password
          </button>
        </div>
      </form>
    </Dialog>
  );
}
