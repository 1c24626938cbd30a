// "Was this right?" and what would have been.
import type { JSX } from "preact";
import { useEffect, useId, useState } from "preact/hooks";
import { useApp } from "../app";
import type { Prediction, PredictionFeedback } from "../gen/labelmesh/inference/v1/predictions_pb";
import { useAction } from "../ui/action";
import { Trouble } from "../ui/parts";

export function Judgement(props: { prediction: Prediction; labels: readonly string[]; best: string; onSaid: () => void }): JSX.Element {
  const { mesh } = useApp();
  const { prediction, labels, best } = props;
  const id = useId();
  const [said, setSaid] = useState<PredictionFeedback | null>(prediction.feedback ?? null);
  const [asking, setAsking] = useState(false);
  const [right, setRight] = useState("");
  useEffect(() => {
    setSaid(prediction.feedback ?? null);
    setAsking(false);
    setRight("");
  }, [prediction.id]);
  const say = useAction(async (correct: boolean, label: string) => {
    const reply = await mesh.predictions.feedback({ predictionId: prediction.id, correct, label });
    setSaid(reply.feedback ?? null);
    setAsking(false);
    props.onSaid();
  });
  return (
    <section class="judgement" aria-label="Was this right?">
      <div class="actions start">
        <p id={`${id}-question`}>Was this right?</p>
        <button type="button" aria-pressed={said?.correct === true} disabled={say.busy} onClick={() => void say.run(true, best)}>
          Yes
        </button>
        <button type="button" aria-pressed={said?.correct === false || asking} disabled={say.busy} onClick={() => setAsking(true)}>
          No
        </button>
      </div>
      {asking && (
        <form
          class="right-answer"
          onSubmit={(event) => {
            event.preventDefault();
            void say.run(false, right.trim());
          }}
        >
          <label for={`${id}-right`}>What would have been right?</label>
          <input
            id={`${id}-right`}
            list={`${id}-labels`}
            maxLength={200}
            value={right}
            placeholder={labels.length > 0 ? "Choose or type" : "Type it"}
            onInput={(event) => setRight(event.currentTarget.value)}
          />
          <datalist id={`${id}-labels`}>
            {labels.slice(0, 1000).map((label) => (
              <option key={label} value={label} />
            ))}
          </datalist>
          <button type="submit" disabled={say.busy}>
            {right.trim() === "" ? "I do not know" : "Say so"}
          </button>
        </form>
      )}
      <p role="status" class="quiet-text">
        {said && !asking && (said.correct ? "Thank you: right." : `Thank you: wrong${said.label ? `, it is ${said.label}` : ""}.`)}
      </p>
      <Trouble problem={say.problem} />
    </section>
  );
}
