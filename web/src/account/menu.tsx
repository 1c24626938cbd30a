// The person's own corner: who they are, how the page looks, their password, and the way out.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useApp } from "../app";
import { Role, type User } from "../gen/labelmesh/auth/v1/users_pb";
import { useAction } from "../ui/action";
import { Dialog, Field, Trouble } from "../ui/parts";

export const ROLE_NAMES: Record<Role, string> = {
  [Role.UNSPECIFIED]: "unknown",
  [Role.ANNOTATOR]: "Annotator",
  [Role.MANAGER]: "Manager",
  [Role.ADMIN]: "Admin",
};

export function ThemeButton(): JSX.Element {
  const { theme } = useApp();
  const dark = theme.scheme.value === "dark";
  return (
    <button type="button" class="quiet" onClick={() => theme.toggle()}>
      {dark ? "Light colours" : "Dark colours"}
    </button>
  );
}

export function AccountMenu(props: { user: User }): JSX.Element {
  const { keeper } = useApp();
  const [open, setOpen] = useState(false);
  const [dialog, setDialog] = useState<"password" | "everywhere" | null>(null);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const signOut = useAction(() => keeper.signOut(false));
  useEffect(() => {
    if (!open) return;
    const outside = (event: Event): void => {
      if (event.target instanceof Node && !box.current?.contains(event.target)) setOpen(false);
    };
    const escaped = (event: KeyboardEvent): void => {
      if (event.key !== "Escape") return;
      setOpen(false);
      button.current?.focus();
    };
    addEventListener("pointerdown", outside);
    addEventListener("focusin", outside);
    addEventListener("keydown", escaped);
    return () => {
      removeEventListener("pointerdown", outside);
      removeEventListener("focusin", outside);
      removeEventListener("keydown", escaped);
    };
  }, [open]);
  const shown = props.user.displayName || props.user.name;
  const choose = (what: "password" | "everywhere"): void => {
    setOpen(false);
    // The dialog gives the focus back to where it was: that must be something that is still there.
    button.current?.focus();
    setDialog(what);
  };
  return (
    <div class="account" ref={box}>
      <button
        ref={button}
        type="button"
        class="account-button"
        aria-expanded={open}
        aria-controls="account-menu"
        onClick={() => setOpen(!open)}
      >
        <span class="avatar" aria-hidden="true">
          {shown.charAt(0).toUpperCase()}
        </span>
        <span class="account-name">{shown}</span>
        <span class="unseen">, account menu</span>
      </button>
      <div id="account-menu" class="menu" hidden={!open}>
        <p class="menu-who">
          <strong>{props.user.name}</strong>
          <span>{ROLE_NAMES[props.user.role]}</span>
        </p>
        <ThemeButton />
        <button type="button" class="quiet" onClick={() => choose("password")}>
          Change password
        </button>
        <button type="button" class="quiet" onClick={() => choose("everywhere")}>
          Sign out everywhere
        </button>
        <button type="button" class="quiet" disabled={signOut.busy} onClick={() => void signOut.run()}>
          Sign out
        </button>
        <Trouble problem={signOut.problem} />
      </div>
      {dialog === "password" && <PasswordDialog onClose={() => setDialog(null)} />}
      {dialog === "everywhere" && <EverywhereDialog onClose={() => setDialog(null)} />}
    </div>
  );
}

function EverywhereDialog(props: { onClose: () => void }): JSX.Element {
  const { keeper } = useApp();
  const leave = useAction(() => keeper.signOut(true));
  return (
    <Dialog title="Sign out everywhere?" class="narrow" onClose={props.onClose}>
      <p class="lead">Every session of your account ends now, in all browsers and programs you signed in from, this one included.</p>
      <Trouble problem={leave.problem} />
      <div class="actions">
        <button type="button" onClick={props.onClose}>
          Cancel
        </button>
        <button type="button" class="primary" disabled={leave.busy} onClick={() => void leave.run()}>
          Sign out everywhere
        </button>
      </div>
    </Dialog>
  );
}

function PasswordDialog(props: { onClose: () => void }): JSX.Element {
  const { mesh } = useApp();
  const [oldPassword, setOld] = useState("");
  const [newPassword, setNew] = useState("");
  const [again, setAgain] = useState("");
  const [done, setDone] = useState(false);
  const differ = again !== "" && again !== newPassword;
  const change = useAction(async () => {
    await mesh.users.changePassword({ oldPassword, newPassword });
    setDone(true);
  });
  if (done) {
    return (
      <Dialog title="Password changed" class="narrow" onClose={props.onClose}>
        <p class="lead">Your other sessions have ended; this one goes on.</p>
        <div class="actions">
          <button type="button" class="primary" onClick={props.onClose}>
            Done
          </button>
        </div>
      </Dialog>
    );
  }
  const fields = change.problem?.fields;
  return (
    <Dialog title="Change password" class="narrow" onClose={props.onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (!differ) void change.run();
        }}
      >
        <Field
          label="Current password"
          type="password"
          required
          maxLength={256}
          autocomplete="current-password"
          value={oldPassword}
          error={fields?.get("old_password")}
          onInput={(event) => setOld(event.currentTarget.value)}
        />
        <Field
          label="New password"
          type="password"
          required
          maxLength={256}
          autocomplete="new-password"
          hint="At least 10 characters, not a common one, without your name."
          value={newPassword}
          error={fields?.get("new_password")}
          onInput={(event) => setNew(event.currentTarget.value)}
        />
        <Field
          label="New password again"
          type="password"
          required
          maxLength={256}
          autocomplete="new-password"
          value={again}
          error={differ ? "The two are not the same." : undefined}
          onInput={(event) => setAgain(event.currentTarget.value)}
        />
        <Trouble problem={fields?.size ? null : change.problem} />
        <div class="actions">
          <button type="button" onClick={props.onClose}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={change.busy || differ}>
            Change password
          </button>
        </div>
      </form>
    </Dialog>
  );
}
