// What the keys do.
import type { JSX } from "preact";
import type { LabelClass } from "../gen/labelmesh/labeling/v1/projects_pb";
import { Dialog } from "../ui/parts";

function Row(props: { keys: readonly string[]; does: string }): JSX.Element {
  return (
    <tr>
      <td>
        {props.keys.map((key) => (
          <kbd key={key}>{key}</kbd>
        ))}
      </td>
      <td>{props.does}</td>
    </tr>
  );
}

export function ShortcutHelp(props: { classes: readonly LabelClass[]; suggests: boolean; onClose: () => void }): JSX.Element {
  const taken = new Set(props.classes.map((one) => one.hotkey.toLowerCase()));
  const free = (keys: readonly string[]): string[] => keys.filter((key) => !taken.has(key.toLowerCase()));
  const withKey = props.classes.filter((one) => one.hotkey !== "");
  return (
    <Dialog title="Keys" onClose={props.onClose}>
      <table class="keys">
        <caption class="unseen">What the keys of this page do</caption>
        <tbody>
          <Row keys={free(["S", "→"])} does="Skip this image, it comes back later" />
          <Row keys={free(["Z", "Backspace", "←"])} does="Take the last label back" />
          {props.suggests && <Row keys={free(["M"])} does="Show or hide what the model suggests" />}
          {props.suggests && <Row keys={["Enter"]} does="Take the class that the model suggests" />}
          <Row keys={free(["P"])} does="Smooth or crisp pixels of small images" />
          {props.classes.length > 24 && <Row keys={free(["/"])} does="Search a class, Enter takes the first" />}
          <Row keys={free(["?"])} does="This help" />
        </tbody>
      </table>
      {withKey.length > 0 && (
        <>
          <h3>Classes</h3>
          <ul class="key-list">
            {withKey.map((one) => (
              <li key={one.id}>
                <kbd>{one.hotkey}</kbd> {one.displayName || one.id}
              </li>
            ))}
          </ul>
        </>
      )}
    </Dialog>
  );
}
