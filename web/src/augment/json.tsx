// The pipeline as text: to copy for the command line and for programs, or to paste.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Dialog } from "../ui/parts";
import type { Bench } from "./bench";
import { copyText, download } from "./blobs";
import { prettyJson, readPipeline } from "./pipeline";

const LONGEST = 1_000_000;

export function JsonDialog(props: { bench: Bench; onClose: () => void }): JSX.Element {
  const { bench } = props;
  const [text, setText] = useState(() => prettyJson(bench.changes.now.value));
  const [wrong, setWrong] = useState("");
  const [done, setDone] = useState("");
  const use = (): void => {
    try {
      if (text.length > LONGEST) throw new Error("This is too long for a pipeline.");
      bench.replace(readPipeline(text));
      props.onClose();
    } catch (thrown) {
      setWrong(thrown instanceof Error ? thrown.message : String(thrown));
    }
  };
  return (
    <Dialog title="The pipeline as JSON" class="json" onClose={props.onClose}>
      <p class="quiet-text">
        Save it as <code>p.json</code> for <code>labelmesh augment folder DIR --pipeline p.json --out DIR</code>, or paste another one here.
      </p>
      <textarea
        class="code"
        rows={16}
        spellcheck={false}
        aria-label="Pipeline as JSON"
        aria-invalid={wrong !== "" ? true : undefined}
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setWrong("");
          setDone("");
        }}
      />
      <div role="alert" class="trouble-slot">
        {wrong !== "" && <p class="trouble">{wrong}</p>}
      </div>
      <div class="actions">
        <span role="status" class="quiet-text">
          {done}
        </span>
        <label class="button">
          Open a file
          <input
            class="unseen"
            type="file"
            accept="application/json,.json"
            onChange={async (event) => {
              const file = event.currentTarget.files?.[0];
              event.currentTarget.value = "";
              if (!file) return;
              if (file.size > LONGEST) return setWrong("This file is too large for a pipeline.");
              setText(await file.text());
              setWrong("");
            }}
          />
        </label>
        <button type="button" onClick={() => download(text, "p.json", "application/json")}>
          Save as p.json
        </button>
        <button
          type="button"
          onClick={async () => setDone((await copyText(text)) ? "Copied." : "The browser does not allow copying; select the text instead.")}
        >
          Copy
        </button>
        <button type="button" class="primary" onClick={use}>
          Use this
        </button>
      </div>
    </Dialog>
  );
}
