// The predict page: draw or bring a picture, and see what a model makes of it.
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useApp } from "../app";
import { Role, type User } from "../gen/labelmesh/auth/v1/users_pb";
import type { Model } from "../gen/labelmesh/inference/v1/models_pb";
import { type Prediction, Storage } from "../gen/labelmesh/inference/v1/predictions_pb";
import { TrainingsUnderWay } from "../models/trainings";
import { addressOf } from "../router";
import { includes } from "../session/keeper";
import { randomUuid } from "../session/tabs";
import { useLoaded } from "../ui/loaded";
import { Select, Trouble, Waiting } from "../ui/parts";
import { useRemembered } from "../ui/remembered";
import { usePolling } from "../ui/watching";
import { Answerer, Verdict, WhereTheTimeWent } from "./answer";
import { Asker, type Setback } from "./asker";
import { bestLabel, labelsOf, manifestOf, modelsForPictures, type Way, waysTo, wireChoice } from "./choice";
import { type Drawing, EMPTY, isBlank } from "./drawing";
import { Judgement } from "./feedback";
import { History } from "./history";
import { PictureWithResult } from "./overlay";
import { DrawingPad } from "./pad";
import { fileOf } from "./sheet";
import { Bring, type Brought } from "./source";

const MODELS_EVERY_MS = 5000;
const DEADLINE_MS = 20_000;
/** Boxes are asked for down to this score, so that the slider has something to show. */
const LOWEST_THRESHOLD = 0.05;

/** What the page shows the model. */
type Subject = { readonly kind: "drawing"; readonly drawing: Drawing } | Brought;

export function PredictPage(props: { user: User }): JSX.Element {
  const { mesh } = useApp();
  const models = useLoaded((signal) => mesh.models.listModels({ pageSize: 200 }, { signal }), []);
  usePolling(models.again, MODELS_EVERY_MS);
  const usable = useMemo(() => modelsForPictures(models.value?.models ?? []), [models.value]);
  const manager = includes(props.user.role, Role.MANAGER);
  return (
    <>
      <header class="page-head">
        <h1>Predict</h1>
      </header>
      <ServerAway problem={models.value?.modelServerProblem ?? ""} />
      <Trouble problem={models.value ? null : models.problem}> This page asks again by itself.</Trouble>
      {!models.value && !models.problem && <Waiting what="Looking for models…" />}
      {models.value && usable.length === 0 && (
        <>
          <TrainingsUnderWay onEnded={models.again} />
          <NoModel manager={manager} />
        </>
      )}
      {usable.length > 0 && <Desk models={usable} manager={manager} />}
    </>
  );
}

/** Says that the model server does not answer; it is asked again by itself. */
export function ServerAway(props: { problem: string }): JSX.Element {
  return (
    <div role="status" class="trouble-slot">
      {props.problem !== "" && (
        <p class="caution" data-testid="model-server-away">
          The model server is away, so nothing can be predicted right now. This page asks again by itself.{" "}
          <span class="quiet-text">{props.problem}</span>
        </p>
      )}
    </div>
  );
}

export function NoModel(props: { manager: boolean }): JSX.Element {
  if (!props.manager) {
    return (
      <section class="empty">
        <h2>There is no model yet</h2>
        <p>As soon as one was trained or added, it can be asked here. Labels help: a model of digits can be trained from them.</p>
      </section>
    );
  }
  return (
    <section class="empty">
      <h2>There is no model yet</h2>
      <p>Train one from the labels in the mesh, or add one that you have:</p>
      <dl class="commands">
        <dt>
          <code class="command">labelmesh train digits</code>
        </dt>
        <dd>a convolutional network for handwritten digits, from people's labels</dd>
        <dt>
          <code class="command">labelmesh model add DIR</code>
        </dt>
        <dd>a SavedModel with its manifest; it is checked from end to end first</dd>
      </dl>
    </section>
  );
}

function Desk(props: { models: readonly Model[]; manager: boolean }): JSX.Element {
  const { mesh } = useApp();
  const { models, manager } = props;
  const [remembered, remember] = useRemembered("model", "");
  const model = models.find((one) => one.name === remembered) ?? models[0];
  const [way, setWay] = useState<Way>("");
  const [subject, setSubject] = useState<Subject>({ kind: "drawing", drawing: EMPTY });
  const [round, setRound] = useState(0);
  const name = model?.name ?? "";
  const choice = useRef({ model: name, way });
  choice.current = { model: name, way };
  const detects = useRef(false);
  detects.current = manifestOf(model)?.output.case === "boxes";

  const asker = useMemo(
    () =>
      new Asker<Subject>({
        call: async (question, signal) => {
          const input = await inputOf(question.subject);
          const reply = await mesh.predictions.predict(
            {
              requestId: question.requestId,
              model: wireChoice(choice.current),
              input: { input },
              settings: {
                storage: question.keep ? Storage.RESULT_AND_PICTURE : Storage.NONE,
                ...(detects.current ? { threshold: LOWEST_THRESHOLD } : {}),
              },
            },
            { signal, timeoutMs: DEADLINE_MS },
          );
          if (!reply.prediction) throw new Error("the answer holds no prediction");
          return reply.prediction;
        },
        uuid: randomUuid,
        now: () => performance.now(),
      }),
    [mesh],
  );
  useEffect(() => () => asker.breakOff(), [asker]);
  useEffect(() => {
    asker.again();
  }, [name, way]);

  const answer = asker.answer.value;
  const prediction = answer?.prediction ?? null;
  useEffect(() => {
    if (prediction && prediction.id !== "") setRound((now) => now + 1);
  }, [prediction?.id]);

  const draw = (drawing: Drawing, resting: boolean): void => {
    const drawn: Subject = { kind: "drawing", drawing };
    setSubject(drawn);
    if (isBlank(drawing)) asker.clear();
    else asker.sketch(drawn, resting);
  };
  const bring = (brought: Brought): void => {
    setSubject(brought);
    asker.clear();
    asker.ask(brought);
  };
  const backToDrawing = (): void => {
    setSubject({ kind: "drawing", drawing: EMPTY });
    asker.clear();
  };

  const manifest = manifestOf(model, prediction?.version);
  const [threshold, setThreshold] = useState<number | null>(null);
  const level = threshold ?? Math.max(LOWEST_THRESHOLD, manifest?.threshold ?? 0);
  useEffect(() => setThreshold(null), [name]);
  return (
    <>
      <div class="chooser">
        <Select
          label="Model"
          value={name}
          options={models.map((one) => ({ value: one.name, text: one.displayName || one.name }))}
          onChoose={(chosen) => {
            remember(chosen);
            setWay("");
          }}
        />
        {manager && model && <Select label="Which version" value={way} options={waysTo(model)} onChoose={setWay} />}
        {model?.description && <p class="quiet-text">{model.description}</p>}
      </div>
      <div class="predict">
        <section class="panel" aria-label="What to look at">
          {subject.kind === "drawing" ? (
            <DrawingPad drawing={subject.drawing} onChange={draw} />
          ) : (
            <>
              <Asked subject={subject} prediction={answer?.subject === subject ? (prediction ?? null) : null} threshold={level} />
              <div class="actions start">
                <button type="button" onClick={backToDrawing}>
                  Draw instead
                </button>
                <button type="button" onClick={() => asker.again()}>
                  Ask again
                </button>
              </div>
            </>
          )}
        </section>
        <section class="panel answer" aria-labelledby="answer-heading" aria-busy={asker.asking.value}>
          <h2 id="answer-heading" class="unseen">
            The answer
          </h2>
          <SetbackLine setback={asker.setback.value} onAgain={() => asker.again()} />
          {!answer && asker.asking.value && <Waiting what="Asking the model…" />}
          {!answer && !asker.asking.value && !asker.setback.value && (
            <div class="answer-empty">
              <h3>What will it say?</h3>
              <p class="quiet-text">Draw on the sheet, drop a picture anywhere on this page, or paste one.</p>
            </div>
          )}
          {answer && prediction && (
            <>
              <Verdict prediction={prediction} threshold={level} onThreshold={setThreshold} />
              <Answerer prediction={prediction} />
              <WhereTheTimeWent prediction={prediction} roundTripMs={answer.roundTripMs} />
              <div class="judgement-slot">
                {prediction.id !== "" && (
                  <Judgement
                    prediction={prediction}
                    labels={labelsOf(manifest)}
                    best={bestLabel(prediction.result)}
                    onSaid={() => setRound((now) => now + 1)}
                  />
                )}
              </div>
            </>
          )}
          <p class="unseen" aria-live="polite">
            {prediction && prediction.id !== "" && bestLabel(prediction.result) !== "" && `The model says ${bestLabel(prediction.result)}.`}
          </p>
        </section>
        <section class="panel bring-panel" aria-label="Bring a picture">
          <Bring onBrought={bring} />
        </section>
      </div>
      <History model={name} manager={manager} round={round} />
      {manager && (
        <p class="quiet-text">
          Versions, traffic and trainings are on the <a href={addressOf({ at: "models", model: name })}>page of this model</a>.
        </p>
      )}
    </>
  );
}

async function inputOf(subject: Subject): Promise<{ case: "image"; value: Uint8Array } | { case: "url"; value: string }> {
  if (subject.kind === "address") return { case: "url", value: subject.address };
  if (subject.kind === "drawing") return { case: "image", value: fileOf(subject.drawing) };
  return { case: "image", value: new Uint8Array(await subject.file.arrayBuffer()) };
}

/** The picture that was brought. One from an address is shown as the mesh has kept it: the page itself asks nobody else. */
function Asked(props: { subject: Brought; prediction: Prediction | null; threshold: number }): JSX.Element {
  const { mesh } = useApp();
  const { subject, prediction, threshold } = props;
  const [source, setSource] = useState("");
  useEffect(() => {
    if (subject.kind !== "file") return setSource("");
    const url = URL.createObjectURL(subject.file);
    setSource(url);
    return () => URL.revokeObjectURL(url);
  }, [subject]);
  useEffect(() => {
    if (subject.kind !== "address" || !prediction || prediction.id === "") return;
    const controller = new AbortController();
    mesh.predictions.getPrediction({ predictionId: prediction.id }, { signal: controller.signal }).then(
      (reply) => setSource(reply.prediction?.pictureUrl ?? ""),
      () => undefined,
    );
    return () => controller.abort();
  }, [subject, prediction?.id]);
  return (
    <>
      {source !== "" && <PictureWithResult source={source} result={prediction?.result ?? null} threshold={threshold} />}
      <p class="asked-name">{subject.kind === "file" ? subject.name : subject.address}</p>
    </>
  );
}

/** Why there is no answer, and when it is tried again. */
function SetbackLine(props: { setback: Setback | null; onAgain: () => void }): JSX.Element {
  const { setback } = props;
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    setNow(Date.now());
    if (setback?.againAt == null) return;
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, [setback]);
  return (
    <>
      <Trouble problem={setback?.problem}>
        {setback?.againAt != null && " Asking again by itself."}{" "}
        {setback?.problem.transient && (
          <button type="button" class="link" onClick={props.onAgain}>
            Ask now
          </button>
        )}
      </Trouble>
      {setback?.againAt != null && (
        <p class="quiet-text" aria-hidden="true">
          Again in {Math.max(0, Math.ceil((setback.againAt - now) / 1000))} s
        </p>
      )}
    </>
  );
}
