// Signing in: as a page of its own, and as a dialog over the work when the session ended under somebody's hands.
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ThemeButton } from "../account/menu";
import { useApp } from "../app";
import type { User } from "../gen/labelmesh/auth/v1/users_pb";
import { useAction } from "../ui/action";
import { Mark } from "../ui/mark";
import { Dialog, Field, Trouble } from "../ui/parts";
import type { Ending } from "./keeper";

function useCountdown(ms: number | null, started: unknown): number {
  // Known in the very render that shows the refusal: the button must not be there to be pressed for a moment.
  const end = useMemo(() => (ms === null ? null : Date.now() + ms), [ms, started]);
  const [, tick] = useState(0);
  useEffect(() => {
    if (end === null) return;
    const timer = setInterval(() => tick((ticks) => ticks + 1), 250);
    return () => clearInterval(timer);
  }, [end]);
  return end === null ? 0 : Math.max(0, Math.ceil((end - Date.now()) / 1000));
}

function SignInForm(props: { name?: string; submitText: string }): JSX.Element {
  const { keeper } = useApp();
  const form = useRef<HTMLFormElement>(null);
  const [name, setName] = useState(props.name ?? "");
  const [password, setPassword] = useState("");
  const signIn = useAction(async () => keeper.signIn(name.trim(), password));
  const wait = useCountdown(signIn.problem?.retryAfterMs ?? null, signIn.problem);
  const throttled = wait > 0 && !signIn.problem?.transient;
  useEffect(() => {
    const wanted = form.current?.elements.namedItem(name === "" ? "name" : "password");
    // After the dialog around it has opened and put the focus on its first field.
    const timer = setTimeout(() => wanted instanceof HTMLInputElement && wanted.focus());
    return () => clearTimeout(timer);
  }, []);
  return (
    <form
      ref={form}
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        if (throttled) return;
        void signIn.run().then((done) => {
          if (done) return;
          const field = form.current?.elements.namedItem("password");
          if (field instanceof HTMLInputElement) field.select();
        });
      }}
    >
      <Field
        label="Name"
        name="name"
        value={name}
        required
        maxLength={64}
        autocomplete="username"
        autocapitalize="none"
        spellcheck={false}
        onInput={(event) => setName(event.currentTarget.value)}
      />
      <Field
        label="Password"
        name="password"
        type="password"
        value={password}
        required
        maxLength={256}
        autocomplete="current-password"
        onInput={(event) => setPassword(event.currentTarget.value)}
      />
      <Trouble problem={signIn.problem}>{throttled && <span> You can try again in {wait} s.</span>}</Trouble>
      <button type="submit" class="primary wide" disabled={signIn.busy || throttled}>
        {signIn.busy ? "Signing in…" : throttled ? `Wait ${wait} s` : props.submitText}
      </button>
    </form>
  );
}

export function SignInPage(): JSX.Element {
  return (
    <div class="sign-in">
      <main class="sign-in-card">
        <div class="sign-in-head">
          <Mark />
          <h1>labelmesh</h1>
        </div>
        <SignInForm submitText="Sign in" />
      </main>
      <div class="sign-in-foot">
        <ThemeButton />
      </div>
    </div>
  );
}

const WHY: Record<Ending, string> = {
  idle: "You were signed out because nothing happened for a while.",
  expired: "Your session has ended.",
  revoked: "Your session was ended from elsewhere.",
  elsewhere: "You signed out in another tab.",
};

/** Over the page that was interrupted; the same person goes on where they were. */
export function SignInAgain(props: { user: User; why: Ending }): JSX.Element {
  const { keeper } = useApp();
  return (
    <Dialog title="Sign in to go on" class="narrow" describedBy="why-signed-out">
      <p id="why-signed-out" class="lead">
        {WHY[props.why]} Your work is kept: sign in as <strong>{props.user.name}</strong> and go on where you were.
      </p>
      <SignInForm name={props.user.name} submitText="Sign in and go on" />
      <button type="button" class="quiet wide" onClick={() => keeper.leave()}>
        Leave this page
      </button>
    </Dialog>
  );
}
