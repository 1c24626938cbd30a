// Choosing a transform, by family or by what one types.
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import type { Transform } from "../gen/labelmesh/augment/v1/pipelines_pb";
import { Dialog } from "../ui/parts";
import type { Catalogue } from "./catalogue";

export function AddStep(props: {
  catalogue: Catalogue /** The step that will hold it; empty for the pipeline itself. */;
  into: string;
  onChosen: (transform: Transform) => void;
  onClose: () => void;
}): JSX.Element {
  const [wanted, setWanted] = useState("");
  const list = useRef<HTMLDivElement>(null);
  const families = props.catalogue.families(wanted);
  const goOn = (from: Element | null, by: number): void => {
    const choices = [...(list.current?.querySelectorAll<HTMLElement>(".choice") ?? [])];
    const at = from ? choices.indexOf(from as HTMLElement) : -1;
    choices[Math.max(0, Math.min(choices.length - 1, at + by))]?.focus();
  };
  return (
    <Dialog title={props.into === "" ? "Add a step" : `Add a step to ${props.into}`} class="adding" onClose={props.onClose}>
      <input
        type="search"
        autofocus
        aria-label="Search transforms"
        placeholder="Search: rotate, blur, weather …"
        value={wanted}
        onInput={(event) => setWanted(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") {
            event.preventDefault();
            // What is typed counts, also where the list has not followed yet.
            const typed = event.currentTarget.value.trim();
            const first = typed === "" ? undefined : props.catalogue.families(typed)[0]?.transforms[0];
            if (first) props.onChosen(first);
          } else if (event.key === "ArrowDown") {
            event.preventDefault();
            goOn(null, 1);
          }
        }}
      />
      <p class="unseen" role="status">
        {families.reduce((sum, one) => sum + one.transforms.length, 0)} transforms
      </p>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: arrow keys go from button to button, which Tab does as well */}
      <div
        class="choices"
        ref={list}
        onKeyDown={(event) => {
          if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
          event.preventDefault();
          goOn(document.activeElement, event.key === "ArrowDown" ? 1 : -1);
        }}
      >
        {families.length === 0 && <p class="quiet-text">Nothing is called so. Try another word, such as “light”, “noise” or “crop”.</p>}
        {families.map((group) => (
          <section key={group.family} class={`family family-${group.family}`} aria-label={group.title}>
            <h3>{group.title}</h3>
            <ul>
              {group.transforms.map((one) => (
                <li key={one.name}>
                  <button type="button" class="choice" onClick={() => props.onChosen(one)}>
                    <strong>{one.title || one.name}</strong>
                    <span>{one.summary}</span>
                  </button>
                </li>
              ))}
            </ul>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
