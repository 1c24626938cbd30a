// Light or dark: as the system says, unless the person chose otherwise in this tab.
import { type Signal, signal } from "@preact/signals";

export type Scheme = "light" | "dark";
const KEY = "labelmesh.scheme";

export class Theme {
  readonly scheme: Signal<Scheme>;
  private readonly system = matchMedia("(prefers-color-scheme: dark)");

  constructor(private readonly storage: Storage = sessionStorage) {
    const chosen = storage.getItem(KEY);
    this.scheme = signal(chosen === "dark" || chosen === "light" ? chosen : this.ofSystem());
    this.system.addEventListener("change", () => {
      if (storage.getItem(KEY) === null) this.apply(this.ofSystem());
    });
    this.apply(this.scheme.value);
  }

  toggle(): void {
    const scheme: Scheme = this.scheme.value === "dark" ? "light" : "dark";
    this.storage.setItem(KEY, scheme);
    this.apply(scheme);
  }

  private ofSystem(): Scheme {
    return this.system.matches ? "dark" : "light";
  }

  private apply(scheme: Scheme): void {
    this.scheme.value = scheme;
    document.documentElement.dataset.scheme = scheme;
  }
}
