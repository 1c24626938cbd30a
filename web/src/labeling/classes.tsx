// The classes to choose from, each a button with its key.
import type { JSX, RefObject } from "preact";
import { useState } from "preact/hooks";
import type { LabelClass } from "../gen/labelmesh/labeling/v1/projects_pb";
import { percent } from "../ui/parts";
import type { Suggestion } from "./suggestions";

/** From so many classes on there is a field to search them. */
export const SEARCH_FROM = 25;

export function ClassButtons(props: {
  classes: readonly LabelClass[];
  disabled: boolean;
  flash: string | null;
  before: string;
  suggestion: Suggestion | null;
  search: RefObject<HTMLInputElement | null>;
  onChoose: (classId: string) => void;
}): JSX.Element {
  const [query, setQuery] = useState("");
  const wanted = query.trim().toLowerCase();
  const matches =
    wanted === "" ? props.classes : props.classes.filter((one) => `${one.displayName} ${one.id}`.toLowerCase().includes(wanted));
  const choose = (classId: string): void => {
    props.onChoose(classId);
    setQuery("");
  };
  return (
    <section class="classes" aria-label="Classes">
      {props.classes.length >= SEARCH_FROM && (
        <form
          class="class-search"
          onSubmit={(event) => {
            event.preventDefault();
            const first = matches[0];
            if (first && wanted !== "") choose(first.id);
            props.search.current?.blur();
          }}
        >
          <input
            ref={props.search}
            type="search"
            value={query}
            placeholder="Search a class"
            aria-label="Search a class; Enter takes the first match"
            onInput={(event) => setQuery(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key !== "Escape") return;
              setQuery("");
              event.currentTarget.blur();
            }}
          />
        </form>
      )}
      <div class={`class-grid${props.classes.every((one) => (one.displayName || one.id).length <= 3) ? " short" : ""}`}>
        {matches.map((one) => {
          const name = one.displayName || one.id;
          const suggested = props.suggestion?.classId === one.id ? props.suggestion : null;
          const classes = [
            "class-button",
            props.flash === one.id ? "flash" : "",
            props.before === one.id ? "before" : "",
            suggested ? "suggested" : "",
          ];
          return (
            <button
              key={one.id}
              type="button"
              class={classes.filter(Boolean).join(" ")}
              aria-disabled={props.disabled}
              aria-keyshortcuts={one.hotkey || undefined}
              data-class={one.id}
              style={one.color ? { "--class-color": one.color } : undefined}
              onClick={() => choose(one.id)}
            >
              <span class="class-name">{name}</span>
              {one.hotkey !== "" && one.hotkey !== name && <kbd>{one.hotkey}</kbd>}
              {props.before === one.id && <span class="before-mark">before</span>}
              {suggested && (
                <span class="suggested-mark">
                  <span class="unseen">the model's suggestion, </span>
                  <span class="enter" aria-hidden="true">
                    ↵{" "}
                  </span>
                  {percent(suggested.confidence)}
                </span>
              )}
            </button>
          );
        })}
        {matches.length === 0 && <p class="quiet-text">No class is called that.</p>}
      </div>
    </section>
  );
}
