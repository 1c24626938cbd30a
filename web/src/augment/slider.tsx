// Sliders with numbers beside them: one value, or from where to where.
import type { JSX } from "preact";
import { useEffect, useId, useState } from "preact/hooks";
import { decimalsOf, NOTCHES, notchOf, nudged, readableNumber, type Scale, valueAt } from "./catalogue";

const STEPS: Readonly<Record<string, number>> = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 };

interface ThumbProps {
  scale: Scale;
  value: number;
  label: string;
  unit: string;
  class?: string;
  describedBy?: string | undefined;
  onChange: (value: number) => void;
}

/** One thumb. Arrow keys move by the parameter's own step, not by a notch. */
function Thumb(props: ThumbProps): JSX.Element {
  const { scale, value } = props;
  return (
    <input
      type="range"
      class={props.class}
      min={0}
      max={NOTCHES}
      step={1}
      value={notchOf(scale, value)}
      aria-label={props.label}
      aria-describedby={props.describedBy}
      aria-valuetext={`${readableNumber(value, Math.max(2, decimalsOf(scale.step)))}${props.unit}`}
      onInput={(event) => props.onChange(valueAt(scale, Number(event.currentTarget.value)))}
      onKeyDown={(event) => {
        const steps = STEPS[event.key];
        const end = event.key === "Home" ? scale.minimum : event.key === "End" ? scale.maximum : null;
        if ((steps === undefined && end === null) || event.altKey || event.ctrlKey || event.metaKey) return;
        event.preventDefault();
        props.onChange(end ?? nudged(scale, value, (steps ?? 0) * (event.shiftKey ? 10 : 1)));
      }}
    />
  );
}

/** A number to be typed. What is being typed counts when it is one. */
export function NumberBox(props: {
  value: number;
  label: string;
  scale: Scale;
  invalid?: boolean;
  describedBy?: string | undefined;
  onChange: (value: number) => void;
}): JSX.Element {
  const [typed, setTyped] = useState<string | null>(null);
  useEffect(() => setTyped(null), [props.value]);
  return (
    <input
      type="number"
      class="number-box"
      inputMode={props.scale.whole && props.scale.minimum >= 0 ? "numeric" : "decimal"}
      step={props.scale.whole ? 1 : "any"}
      min={props.scale.minimum}
      max={props.scale.maximum}
      value={typed ?? String(Number(props.value.toFixed(6)))}
      aria-label={props.label}
      aria-invalid={props.invalid ? true : undefined}
      aria-describedby={props.describedBy}
      onInput={(event) => {
        const text = event.currentTarget.value;
        setTyped(text);
        const value = Number(text);
        if (text.trim() !== "" && Number.isFinite(value) && value !== props.value) props.onChange(value);
      }}
      onBlur={() => setTyped(null)}
    />
  );
}

export interface Ends {
  readonly low: number;
  readonly high: number;
}

/** One value, or two with the range between them. */
export function Slider(props: {
  scale: Scale;
  value: number | Ends;
  label: string;
  unit: string;
  invalid?: boolean;
  describedBy?: string | undefined;
  onChange: (value: number | Ends) => void;
}): JSX.Element {
  const { scale, value, label, unit, describedBy } = props;
  const id = useId();
  const common = { scale, unit, describedBy };
  const number = { scale, describedBy, invalid: props.invalid ?? false };
  if (typeof value === "number") {
    const done = { "--high": `${notchOf(scale, value) / 10}%`, "--low": scale.minimum < 0 ? `${notchOf(scale, 0) / 10}%` : "0%" };
    return (
      <div class="slider">
        <div class="slide" style={ordered(done)}>
          <Thumb {...common} value={value} label={label} onChange={props.onChange} />
        </div>
        <NumberBox {...number} value={value} label={`${label} as a number`} onChange={props.onChange} />
      </div>
    );
  }
  const { low, high } = value;
  const between = { "--low": `${notchOf(scale, low) / 10}%`, "--high": `${notchOf(scale, high) / 10}%` };
  return (
    <div class="slider" id={id}>
      <NumberBox {...number} value={low} label={`${label}: lowest, as a number`} onChange={(next) => props.onChange({ low: next, high })} />
      <div class="slide two" style={ordered(between)}>
        <Thumb
          {...common}
          class={notchOf(scale, low) > NOTCHES / 2 ? "above" : ""}
          value={low}
          label={`${label}: lowest`}
          onChange={(next) => props.onChange({ low: Math.min(next, high), high })}
        />
        <Thumb
          {...common}
          value={high}
          label={`${label}: highest`}
          onChange={(next) => props.onChange({ low, high: Math.max(next, low) })}
        />
      </div>
      <NumberBox
        {...number}
        value={high}
        label={`${label}: highest, as a number`}
        onChange={(next) => props.onChange({ low, high: next })}
      />
    </div>
  );
}

/** The coloured part goes from the lower to the higher end, whichever way round they came. */
function ordered(ends: { "--low": string; "--high": string }): { "--low": string; "--high": string } {
  return Number.parseFloat(ends["--low"]) <= Number.parseFloat(ends["--high"])
    ? ends
    : { "--low": ends["--high"], "--high": ends["--low"] };
}
