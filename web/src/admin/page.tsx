// Administration: accounts, keys, what happened, and the keys that tokens are signed with.
import type { JSX } from "preact";
import { Role, type User } from "../gen/labelmesh/auth/v1/users_pb";
import { type AdminSection, addressOf } from "../router";
import { includes } from "../session/keeper";
import { ApiKeysSection } from "./apikeys";
import { AuditSection } from "./audit";
import { SigningSection } from "./signing";
import { UsersSection } from "./users";

const SECTIONS: readonly { section: AdminSection; name: string; role: Role }[] = [
  { section: "users", name: "People", role: Role.ADMIN },
  { section: "keys", name: "API keys", role: Role.MANAGER },
  { section: "audit", name: "Audit log", role: Role.ADMIN },
  { section: "signing", name: "Signing keys", role: Role.ADMIN },
];

export function AdminPage(props: { section: AdminSection; user: User }): JSX.Element {
  return (
    <>
      <nav class="sub-tabs" aria-label="Administration">
        {SECTIONS.filter((one) => includes(props.user.role, one.role)).map((one) => (
          <a
            key={one.section}
            href={addressOf({ at: "admin", section: one.section })}
            aria-current={one.section === props.section ? "page" : undefined}
          >
            {one.name}
          </a>
        ))}
      </nav>
      {props.section === "users" && <UsersSection self={props.user} />}
      {props.section === "keys" && <ApiKeysSection />}
      {props.section === "audit" && <AuditSection />}
      {props.section === "signing" && <SigningSection />}
    </>
  );
}
