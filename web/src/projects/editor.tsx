// Editing the classes of a project.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { type ClassDraft, classesOf, newClass, withHotkeys } from "./draft";

export function ClassEditor(props: { classes: readonly ClassDraft[]; onChange: (classes: ClassDraft[]) => void }): JSX.Element {
  const { classes, onChange } = props;
  const [pasted, setPasted] = useState("");
  const change = (row: number, part: Partial<ClassDraft>): void =>
    onChange(classes.map((one) => (one.row === row ? { ...one, ...part } : one)));
  const move = (index: number, by: number): void => {
    const next = [...classes];
    const [taken] = next.splice(index, 1);
    if (taken) next.splice(index + by, 0, taken);
    onChange(next);
  };
  return (
    <fieldset class="class-editor">
      <legend>Classes</legend>
      <ol>
        {classes.map((one, index) => {
          const name = one.displayName || `class ${index + 1}`;
          return (
            <li key={one.row}>
              <input
                class="class-edit-name"
                aria-label={`Name of class ${index + 1}`}
                value={one.displayName}
                maxLength={200}
                placeholder="Name"
                onInput={(event) => change(one.row, { displayName: event.currentTarget.value })}
              />
              <input
                class="class-edit-key"
                aria-label={`Key of ${name}`}
                value={one.hotkey}
                maxLength={1}
                placeholder="Key"
                onInput={(event) => change(one.row, { hotkey: event.currentTarget.value.trim() })}
              />
              <input
                type="color"
                aria-label={`Colour of ${name}`}
                value={one.color || "#5b6b8c"}
                onInput={(event) => change(one.row, { color: event.currentTarget.value })}
              />
              <button
                type="button"
                class="quiet icon"
                aria-label={`Move ${name} up`}
                disabled={index === 0}
                onClick={() => move(index, -1)}
              >
                ↑
              </button>
              <button
                type="button"
                class="quiet icon"
                aria-label={`Move ${name} down`}
                disabled={index === classes.length - 1}
                onClick={() => move(index, 1)}
              >
                ↓
              </button>
              <button
                type="button"
                class="quiet icon"
                aria-label={`Remove ${name}`}
                onClick={() => onChange(classes.filter((other) => other.row !== one.row))}
              >
                ✕
              </button>
            </li>
          );
        })}
      </ol>
      <div class="actions start">
        <button type="button" onClick={() => onChange([...classes, newClass()])}>
          Add a class
        </button>
        <button type="button" onClick={() => onChange(withHotkeys(classes))}>
          Fill in keys
        </button>
      </div>
      <details>
        <summary>Paste a list</summary>
        <div class="field">
          <label for="pasted-classes">One class a line</label>
          <textarea id="pasted-classes" rows={5} value={pasted} onInput={(event) => setPasted(event.currentTarget.value)} />
        </div>
        <button
          type="button"
          disabled={pasted.trim() === ""}
          onClick={() => {
            onChange(withHotkeys([...classes.filter((one) => one.displayName !== ""), ...classesOf(pasted)]));
            setPasted("");
          }}
        >
          Add these
        </button>
      </details>
    </fieldset>
  );
}
