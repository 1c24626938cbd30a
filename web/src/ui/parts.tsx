// The small parts every page is made of.
import type { ComponentChildren, InputHTMLAttributes, JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import type { Problem } from "../rpc/problems";

/** A text field with its label, a hint, and what is wrong with it; all of it reaches a screen reader. */
export function Field(
  props: { label: string; hint?: string | undefined; error?: string | undefined } & InputHTMLAttributes<HTMLInputElement>,
): JSX.Element {
  const { label, hint, error, ...input } = props;
  const id = useId();
  const described = [hint ? `${id}-hint` : "", error ? `${id}-error` : ""].filter(Boolean).join(" ");
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input id={id} aria-invalid={error ? true : undefined} aria-describedby={described || undefined} {...input} />
      {hint && (
        <p id={`${id}-hint`} class="hint">
          {hint}
        </p>
      )}
      {error && (
        <p id={`${id}-error`} class="wrong">
          {error}
        </p>
      )}
    </div>
  );
}

export function Select(props: {
  label: string;
  value: string;
  options: readonly { value: string; text: string }[];
  onChoose: (value: string) => void;
  disabled?: boolean;
  bare?: boolean;
}): JSX.Element {
  const id = useId();
  const select = (
    <select
      id={id}
      value={props.value}
      disabled={props.disabled}
      aria-label={props.bare ? props.label : undefined}
      onChange={(event) => props.onChoose(event.currentTarget.value)}
    >
      {props.options.map((option) => (
        <option key={option.value} value={option.value}>
          {option.text}
        </option>
      ))}
    </select>
  );
  if (props.bare) return select;
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      {select}
    </div>
  );
}

/** Says what went wrong; read out at once. */
export function Trouble(props: { problem: Problem | null | undefined; children?: ComponentChildren }): JSX.Element {
  return (
    <div role="alert" class="trouble-slot">
      {props.problem && (
        <p class="trouble">
          {props.problem.sentence}
          {[...props.problem.fields].length > 0 && props.problem.reason === "INVALID_FIELDS" && (
            <span> {[...props.problem.fields.values()].join(" ")}</span>
          )}
          {props.children}
        </p>
      )}
    </div>
  );
}

/** A dialog that keeps the focus and gives it back; another title begins another step, read out. Without `onClose` it cannot be closed. */
export function Dialog(props: {
  title: string;
  onClose?: () => void;
  class?: string;
  describedBy?: string;
  children: ComponentChildren;
}): JSX.Element {
  const ref = useRef<HTMLDialogElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const titled = useRef(props.title);
  const id = useId();
  useEffect(() => {
    const dialog = ref.current;
    const before = document.activeElement;
    // Browsers let a second Escape close any dialog: one that must stay comes back.
    const stay = (): void => {
      if (dialog?.isConnected && !dialog.open) dialog.showModal();
    };
    dialog?.showModal();
    dialog?.addEventListener("close", stay);
    return () => {
      dialog?.removeEventListener("close", stay);
      dialog?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  useEffect(() => {
    // The field or button that had the focus is gone with the step before.
    if (titled.current !== props.title && heading.current) {
      heading.current.tabIndex = -1;
      heading.current.focus();
    }
    titled.current = props.title;
  }, [props.title]);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape does the same as a click beside the dialog, see onCancel
    <dialog
      ref={ref}
      class={`dialog ${props.class ?? ""}`}
      aria-labelledby={id}
      aria-describedby={props.describedBy}
      onCancel={(event) => {
        event.preventDefault();
        props.onClose?.();
      }}
      onClick={(event) => {
        if (event.target === ref.current) props.onClose?.();
      }}
    >
      <div class="dialog-body">
        <header class="dialog-head">
          <h2 id={id} ref={heading}>
            {props.title}
          </h2>
          {props.onClose && (
            <button type="button" class="quiet icon" aria-label="Close" onClick={props.onClose}>
              ✕
            </button>
          )}
        </header>
        {props.children}
      </div>
    </dialog>
  );
}

/** A table that scrolls by itself where it is wider than the page, by keyboard too. */
export function ScrollTable(props: { label: string; children: ComponentChildren }): JSX.Element {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard (WCAG 2.1.1)
    <section class="table-scroll" tabIndex={0} aria-label={props.label}>
      <table>{props.children}</table>
    </section>
  );
}

/** How much of something is done. */
export function Progress(props: { label: string; done: number; all: number }): JSX.Element {
  const share = props.all > 0 ? Math.min(1, props.done / props.all) : 0;
  return (
    <div
      class="progress"
      role="progressbar"
      aria-label={props.label}
      aria-valuemin={0}
      aria-valuemax={props.all}
      aria-valuenow={props.done}
      aria-valuetext={`${count(props.done)} of ${count(props.all)}`}
    >
      <div class="progress-done" style={{ transform: `scaleX(${share})` }} />
    </div>
  );
}

export function Waiting(props: { what: string }): JSX.Element {
  return (
    <p class="waiting" role="status">
      <span class="spinner" aria-hidden="true" /> {props.what}
    </p>
  );
}

const COUNT = new Intl.NumberFormat();

/** A number as people read it. */
export function count(value: number | bigint): string {
  return COUNT.format(value);
}

/** "1 image", "2 images". */
export function several(value: number | bigint, one: string, more = `${one}s`): string {
  return `${count(value)} ${Number(value) === 1 ? one : more}`;
}

/** A share from 0 to 1 in percent; never rounded up to 100 %. */
export function percent(share: number): string {
  if (share > 0.99 && share < 1) return "> 99 %";
  return `${Math.round(share * 100)} %`;
}

/** A share from 0 to 1 in percent with a decimal, where the last tenths are what counts. */
export function finePercent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
