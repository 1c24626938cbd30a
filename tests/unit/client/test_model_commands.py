"""The commands around models as a person meets them: sentences, exit codes, and what other distributions bring along."""

from __future__ import annotations

import argparse
import io
import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import grpc
import pytest
from labelmesh.inference.v1 import predictions_pb2 as pred
from labelmesh.inference.v1 import results_pb2 as res
from labelmesh.inference.v1 import tensors_pb2
from labelmesh.labeling.v1 import annotations_pb2 as ann
from labelmesh.labeling.v1 import images_pb2 as img
from labelmesh_client.command.main import main
from labelmesh_client.command.plugins import add_from
from labelmesh_client.command.predicting import in_a_line
from labelmesh_client.command.terminal import Terminal
from labelmesh_client.results import result_from_wire

from tests.unit.client.answers import PROJECT, answered, get_project
from tests.unit.client.server import Serve, refuse
from tests.unit.client.test_command import labelmesh


def batch(request: pred.PredictBatchRequest, _: grpc.ServicerContext) -> pred.PredictBatchResponse:
    return pred.PredictBatchResponse(items=[answered(one.image or one.url.encode()) for one in request.inputs])


def test_one_bad_file_does_not_keep_the_others_from_their_answers(serve: Serve, tmp_path: Path) -> None:
    server = serve({"PredictionService.PredictBatch": batch})
    for name in ("b.png", "a.jpg", "bad.png", "notes.txt"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "empty.png").write_bytes(b"")
    arguments = (str(tmp_path), str(tmp_path / "a.jpg"), "https://example.org/fox.jpg", str(tmp_path / "none.png"))
    ran = labelmesh(server, "predict", *arguments, "--model", "m")
    assert ran.code == 1
    assert ran.out.splitlines() == [
        f"{tmp_path}/a.jpg  a.jpg 100.0%",
        f"{tmp_path}/b.png  b.png 100.0%",
        "https://example.org/fox.jpg  https://example.org/fox.jpg 100.0%",
    ]
    assert f"{tmp_path}/bad.png: it is no image" in ran.err
    assert f"{tmp_path}/empty.png: {tmp_path}/empty.png is empty." in ran.err
    assert f"{tmp_path}/none.png: there is no such file" in ran.err
    assert "6 pictures, 3 without an answer" in ran.err
    good = labelmesh(server, "predict", str(tmp_path / "*.jpg"), str(tmp_path / "b.png"), "--model", "m")
    assert (good.code, len(good.out.splitlines())) == (0, 2)
    records = [json.loads(line) for line in labelmesh(server, "predict", *arguments, "--model", "m", "--json").out.splitlines()]
    assert [record.get("reason", "") for record in records] == ["", "", "NOT_AN_IMAGE", "EMPTY", "", "UNREADABLE"]
    nothing = labelmesh(server, "predict", str(tmp_path / "*.gif"), "--model", "m")
    assert (nothing.code, nothing.err) == (1, "labelmesh: There are no JPEG or PNG files there.\n")


def test_one_picture_is_answered_with_all_there_is_to_know(serve: Serve, tmp_path: Path) -> None:
    asked: list[pred.PredictRequest] = []

    def predict(request: pred.PredictRequest, context: grpc.ServicerContext) -> Any:
        asked.append(request)
        if request.model.model == "busy":
            return refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "The model is busy", reason="MODEL_BUSY", retry_after_s=0.1)
        prediction = pred.Prediction(id="id-1", model="digits", version=3, alias="stable")
        prediction.result.classification.classes.add(label="7", score=0.9)
        prediction.result.classification.classes.add(label="1", score=0.1)
        prediction.timing.total.FromMicroseconds(5200)
        prediction.timing.model.FromMicroseconds(4000)
        return pred.PredictResponse(prediction=prediction)

    server = serve({"PredictionService.Predict": predict})
    path = tmp_path / "seven.png"
    path.write_bytes(b"seven")
    ran = labelmesh(server, "predict", str(path), "--model", "digits", "--top-k", "2", "--threshold", "0.05", "--alias", "stable")
    assert ran.code == 0
    assert ran.out.splitlines() == ["7   90.0%  ###########################", "1   10.0%  ###"]
    assert ran.err == "digits version 3 (stable), 5.2 ms: model 4.0 ms\nstored as id-1\n"
    (request,) = asked
    assert (request.input.image, request.model.alias, request.settings.top_k, request.settings.threshold) == (b"seven", "stable", 2, 0.05)
    record = json.loads(labelmesh(server, "predict", str(path), "--model", "digits", "--json").out)
    assert record["prediction"]["result"]["classes"][0] == {"label": "7", "index": 0, "score": 0.9}
    assert not asked[-1].settings.HasField("threshold")
    busy = labelmesh(server, "predict", str(path), "--model", "busy")
    assert (busy.code, busy.err) == (1, "labelmesh: The model is busy.\n")
    piped = io.TextIOWrapper(io.BytesIO(b"\x89PNG\xff\x00"))
    settings = {"LABELMESH_ADDRESS": server.address, "LABELMESH_API_KEY": "k", "HOME": "/nonexistent"}
    assert main(["predict", "-", "-m", "digits"], Terminal(settings, piped, io.StringIO(), io.StringIO())) == 0
    assert asked[-1].input.image == b"\x89PNG\xff\x00"


@pytest.mark.parametrize(
    "argv",
    [
        ["predict", "x.png"],
        ["predict", "x.png", "--model", "m", "--threshold", "2"],
        ["predict", "x.png", "--model", "m", "--version", "1", "--alias", "a"],
        ["model", "traffic", "m", "stable"],
        ["model", "traffic", "m", "stable=-1"],
        ["model", "traffic", "m", "--shadow", "canary=2"],
        ["model", "traffic", "m", "=1"],
        ["model", "feedback", "id"],
        ["model", "feedback", "id", "--correct", "--label", "7"],
        ["model"],
        ["labels"],
    ],
)
def test_arguments_that_make_no_sense_end_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        labelmesh("http://127.0.0.1:1", *argv)
    assert left.value.code == 2
    assert "usage: labelmesh" in capsys.readouterr().err


def test_every_result_has_a_line_for_people() -> None:
    box = res.Detection(box=res.Box(x_min=0.1, y_min=0.2, x_max=0.5, y_max=1), label="fox", score=0.93)
    tensor = tensors_pb2.NamedTensor(name="y", tensor=tensors_pb2.Tensor(data_type=tensors_pb2.DATA_TYPE_FLOAT32, shape=[2, 3]))
    segments = [res.Segment(label="grass", share=0.75)]
    cases = {
        "nothing above the threshold": res.Result(classification=res.Classification()),
        "fox 93.0% at 10%,20% to 50%,100%": res.Result(detections=res.Detections(detections=[box])),
        "nothing found (2 below the threshold)": res.Result(detections=res.Detections(below_threshold_count=2)),
        "1 body, best 80.0%": res.Result(poses=res.Poses(poses=[res.Pose(score=0.8)])),
        "grass 75.0% of the picture": res.Result(segmentation=res.Segmentation(width=2, height=2, segments=segments)),
        "y: float32[2, 3]": res.Result(raw=res.RawOutputs(tensors=[tensor])),
        "an answer that this version of the command does not know": res.Result(),
    }
    assert {in_a_line(result_from_wire(message)): message for message in cases.values()} == cases
    many = res.Result(detections=res.Detections(detections=[box] * 9))
    assert in_a_line(result_from_wire(many)).endswith("; fox 93.0% at 10%,20% to 50%,100%, and 4 more")


def test_labels_are_written_whole_or_not_at_all(serve: Serve, tmp_path: Path) -> None:
    fail = [False]

    def stream(_: object, context: grpc.ServicerContext) -> Any:
        for number in range(3):
            labeled = ann.LabeledImage(image=img.Image(id=str(number), name=f"{number}, x"), annotators_count=2, agreeing_count=1)
            labeled.class_id = "" if number == 1 else "7"
            yield ann.StreamLabelsResponse(images=[labeled], cursor=str(number))
        if fail[0]:
            refuse(context, grpc.StatusCode.PERMISSION_DENIED, "no longer")

    server = serve({"ProjectService.GetProject": get_project, "AnnotationService.StreamLabels": stream})
    out = tmp_path / "labels.csv"
    ran = labelmesh(server, "labels", PROJECT, "--out", str(out))
    assert (ran.code, ran.err) == (0, "3 labeled images of “digits”, 1 of them without a majority\n")
    assert out.read_text().splitlines()[1:] == ['0,"0, x",,7,2,1,0,0,', '1,"1, x",,,2,1,0,0,', '2,"2, x",,7,2,1,0,0,']
    lines = labelmesh(server, "labels", PROJECT, "--out", str(tmp_path / "labels.jsonl"))
    assert lines.code == 0
    assert [json.loads(line)["class_id"] for line in (tmp_path / "labels.jsonl").read_text().splitlines()] == ["7", None, "7"]
    unclear = labelmesh(server, "labels", PROJECT, "--out", str(tmp_path / "labels.txt"))
    assert (unclear.code, "say --format" in unclear.err) == (1, True)
    fail[0] = True
    before = out.read_text()
    assert labelmesh(server, "labels", PROJECT, "--out", str(out)).code == 1
    assert out.read_text() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.csv", "labels.jsonl"]


# --- commands of other distributions ---


def parser_with(points: list[EntryPoint]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    commands.add_parser("mine")
    add_from(commands, points)
    return parser


def add_greeting(commands: Any) -> None:
    """A command as another distribution brings it."""
    commands.add_parser("greet").set_defaults(greeting="hello")


def test_commands_of_other_distributions_stand_beside_ours_and_replace_none() -> None:
    here = f"{__name__}:add_greeting"
    parser = parser_with([EntryPoint("greet", here, "labelmesh.commands"), EntryPoint("mine", here, "labelmesh.commands")])
    assert parser.parse_args(["greet"]).greeting == "hello"
    assert not hasattr(parser.parse_args(["mine"]), "greeting")


def test_a_distribution_that_cannot_be_loaded_says_so_and_keeps_no_other_command_from_working() -> None:
    parser = parser_with([EntryPoint("broken", "no_such_module:add", "labelmesh.commands")])
    parser.parse_args(["mine"])
    arguments = parser.parse_args(["broken", "--epochs", "3", "--help"])
    with pytest.raises(Exception, match="`broken` of another distribution cannot be loaded: ModuleNotFoundError: No module named"):
        arguments.handler(arguments, None)


def test_all_commands_are_shown_also_those_of_others(capsys: pytest.CaptureFixture[str]) -> None:
    for argv, shown in (([], "    train "), (["model"], "    import-frozen-graph")):
        with pytest.raises(SystemExit):
            labelmesh("http://127.0.0.1:1", *argv, "--help")
        assert shown in capsys.readouterr().out
