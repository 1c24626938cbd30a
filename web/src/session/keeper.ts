// The session of the person at the page: signing in and out, staying signed in by activity, and being signed out without it.
import { Code } from "@connectrpc/connect";
import { computed, signal } from "@preact/signals";
import type { Session } from "../gen/labelmesh/auth/v1/sessions_pb";
import type { Role, User } from "../gen/labelmesh/auth/v1/users_pb";
import type { Mesh } from "../rpc/mesh";
import { problemOf } from "../rpc/problems";
import { durationMs, timeMs } from "../rpc/time";
import { IdleClock } from "./idle";
import type { Tabs } from "./tabs";

export type Ending = "idle" | "revoked" | "elsewhere" | "expired";

export type SessionState =
  /** Not known yet: the server has not been asked, or does not answer. */
  | { readonly phase: "unknown" }
  | { readonly phase: "signed-out" }
  | { readonly phase: "signed-in"; readonly user: User }
  /** The session ended under the person's hands: the page stays as it is behind the sign-in dialog. */
  | { readonly phase: "interrupted"; readonly user: User; readonly why: Ending };

/** What has to happen to the person's work around the end of a session. */
export interface Work {
  /** Holds what is held for longer and so tells the server of activity; false when there is nothing to hold. */
  renew(): Promise<boolean>;
  /** Gives back what is held; nothing further is sent until `goOn`. */
  pause(): Promise<void>;
  /** The same person is back. */
  goOn(): void;
  /** Nothing of this person may remain. */
  forget(): void;
}

const TICK_MS = 500;
/** What is held is given back this long before the session ends, while it still may be. */
const RELEASE_BEFORE_MS = 1500;
/** How long the other tabs have to give back what they hold when the person signs out here. */
const OTHERS_LEAVE_MS = 150;

export class SessionKeeper {
  readonly state = signal<SessionState>({ phase: "unknown" });
  /** Seconds until the session ends, while the person has to be warned; else null. */
  readonly countdown = signal<number | null>(null);
  readonly user = computed(() => {
    const state = this.state.value;
    return state.phase === "signed-in" || state.phase === "interrupted" ? state.user : null;
  });

  /** When the person last did something on this page, ms since the epoch. */
  lastInputAt = 0;

  private clock: IdleClock | null = null;
  private begunAt = 0;
  private endAt: number | null = null;
  private paused = false;
  private ticking: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly mesh: () => Mesh,
    private readonly tabs: Tabs,
    private readonly work: Work,
  ) {
    tabs.listen((news) => {
      if (news.kind === "activity") this.clock?.confirm(news.at);
      else if (news.kind === "leaving") void this.work.pause();
      else if (news.kind === "signed-out") this.ended("elsewhere");
      else void this.look();
    });
  }

  /** Asks the server who is signed in. Retries by itself while the server is away. */
  async look(): Promise<void> {
    for (;;) {
      try {
        let serverNow: number | null = null;
        const reply = await this.mesh().sessions.getSession(
          {},
          {
            onHeader: (headers) => {
              const date = Date.parse(headers.get("date") ?? "");
              serverNow = Number.isNaN(date) ? null : date;
            },
          },
        );
        if (reply.session) this.begin(reply.session, serverNow);
        return;
      } catch (thrown) {
        const problem = problemOf(thrown);
        if (problem.code === Code.Unauthenticated) {
          if (this.state.value.phase === "unknown") this.state.value = { phase: "signed-out" };
          return;
        }
        await this.mesh().link.back(5000);
      }
    }
  }

  /** Signs in. Throws what the server says when it refuses. */
  async signIn(name: string, password: string): Promise<void> {
    const reply = await this.mesh().sessions.signIn({ name, password, useCookie: true });
    if (!reply.session?.user) throw new Error("the server did not say who signed in");
    this.begin(reply.session, null);
    this.tabs.tell({ kind: "signed-in", userId: reply.session.user.id });
  }

  /** Signs out, everywhere if so wished. What is held is given back first. */
  async signOut(everywhere: boolean): Promise<void> {
    this.tabs.tell({ kind: "leaving" });
    await Promise.all([this.work.pause(), new Promise((resolve) => setTimeout(resolve, OTHERS_LEAVE_MS))]);
    try {
      if (everywhere) await this.mesh().sessions.signOutEverywhere({});
      else await this.mesh().sessions.signOut({});
    } catch (thrown) {
      if (problemOf(thrown).code !== Code.Unauthenticated) {
        this.work.goOn();
        throw thrown;
      }
    }
    this.leave();
    this.tabs.tell({ kind: "signed-out" });
  }

  /** The person gave up on coming back from an interruption. */
  leave(): void {
    this.stop();
    this.work.forget();
    this.state.value = { phase: "signed-out" };
  }

  /** The person did something on this page. */
  input(): void {
    if (this.state.value.phase !== "signed-in") return;
    this.lastInputAt = Date.now();
    this.clock?.input(this.lastInputAt);
    if (this.countdown.value !== null) void this.tick();
  }

  /** A call that counts as activity was accepted. */
  confirmed(sentAt: number): void {
    this.clock?.confirm(sentAt);
    this.tabs.tell({ kind: "activity", at: sentAt });
  }

  /** The edge refused a call: there is no session any more, unless this one began while the call was under way. */
  refused(reason: string, sentAt: number): void {
    if (sentAt < this.begunAt) return;
    const idle = this.clock !== null && this.clock.leftMs(Date.now()) < 2000;
    this.ended(reason === "SESSION_REVOKED" ? "revoked" : idle ? "idle" : "expired");
  }

  private begin(session: Session, serverNow: number | null): void {
    const user = session.user;
    if (!user) return;
    const idleMs = durationMs(session.idleTimeout) ?? 120_000;
    const now = Date.now();
    this.begunAt = now;
    const seen = timeMs(session.lastActivityTime);
    const age = serverNow !== null && seen !== null ? Math.min(Math.max(0, serverNow - seen), idleMs) : 0;
    this.clock = new IdleClock(idleMs, now - age);
    const created = serverNow ?? seen;
    const end = timeMs(session.endTime);
    this.endAt = end !== null && created !== null ? now + (end - created) : null;
    const before = this.state.value;
    const somebody = before.phase === "interrupted" || before.phase === "signed-in" ? before.user.id : null;
    if (somebody !== null && somebody !== user.id) this.work.forget();
    this.paused = false;
    this.countdown.value = null;
    this.state.value = { phase: "signed-in", user };
    if (before.phase === "interrupted" && somebody === user.id) this.work.goOn();
    clearInterval(this.ticking);
    this.ticking = setInterval(() => void this.tick(), TICK_MS);
  }

  private async tick(): Promise<void> {
    const clock = this.clock;
    if (!clock || this.state.value.phase !== "signed-in") return;
    const now = Date.now();
    if (clock.reportIsDue(now)) {
      clock.reporting(now);
      void this.report();
    }
    const left = Math.min(clock.leftMs(now), this.endAt === null ? Number.POSITIVE_INFINITY : this.endAt - now);
    this.countdown.value = clock.warns(now) ? Math.ceil(left / 1000) : null;
    if (left <= 0) {
      await this.endNow(clock.leftMs(now) <= 0 ? "idle" : "expired");
    } else if (left <= RELEASE_BEFORE_MS && !this.paused) {
      this.paused = true;
      void this.work.pause();
    } else if (left > RELEASE_BEFORE_MS && this.paused) {
      this.paused = false;
      this.work.goOn();
    }
  }

  private async report(): Promise<void> {
    try {
      if (!(await this.work.renew())) await this.mesh().sessions.reportActivity({});
    } catch {
      // The link shows that the server is away; the next tick tries again while there is input.
    }
  }

  /** The time is over. The server is told as well, so that the end does not hang on its clock. */
  private async endNow(why: Ending): Promise<void> {
    this.ended(why);
    this.tabs.tell({ kind: "signed-out" });
    await this.mesh()
      .sessions.signOut({})
      .catch(() => undefined);
  }

  private ended(why: Ending): void {
    const state = this.state.value;
    if (state.phase !== "signed-in") return;
    this.stop();
    this.state.value = { phase: "interrupted", user: state.user, why };
    void this.work.pause();
  }

  private stop(): void {
    clearInterval(this.ticking);
    this.clock = null;
    this.countdown.value = null;
  }
}

/** Whether a role includes another: an admin is a manager is an annotator. */
export function includes(role: Role, other: Role): boolean {
  return role >= other;
}
