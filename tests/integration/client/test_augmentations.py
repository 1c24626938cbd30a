"""Augmenting from programs: values, JSON, and streams over lines that break."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from labelmesh.augment.v1 import augmentations_pb2 as aug
from labelmesh_client import (
    Augmented,
    BoxLabel,
    Fill,
    FillKind,
    Format,
    InvalidArgument,
    KeypointLabel,
    LabelRules,
    MaskLabel,
    Output,
    PictureLabels,
    Pipeline,
    PipelineReference,
    PolygonLabel,
    Recipe,
    ResourceExhausted,
    Sample,
    ServerError,
    SourceError,
    Step,
    StreamSample,
    Unavailable,
    Url,
    Visibility,
)

from tests.unit.client.augmenter import Augmenter
from tests.unit.client.server import Serve, client_of, refuse

ROTATE = Pipeline((Step("rotate", 0.5, {"angle": [-20, 20]}),))
LABELS = PictureLabels(
    boxes=(BoxLabel(1, 2, 3.5, 4, "fox", "b", rotation=30, oriented=True),),
    polygons=(PolygonLabel((((0, 0), (5, 0), (5, 5)), ((7, 7), (8, 7), (8, 8))), "deer", "p"),),
    keypoints=(KeypointLabel(9, 9, "left_eye", "k", Visibility.HIDDEN), KeypointLabel(0, 0, "right_eye", "l", Visibility.ABSENT)),
    masks=(MaskLabel(b"\x89PNG", "ground", "m"),),
)


def test_pipelines_are_the_same_after_json() -> None:
    pipeline = Pipeline(
        steps=(Step("one_of", 0.7, steps=(Step("rotate", parameters={"angle": [-20.5, 20]}), Step("invert", 0.0))), Step("hue")),
        fill=Fill(FillKind.EDGE, (1, 2, 255)),
        labels=LabelRules(0.25, 4.0, (("left_eye", "right_eye"),)),
        output=Output(Format.WEBP, 80, True),
        version=1,
    )
    assert Pipeline.from_json(pipeline.to_json()) == pipeline
    assert pipeline.to_json()["steps"][0]["steps"][0] == {"transform": "rotate", "parameters": {"angle": [-20.5, 20]}}
    assert Pipeline.from_json({}) == Pipeline()
    assert Pipeline().to_json() == {}


def test_pipelines_are_taken_as_people_have_them() -> None:
    expected = Pipeline((Step("rotate"),), Fill(FillKind.MIRROR, (1, 2, 3)), output=Output(Format.JPEG))
    assert (
        Pipeline.from_json('{"steps":[{"transform":"rotate"}],"fill":"mirror","fillColour":[1,2,3],"output":{"format":"jpeg"}}') == expected
    )
    assert (
        Pipeline.from_json(
            '{"pipeline":{"steps":[{"transform":"rotate"}],"fill":"FILL_MIRROR","fill_colour":[1,2,3],"output":{"format":2}}}'
        )
        != expected
    )
    assert Pipeline.from_json('[{"transform":"rotate"}]') == Pipeline((Step("rotate"),))
    assert Pipeline.from_json('{"output":{"format":"keep"}}') == Pipeline()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "not JSON"),
        ("3", "a pipeline is a JSON object"),
        ('{"steps":[{"transfrom":"rotate"}]}', "steps[0] has no field “transfrom”; there are transform, probability, parameters, steps."),
        ('{"stpes":[]}', "the pipeline has no field “stpes”; there are version, steps"),
        ('{"steps":3}', "must be in []"),
        ('{"fill":"rainbow"}', "Invalid enum value FILL_RAINBOW"),
        ('{"fillColour":[1,2]}', "fillColour is [red, green, blue]"),
        ("[" * 3000, ""),
        ('{"steps":[' + '{"transform":"one_of","steps":[' * 40 + "]}" * 40 + "]}", ""),
    ],
)
def test_what_is_no_pipeline_is_said_in_a_sentence(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(SourceError) as raised:
        Pipeline.read(path)
    assert raised.value.reason == "PIPELINE_INVALID"
    assert str(raised.value).startswith(f"{path}: ")
    assert part in str(raised.value)


def test_labels_are_the_same_after_json_and_after_the_wire() -> None:
    assert PictureLabels.from_json(LABELS.to_json()) == LABELS
    assert PictureLabels.from_wire(LABELS.to_wire()) == LABELS
    with pytest.raises(SourceError, match="cannot be read"):
        PictureLabels.from_json({"boxen": []})


@pytest.mark.parametrize(
    "labels",
    [
        PictureLabels(boxes=(BoxLabel(0, 0, 0, 5),)),
        PictureLabels(boxes=(BoxLabel(float("nan"), 0, 5, 5),)),
        PictureLabels(boxes=(BoxLabel(2e6, 0, 5, 5),)),
        PictureLabels(boxes=(BoxLabel(0, 0, 5, 5, "x" * 201),)),
        PictureLabels(boxes=(BoxLabel(0, 0, 5, 5),) * 2001),
        PictureLabels(polygons=(PolygonLabel(()),)),
        PictureLabels(polygons=(PolygonLabel((((0, 0), (1, 1)),)),)),
        PictureLabels(polygons=(PolygonLabel((((0, 0), (1, float("inf")), (2, 2)),)),)),
        PictureLabels(polygons=(PolygonLabel((((0.0, 0.0),) * 20_000,)),) * 6),
        PictureLabels(keypoints=(KeypointLabel(float("-inf"), 0),)),
        PictureLabels(masks=(MaskLabel(b""),)),
    ],
)
def test_labels_that_no_server_takes_are_the_error_of_their_picture_alone(serve: Serve, labels: PictureLabels) -> None:
    with client_of(Augmenter().serve(serve)) as client:
        first, second, third = client.augmentations.stream([b"a", Sample(b"b", labels), b"c"], ROTATE)
    assert isinstance(first, Augmented)
    assert isinstance(second, SourceError)
    assert second.reason == "LABEL_INVALID"
    assert isinstance(third, Augmented)


def test_a_result_and_its_recipe_make_the_same_picture(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "fox.jpg").write_bytes(b"fox")
    with client_of(Augmenter().serve(serve)) as client:
        result = client.augmentations.apply(Sample(tmp_path / "fox.jpg", LABELS), ROTATE, seed=7, copy=3, further=[b"other"])
        assert (result.image, result.seed, result.copy) == (b"fox|7|3+other", 7, 3)
        assert result.labels.boxes[0].x == 4
        assert Recipe.from_json(result.recipe.to_json()) == result.recipe
        assert client.augmentations.apply(b"fox", result.recipe).recipe == result.recipe
        assert client.augmentations.apply(
            Url("https://example.org/a.jpg"), PipelineReference("00000000-0000-0000-0000-000000000001", "p")
        ).image
        shown = client.augmentations.preview(Sample(b"fox", LABELS), ROTATE, seed=7, count=3)
        assert [one.copy for one in shown.previews] == [0, 1, 2]
        assert (shown.original.full_width, shown.warnings[0].warning) == (100, True)
        with pytest.raises(InvalidArgument) as raised:
            client.augmentations.apply(b"bad", ROTATE)
        assert raised.value.reason == "NOT_AN_IMAGE"
        for picture in (b"", tmp_path / "none.jpg"):
            with pytest.raises(SourceError):
                client.augmentations.apply(picture, ROTATE)


def test_a_busy_service_is_asked_again_when_it_says_so_and_not_for_ever(serve: Serve) -> None:
    calls = []

    def busy(request: aug.ApplyRequest, context: grpc.ServicerContext) -> Any:
        calls.append(time.monotonic())
        if len(calls) < 3 or request.seed == 1:
            return refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "No place.", reason="WORKERS_BUSY", retry_after_s=0.05)
        return aug.ApplyResponse(augmented=aug.Augmented(image=b"x"))

    server = serve({"AugmentationService.Apply": busy})
    with client_of(server, patience_s=0.5) as client:
        assert client.augmentations.apply(b"a", ROTATE).image == b"x"
        assert calls[1] - calls[0] >= 0.05
        with pytest.raises(ResourceExhausted):
            client.augmentations.apply(b"a", ROTATE, seed=1)


@pytest.mark.parametrize(
    "breaks",
    [
        (),
        ((0, "STREAM_RENEW"), (1, "STREAM_RENEW"), (7, "STREAM_RENEW"), (50, "STREAM_RENEW")),
        ((3, ""), (5, "")),
        ((0, "busy"), (4, "stopping"), (1, "busy")),
    ],
)
def test_every_sample_is_answered_once_and_in_order_however_streams_break(serve: Serve, breaks: tuple[tuple[int, str], ...]) -> None:
    augmenter = Augmenter(breaks)
    samples = [
        StreamSample(Sample(b"bad" if n % 10 == 3 else b"%d" % n), tuple(range(n % 4)), (Sample(b"o"),) * (n % 2)) for n in range(60)
    ]
    samples[5] = StreamSample(Sample(b""), (0, 1))
    with client_of(augmenter.serve(serve)) as client:
        answers = client.augmentations.stream(samples, ROTATE, seed=9, in_flight=10)
        got = [(one.reason or "?") if isinstance(one, Exception) else one.image.decode() for one in answers]
    expected = []
    for n, sample in enumerate(samples):
        for copy in sample.copies or (0,):
            good = f"{n}|9|{copy}" + "+o" * (n % 2)
            expected.append("EMPTY" if n == 5 else "NOT_AN_IMAGE" if n % 10 == 3 else good)
    assert got == expected
    assert len(augmenter.streams) == len(breaks) + 1


def test_a_picture_that_workers_die_of_is_not_sent_for_ever(serve: Serve) -> None:
    with client_of(Augmenter().serve(serve)) as client:
        first, second = client.augmentations.stream([b"deadly", b"b"], ROTATE)
    assert isinstance(first, Unavailable)
    assert first.reason == "WORKER_LOST"
    assert isinstance(second, Augmented)


def test_a_service_that_stays_busy_is_given_up_on(serve: Serve) -> None:
    with client_of(Augmenter(((0, "busy"),) * 1000).serve(serve)) as client, pytest.raises(ResourceExhausted):
        list(client.augmentations.stream([b"a"], ROTATE, patience_s=0.25))


def test_what_is_wrong_with_all_ends_the_stream_with_its_type(serve: Serve) -> None:
    def refused(requests: Iterator[aug.ApplyStreamRequest], context: grpc.ServicerContext) -> Any:
        return refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "No.", reason="PIPELINE_INVALID", violations=[("steps[0]", "no")])

    with client_of(serve({"AugmentationService.ApplyStream": refused})) as client, pytest.raises(InvalidArgument) as raised:
        list(client.augmentations.stream([b"a"], ROTATE))
    assert raised.value.violations[0].field == "steps[0]"


def test_a_server_that_is_away_is_waited_for_as_long_as_was_said(serve: Serve) -> None:
    with client_of(Augmenter(((0, ""),) * 1000).serve(serve)) as client, pytest.raises(Unavailable):
        list(client.augmentations.stream([b"a"], ROTATE, patience_s=0.25))


def test_answers_to_nothing_and_missing_answers_are_the_servers_fault(serve: Serve) -> None:
    def strange(requests: Iterator[aug.ApplyStreamRequest], _: grpc.ServicerContext) -> Iterator[aug.ApplyStreamResponse]:
        kind = next(requests).seed
        next(requests)
        if kind:
            yield aug.ApplyStreamResponse(results=[aug.StreamResult(index=0, copy=4)])

    with client_of(serve({"AugmentationService.ApplyStream": strange})) as client:
        for seed, part in ((0, "before it had answered"), (1, "something else")):
            with pytest.raises(ServerError, match=part):
                list(client.augmentations.stream([b"a"], ROTATE, seed=seed))


def test_no_more_is_read_than_may_be_under_way_and_a_reader_that_stops_ends_it(serve: Serve) -> None:
    read: list[int] = []

    def samples() -> Iterator[bytes]:
        for number in range(10_000):
            read.append(number)
            yield b"%d" % number

    with client_of(Augmenter().serve(serve)) as client:
        answers = client.augmentations.stream(samples(), ROTATE, in_flight=4)
        next(answers)
        time.sleep(0.15)
        # Up to 4 sent, up to 4 ready, one in hand; and grpc takes further messages while the answers wait to be read.
        assert len(read) < 40
        answers.close()  # type: ignore[attr-defined]  # a generator
        before = len(read)
        time.sleep(0.1)
        assert len(read) <= before + 1
    assert not any(thread.name == "labelmesh-samples" for thread in threading.enumerate())


def test_what_the_callers_iterator_raises_comes_after_what_stood_before_it(serve: Serve) -> None:
    def samples() -> Iterator[bytes]:
        yield b"a"
        yield b"b"
        raise RuntimeError("the disk is gone")

    got = []
    with client_of(Augmenter().serve(serve)) as client, pytest.raises(RuntimeError, match="disk"):
        for answer in client.augmentations.stream(samples(), ROTATE):
            got.append(answer)
    assert len(got) == 2


def test_an_item_that_no_message_holds_is_its_own_error(serve: Serve) -> None:
    large = Sample(bytes(9 * 1024 * 1024))
    with client_of(Augmenter().serve(serve)) as client:
        first, second = client.augmentations.stream([StreamSample(large, (0,), (large, large)), b"b"], ROTATE)
    assert isinstance(first, SourceError)
    assert first.reason == "TOO_LARGE"
    assert isinstance(second, Augmented)


def test_pipelines_are_saved_listed_and_got_back_as_they_were(serve: Serve) -> None:
    project = "00000000-0000-0000-0000-000000000001"
    with client_of(Augmenter().serve(serve)) as client:
        pipelines = client.pipelines
        assert pipelines.save(project, "mild", ROTATE, note="first").version == 1
        flipped = Pipeline((Step("horizontal_flip"),))
        assert pipelines.save(project, "mild", flipped, previous_version=1).version == 2
        assert [one.version for one in pipelines.list(project, "mild")] == [2, 1]
        assert [one.pipeline for one in pipelines.list(project)] == [flipped]
        assert pipelines.get(project, "mild", 1).pipeline == ROTATE
        pipelines.delete(project, "mild")
        assert list(pipelines.list(project)) == []
        checked = pipelines.validate(Pipeline((Step("rotate"), Step("rotat"))))
        assert (checked.valid, checked.findings[0].field, checked.pipeline) == (False, "steps[1].transform", None)
        assert pipelines.validate(ROTATE).pipeline == ROTATE
        rotate, mosaic, one_of = pipelines.transforms()
        assert (rotate.family, rotate.parameters[0].kind, rotate.parameters[0].default) == ("geometry", "number", [-15, 15])
        assert (mosaic.further_pictures, one_of.holds_steps) == (3, True)
