// A control for each parameter, as the mesh describes it.
import type { JSX } from "preact";
import { useId } from "preact/hooks";
import { type Parameter, ParameterKind } from "../gen/labelmesh/augment/v1/pipelines_pb";
import { colourOfHex, defaultOf, hexOf, isNumeric, isPair, pairOf, readable, scaleOf, shortUnit, spoken, widened } from "./catalogue";
import type { Remark, Value } from "./pipeline";
import { type Ends, Slider } from "./slider";

export function Control(props: {
  parameter: Parameter;
  /** Of whom: the step's title, since several steps have the same parameters. */
  of: string;
  value: Value | undefined;
  remarks: readonly Remark[];
  explained: boolean;
  onChange: (value: Value | undefined) => void;
}): JSX.Element {
  const { parameter, remarks } = props;
  const id = useId();
  const title = parameter.title || spoken(parameter.name);
  const value = props.value === undefined ? defaultOf(parameter) : props.value;
  const wrong = remarks.some((one) => !one.warning);
  const long = shortUnit(parameter.unit) === "" ? parameter.unit : "";
  return (
    <div class={`control${wrong ? " is-wrong" : ""}`} data-parameter={parameter.name}>
      <div class="control-head">
        <span class="control-name" title={parameter.summary}>
          {title}
          {long !== "" && <span class="control-unit"> {long}</span>}
        </span>
        <span class="control-tools">
          {parameter.ranged && isNumeric(parameter) && <Ranged {...props} value={value} title={title} />}
          {props.value !== undefined && (
            <button
              type="button"
              class="quiet mini"
              aria-label={`${title} of ${props.of}: back to ${readable(defaultOf(parameter), parameter)}`}
              title={`Back to ${readable(defaultOf(parameter), parameter)}`}
              onClick={() => props.onChange(undefined)}
            >
              ↺
            </button>
          )}
        </span>
      </div>
      <Input
        parameter={parameter}
        label={`${title} of ${props.of}`}
        value={value}
        wrong={wrong}
        remarkId={`${id}-remarks`}
        onChange={props.onChange}
      />
      {props.explained && parameter.summary && <p class="control-summary">{parameter.summary}</p>}
      <Remarks id={`${id}-remarks`} remarks={remarks} />
    </div>
  );
}

/** Whether each picture draws its own value out of a range. */
function Ranged(props: { parameter: Parameter; of: string; title: string; value: Value; onChange: (value: Value) => void }): JSX.Element {
  const pair = pairOf(props.value) ?? [props.parameter.minimum, props.parameter.maximum];
  const ranged = isPair(props.value);
  const scale = scaleOf(props.parameter);
  const toggle = (): void => {
    if (!ranged) {
      props.onChange(widened(scale, pair[0]));
      return;
    }
    const middle = (pair[0] + pair[1]) / 2;
    props.onChange(scale.whole ? Math.round(middle) : Number(middle.toFixed(4)));
  };
  return (
    <button
      type="button"
      class="quiet mini"
      aria-pressed={ranged}
      aria-label={`Draw ${props.title} of ${props.of} out of a range`}
      title="Each picture draws its own value out of a range"
      onClick={toggle}
    >
      range
    </button>
  );
}

function Input(props: {
  parameter: Parameter;
  label: string;
  value: Value;
  wrong: boolean;
  remarkId: string;
  onChange: (value: Value) => void;
}): JSX.Element {
  const { parameter, label, value, onChange } = props;
  const described = props.wrong ? props.remarkId : undefined;
  switch (parameter.kind) {
    case ParameterKind.BOOLEAN:
      return (
        <label class="check">
          <input type="checkbox" checked={value === true} aria-label={label} onChange={(event) => onChange(event.currentTarget.checked)} />
          <span aria-hidden="true">{value === true ? "yes" : "no"}</span>
        </label>
      );
    case ParameterKind.CHOICE:
      return (
        <select
          aria-label={label}
          aria-describedby={described}
          value={String(value ?? "")}
          onChange={(event) => onChange(event.currentTarget.value)}
        >
          {!parameter.choices.includes(String(value)) && <option value={String(value ?? "")}>{String(value ?? "")}</option>}
          {parameter.choices.map((one) => (
            <option key={one} value={one}>
              {spoken(one)}
            </option>
          ))}
        </select>
      );
    case ParameterKind.COLOUR:
      return (
        <span class="colour">
          <input
            type="color"
            aria-label={label}
            value={hexOf(Array.isArray(value) ? value : [])}
            onInput={(event) => onChange(colourOfHex(event.currentTarget.value))}
          />
          <code>{Array.isArray(value) ? hexOf(value) : "none"}</code>
        </span>
      );
    default: {
      const pair = pairOf(value) ?? [parameter.minimum, parameter.minimum];
      const settle = (next: number | Ends): void => onChange(typeof next === "number" ? next : [next.low, next.high]);
      return (
        <Slider
          scale={scaleOf(parameter)}
          value={isPair(value) ? { low: pair[0], high: pair[1] } : pair[0]}
          label={label}
          unit={shortUnit(parameter.unit)}
          invalid={props.wrong}
          describedBy={described}
          onChange={settle}
        />
      );
    }
  }
}

/** What the mesh says of this step or parameter. */
export function Remarks(props: { id?: string; remarks: readonly Remark[] }): JSX.Element | null {
  if (props.remarks.length === 0) return null;
  return (
    <ul class="remarks" id={props.id}>
      {props.remarks.map((one) => (
        <li key={one.text} class={one.warning ? "remark" : "remark wrong"}>
          {one.text}
        </li>
      ))}
    </ul>
  );
}
