// Whether the server answers. Every call tells the link how it went; while the server is away the link asks again by itself.
import { signal } from "@preact/signals";

const FIRST_PROBE_MS = 400;
const SLOWEST_PROBE_MS = 10_000;

export class Link {
  /** True while the server is known to be away: a first failure alone is not shown. */
  readonly away = signal(false);
  private failures = 0;
  private askedAt = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private waiting: (() => void)[] = [];

  /** `probe` makes one cheap call; what it throws does not matter, its outcome reaches the link as every call's does. */
  constructor(private readonly probe: () => Promise<unknown>) {}

  /** A call was answered, be it by an error. */
  answered(): void {
    this.failures = 0;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.away.value = false;
    const waiting = this.waiting;
    this.waiting = [];
    for (const proceed of waiting) proceed();
  }

  /** A call found nobody. */
  lost(): void {
    this.failures += 1;
    if (this.failures > 1) this.away.value = true;
    if (this.timer === undefined) {
      const delay = Math.min(FIRST_PROBE_MS * 2 ** Math.min(this.failures - 1, 8), SLOWEST_PROBE_MS);
      this.timer = setTimeout(() => this.ask(), delay * (0.8 + 0.4 * Math.random()));
    }
  }

  /** A call to a service that may be away alone was lost: the others are asked, unless that happens anyhow. */
  doubted(): void {
    if (this.timer === undefined && Date.now() - this.askedAt >= SLOWEST_PROBE_MS) this.ask();
  }

  /** Asks at once: the browser says the network is back, or the person pressed "try again". */
  ask(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.askedAt = Date.now();
    void this.probe().catch(() => undefined);
  }

  /** Resolves at the next answer, or after `atMostMs`. */
  back(atMostMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, atMostMs);
      this.waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
