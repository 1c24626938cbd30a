"""Labels, predictions, scorings and trainings over lines that break."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from labelmesh.inference.v1 import predictions_pb2 as pred
from labelmesh.inference.v1 import scoring_pb2, trainings_pb2
from labelmesh.labeling.v1 import annotations_pb2 as ann
from labelmesh.labeling.v1 import images_pb2 as img
from labelmesh_client import (
    InvalidArgument,
    LabelmeshError,
    NotFound,
    Prediction,
    Question,
    ResourceExhausted,
    ServerError,
    SourceError,
    TrainingState,
    Unavailable,
    connect,
)
from labelmesh_client.images import Image
from labelmesh_client.pictures import with_pictures

from tests.unit.client.answers import PROJECT, answered, get_project
from tests.unit.client.server import ScriptedServer, Serve, client_of, refuse


def renew(context: grpc.ServicerContext) -> Any:
    return refuse(context, grpc.StatusCode.UNAVAILABLE, "call again", reason="STREAM_RENEW", retry_after_s=0)


# --- labels ---


class Labels:
    """Streams `count` labeled images, three to a message; ends each stream early as the plan says."""

    def __init__(self, count: int, breaks: list[tuple[int, str]]) -> None:
        self._count = count
        self._breaks = breaks
        self.cursors: list[str] = []

    def stream(self, request: ann.StreamLabelsRequest, context: grpc.ServicerContext) -> Iterator[ann.StreamLabelsResponse]:
        self.cursors.append(request.cursor)
        messages, kind = self._breaks.pop(0) if self._breaks else (10**9, "")
        start = int(request.cursor or 0)
        for first in range(start, self._count, 3):
            if messages == 0:
                if kind == "renew":
                    renew(context)
                if kind == "busy":
                    refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", reason="TOO_MANY_STREAMS", retry_after_s=0.01)
                refuse(context, grpc.StatusCode.UNAVAILABLE, "going down")
            messages -= 1
            numbers = range(first, min(first + 3, self._count))
            images = [ann.LabeledImage(image=img.Image(id=str(n)), class_id="7" if n % 2 else "", annotators_count=2) for n in numbers]
            yield ann.StreamLabelsResponse(images=images, cursor=str(numbers[-1] + 1))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    breaks=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["renew", "renew", "busy", "away"])), max_size=4), count=st.integers(0, 20)
)
def test_labels_come_once_each_however_often_the_stream_breaks(serve: Serve, breaks: list[tuple[int, str]], count: int) -> None:
    labels = Labels(count, list(breaks))
    with client_of(serve({"ProjectService.GetProject": get_project, "AnnotationService.StreamLabels": labels.stream})) as client:
        found = list(client.project(PROJECT).labels())
    assert [one.image.id for one in found] == [str(number) for number in range(count)]
    assert [one.class_id for one in found] == ["7" if number % 2 else None for number in range(count)]


def test_a_stream_that_may_not_be_read_or_stays_away_is_an_error(serve: Serve, free_port: int) -> None:
    def never(_: object, context: grpc.ServicerContext) -> Any:
        return refuse(context, grpc.StatusCode.NOT_FOUND, "there is no such project", reason="PROJECT_NOT_FOUND")

    server = serve({"ProjectService.GetProject": get_project, "AnnotationService.StreamLabels": never})
    with client_of(server) as client:
        project = client.project(PROJECT)
        with pytest.raises(NotFound):
            list(project.labels())
    from labelmesh_client.labels import stream_labels

    # Where nobody ever listened: a stream begun while a server of this process ends may be left without any answer.
    with connect(f"http://127.0.0.1:{free_port}", api_key="lmk_test") as client:
        started = time.monotonic()
        with pytest.raises(Unavailable):
            list(stream_labels(client.services, PROJECT, lambda: None, patience_s=0.5))
        assert time.monotonic() - started < 5


def test_pictures_come_in_order_and_with_fresh_addresses_where_old_ones_ended() -> None:
    from labelmesh_client.errors import DownloadError

    images = [Image(str(n), "", "", 1, 1, "image/png", 1, 0.0, False, None, f"old/{n}") for n in range(50)]
    renewed: list[str] = []
    away = [2]
    lock = threading.Lock()

    def download(image: Image) -> bytes:
        number = int(image.id)
        time.sleep(0.01 if number % 7 == 0 else 0)
        with lock:
            if number == 10 and away[0]:
                away[0] -= 1
                raise DownloadError("away", reason="UNREACHABLE")
        if number % 5 == 0 and image.url.startswith("old/"):
            raise DownloadError("ended", reason="HTTP_403")
        return image.url.encode()

    def fresh(image: Image) -> Image:
        renewed.append(image.id)
        return Image(**{**{name: getattr(image, name) for name in Image.__dataclass_fields__}, "url": f"new/{image.id}"})

    found = list(with_pictures(images, lambda image: image, download, fresh, lambda _: None, workers=4))
    assert [image.id for image, _ in found] == [image.id for image in images]
    assert [content for _, content in found] == [f"{'new' if n % 5 == 0 else 'old'}/{n}".encode() for n in range(50)]
    assert sorted(renewed, key=int) == [str(n) for n in range(0, 50, 5)]

    def gone(_: Image) -> bytes:
        raise DownloadError("no such file", reason="HTTP_404")

    with pytest.raises(DownloadError, match="no such file"):
        list(with_pictures(images, lambda image: image, gone, fresh, lambda _: None))


# --- predictions ---


class Stream:
    """Answers a stream; streams end early after so many answers as the plan says."""

    def __init__(self, breaks: list[tuple[int, bool]]) -> None:
        self._breaks = breaks
        self.received: list[bytes] = []

    def __call__(
        self, requests: Iterator[pred.PredictStreamRequest], context: grpc.ServicerContext
    ) -> Iterator[pred.PredictStreamResponse]:
        left, is_renewal = self._breaks.pop(0) if self._breaks else (10**9, False)
        first = next(requests)
        assert first.model.model == "m"
        index = 0
        for request in requests:
            self.received += [one.image for one in request.inputs]
            for one in request.inputs:
                if left == 0:
                    if is_renewal:
                        renew(context)
                    refuse(context, grpc.StatusCode.UNAVAILABLE, "going down")
                left -= 1
                yield pred.PredictStreamResponse(first_index=index, items=[answered(one.image)])
                index += 1


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    breaks=st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=3),
    kinds=st.lists(st.sampled_from(["good", "good", "good", "bad", "empty"]), max_size=100),
)
def test_every_input_of_a_stream_has_its_answer_however_often_it_breaks(
    serve: Serve, breaks: list[tuple[int, bool]], kinds: list[str]
) -> None:
    contents = [b"" if kind == "empty" else f"{kind}{number}".encode() for number, kind in enumerate(kinds)]
    with client_of(serve({"PredictionService.PredictStream": Stream(list(breaks))})) as client:
        found = list(client.predict_stream("m", iter(contents)))
    assert [described(answer) for answer in found] == [described_input(content) for content in contents]


def described(answer: Prediction | LabelmeshError) -> str:
    if isinstance(answer, SourceError):
        return "empty"
    if isinstance(answer, InvalidArgument):
        return f"bad: {answer.reason}"
    assert isinstance(answer, Prediction), answer
    return str(answer.result.classes[0].label)  # type: ignore[union-attr]


def described_input(content: bytes) -> str:
    if not content:
        return "empty"
    return "bad: NOT_AN_IMAGE" if content.startswith(b"bad") else content.decode()


def test_no_more_is_under_way_than_the_stream_s_window(serve: Serve) -> None:
    taken: list[int] = []
    let_go = threading.Event()

    def slow(requests: Iterator[pred.PredictStreamRequest], _: grpc.ServicerContext) -> Iterator[pred.PredictStreamResponse]:
        waiting = [next(requests)]
        for request in requests:
            if not let_go.is_set():
                waiting.append(request)
                if sum(len(each.inputs) for each in waiting) < 256:
                    continue
                let_go.wait(20)
                for each in waiting:
                    yield pred.PredictStreamResponse(items=[answered(one.image) for one in each.inputs])
            else:
                yield pred.PredictStreamResponse(items=[answered(one.image) for one in request.inputs])

    def inputs() -> Iterator[bytes]:
        for number in range(2000):
            taken.append(number)
            yield b"%d" % number

    with client_of(serve({"PredictionService.PredictStream": slow})) as client:
        answers = client.predict_stream("m", inputs())
        reader = threading.Thread(target=lambda: next(answers))
        reader.start()
        deadline = time.monotonic() + 10
        while len(taken) < 300:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.2)
        assert len(taken) <= 256 + 32 + 64 + 1
        let_go.set()
        reader.join()
        assert len(list(answers)) == 1999


def test_what_the_caller_s_iterator_raises_comes_after_the_answers_before_it(serve: Serve) -> None:
    def inputs() -> Iterator[bytes]:
        yield b"one"
        yield b"two"
        raise ZeroDivisionError("of the caller's own")

    found = []
    with client_of(serve({"PredictionService.PredictStream": Stream([])})) as client, pytest.raises(ZeroDivisionError):
        for answer in client.predict_stream("m", inputs()):
            found.append(described(answer))
    assert found == ["one", "two"]


def test_a_server_that_leaves_inputs_unanswered_is_found_out(serve: Serve) -> None:
    def forgetful(requests: Iterator[pred.PredictStreamRequest], _: grpc.ServicerContext) -> Iterator[pred.PredictStreamResponse]:
        next(requests)
        for request in requests:
            yield pred.PredictStreamResponse(items=[answered(one.image) for one in request.inputs[1:]])

    with client_of(serve({"PredictionService.PredictStream": forgetful})) as client, pytest.raises(ServerError):
        list(client.predict_stream("m", [b"one", b"two", b"three"]))


def test_inputs_that_a_busy_model_turned_away_are_asked_again_and_only_those(serve: Serve) -> None:
    asked: list[list[bytes]] = []
    lock = threading.Lock()

    def batch(request: pred.PredictBatchRequest, context: grpc.ServicerContext) -> pred.PredictBatchResponse:
        with lock:
            asked.append([one.image for one in request.inputs])
            call = len(asked)
        if call == 1:
            refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", reason="MODEL_BUSY", retry_after_s=0.01)
        items = [answered(one.image) for one in request.inputs]
        if call == 2:
            busy = status_pb2.Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="busy")
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromMilliseconds(10)
            busy.details.add().Pack(retry)
            items[1] = pred.BatchItem(error=busy)
        return pred.PredictBatchResponse(items=items)

    with client_of(serve({"PredictionService.PredictBatch": batch})) as client:
        found = list(client.predict_batch("m", [b"a", b"b", b"bad", b""]))
        assert [described(one) for one in found] == ["a", "b", "bad: NOT_AN_IMAGE", "empty"]
    assert asked == [[b"a", b"b", b"bad"], [b"a", b"b", b"bad"], [b"b"]]


def test_patience_with_a_busy_model_has_an_end(serve: Serve) -> None:
    from labelmesh_client.predictions import predict_batch

    def busy(_: object, context: grpc.ServicerContext) -> Any:
        return refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", reason="MODEL_BUSY", retry_after_s=0.05)

    with client_of(serve({"PredictionService.PredictBatch": busy})) as client, pytest.raises(ResourceExhausted):
        list(predict_batch(client.services, Question("m"), [b"a"], patience_s=0.5))


def test_a_prediction_is_sent_again_under_the_same_id(serve: Serve) -> None:
    ids: list[str] = []

    def predict(request: pred.PredictRequest, context: grpc.ServicerContext) -> Any:
        ids.append(request.request_id)
        if len(ids) < 3:
            return refuse(context, grpc.StatusCode.UNAVAILABLE, "away")
        return pred.PredictResponse(prediction=answered(request.input.image).prediction)

    with client_of(serve({"PredictionService.Predict": predict})) as client:
        assert described(client.predict("m", b"seven")) == "seven"
    assert len(ids) == 3
    assert len(set(ids)) == 1


# --- scorings and trainings ---


def test_a_scoring_goes_on_from_its_cursor(serve: Serve) -> None:
    cursors: list[str] = []

    def score(request: scoring_pb2.ScoreProjectRequest, context: grpc.ServicerContext) -> Iterator[scoring_pb2.ScoreProjectResponse]:
        cursors.append(request.cursor)
        start = int(request.cursor or 0)
        for step in (start + 1, start + 2):
            done = step == 6
            yield scoring_pb2.ScoreProjectResponse(scored_count=step * 10, cursor=str(step), done=done, model="m", version=2)
            if done:
                return
        renew(context)

    with client_of(serve({"ProjectService.GetProject": get_project, "ScoringService.ScoreProject": score})) as client:
        steps = list(client.project(PROJECT).score("m", order=True))
    assert [step.scored for step in steps] == [10, 20, 30, 40, 50, 60]
    assert (steps[-1].done, cursors) == (True, ["", "2", "4"])


def test_a_watched_training_is_shown_once_for_each_step_to_its_end(serve: Serve) -> None:
    calls = []

    def watch(request: trainings_pb2.WatchTrainingRequest, context: grpc.ServicerContext) -> Iterator[trainings_pb2.WatchTrainingResponse]:
        calls.append(request.training_id)
        for done in ((0.1, 0.5), (0.5, 0.9), (0.9, 1.0))[len(calls) - 1]:
            state = trainings_pb2.TRAINING_STATE_SUCCEEDED if done == 1.0 else trainings_pb2.TRAINING_STATE_RUNNING
            training = trainings_pb2.Training(id="t", state=state, progress=trainings_pb2.TrainingProgress(done=done))
            yield trainings_pb2.WatchTrainingResponse(training=training)
        if len(calls) < 3:
            renew(context)

    with client_of(serve({"TrainingService.WatchTraining": watch})) as client:
        seen = list(client.trainings.watch("t"))
    assert [one.progress.done for one in seen] == [0.1, 0.5, 0.9, 1.0]
    assert seen[-1].state is TrainingState.SUCCEEDED


def training_server(serve: Serve, **behaviours: Any) -> ScriptedServer:
    def start(_: object, __: grpc.ServicerContext) -> trainings_pb2.StartTrainingResponse:
        reply = trainings_pb2.StartTrainingResponse(training=trainings_pb2.Training(id="t", model="m", version=4), lease="secret")
        reply.lease_duration.FromMilliseconds(400)
        return reply

    return serve({"TrainingService.StartTraining": start, **{f"TrainingService.{name}": each for name, each in behaviours.items()}})


def test_finishing_waits_for_the_model_server_and_keeps_the_lease_meanwhile(serve: Serve) -> None:
    from labelmesh.inference.v1 import manifests_pb2

    reports: list[str] = []
    began = time.monotonic()

    def report(request: trainings_pb2.ReportTrainingRequest, _: grpc.ServicerContext) -> trainings_pb2.ReportTrainingResponse:
        reports.append(request.lease)
        return trainings_pb2.ReportTrainingResponse()

    def finish(request: trainings_pb2.FinishTrainingRequest, context: grpc.ServicerContext) -> Any:
        if time.monotonic() - began < 1.5:
            return refuse(context, grpc.StatusCode.UNAVAILABLE, "loading", reason="VERSION_NOT_AVAILABLE", retry_after_s=0.2)
        reply = trainings_pb2.FinishTrainingResponse()
        reply.version.version = 4
        return reply

    server = training_server(serve, ReportTraining=report, FinishTraining=finish)
    with client_of(server, patience_s=0.3) as client:
        running = client.trainings.start("m")
        assert running.finish(manifests_pb2.ModelManifest(model="m"), patience_s=20).version == 4
        assert len(reports) >= 5
        assert set(reports) == {"secret"}
        with pytest.raises(Unavailable):
            began = time.monotonic() + 60
            running.finish(manifests_pb2.ModelManifest(model="m"), patience_s=0.5)


def test_a_training_that_was_lost_is_noticed_while_it_is_kept_alive(serve: Serve) -> None:
    def report(_: object, context: grpc.ServicerContext) -> Any:
        return refuse(context, grpc.StatusCode.ABORTED, "somebody else trains", reason="TRAINING_LOST")

    with client_of(training_server(serve, ReportTraining=report)) as client, client.trainings.start("m").kept_alive() as lost:
        assert lost.wait(5)
