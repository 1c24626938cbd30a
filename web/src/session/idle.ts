// The clock of inactivity: what the server knows of this person's activity, and when it has to hear of more.
// Pure: every time is milliseconds and given from outside.

/** A page reports input at most this often. */
const REPORT_EVERY_MS = 20_000;
/** The countdown is shown for this long before the session ends. */
const WARN_FOR_MS = 20_000;

export class IdleClock {
  private inputAt: number | null = null;
  private reportAt = Number.NEGATIVE_INFINITY;

  /** A session that ends after `idleMs` without activity; `confirmedAt` is the last activity that the server knows of. */
  constructor(
    readonly idleMs: number,
    private confirmedAt: number,
  ) {}

  /** A call that counts as activity was sent at `at` and accepted by the server. */
  confirm(at: number): void {
    this.confirmedAt = Math.max(this.confirmedAt, at);
    if (this.inputAt !== null && this.inputAt <= this.confirmedAt) this.inputAt = null;
  }

  /** The person did something. */
  input(now: number): void {
    this.inputAt = now;
  }

  /** Whether to tell the server now: there was input it does not know of, and the last telling is long enough ago. */
  reportIsDue(now: number): boolean {
    if (this.inputAt === null) return false;
    const pause = this.warns(now) ? 1000 : this.reportEveryMs;
    return now - Math.max(this.confirmedAt, this.reportAt) >= pause && now - this.reportAt >= 1000;
  }

  /** A report was sent at `now`; whether it arrived is told by `confirm`. */
  reporting(now: number): void {
    this.reportAt = now;
  }

  get reportEveryMs(): number {
    return Math.min(REPORT_EVERY_MS, this.idleMs / 6);
  }

  /** Milliseconds until the session ends without further activity; never negative. */
  leftMs(now: number): number {
    return Math.max(0, this.confirmedAt + this.idleMs - now);
  }

  /** Whether the countdown is to be shown. */
  warns(now: number): boolean {
    return this.leftMs(now) <= Math.min(WARN_FOR_MS, this.idleMs / 2);
  }
}
