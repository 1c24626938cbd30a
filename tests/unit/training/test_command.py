"""`labelmesh train digits` and `labelmesh model import-frozen-graph`, as far as they go without TensorFlow."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from labelmesh.inference.v1 import trainings_pb2
from labelmesh.labeling.v1 import projects_pb2
from labelmesh_client import SourceError
from labelmesh_client.command.main import main
from labelmesh_client.command.terminal import Terminal
from labelmesh_client.trainings import TrainingProgress
from labelmesh_training.display import Display, described
from labelmesh_training.frozen_command import read_labels
from labelmesh_training.warm_up import warm_up_record

from tests.unit.client.server import Behaviour, ScriptedServer, refuse

ID = "9f0c1f0e-7d3b-4b0f-9b69-8a2d1f6f6a11"


class Ran:
    """A command that ran in this process."""

    def __init__(self, *argv: str, **environment: str) -> None:
        out, err = io.StringIO(), io.StringIO()
        try:
            self.code: Any = main(argv, Terminal({"LABELMESH_API_KEY": "lmk_test", **environment}, io.StringIO(), out, err))
        except SystemExit as left:
            self.code = left.code
        self.out, self.err = out.getvalue(), err.getvalue()


@pytest.fixture
def scripted() -> Iterator[Any]:
    """Starts a mesh that has no projects, with these methods of trainings."""
    servers: list[ScriptedServer] = []

    def start(**trainings: Behaviour) -> ScriptedServer:
        behaviours: dict[str, Behaviour] = {f"TrainingService.{name}": behaviour for name, behaviour in trainings.items()}
        behaviours["ProjectService.ListProjects"] = lambda *_: projects_pb2.ListProjectsResponse()
        servers.append(ScriptedServer(behaviours))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def running(context: grpc.ServicerContext) -> Any:
    from google.rpc import error_details_pb2, status_pb2

    status = status_pb2.Status(code=grpc.StatusCode.FAILED_PRECONDITION.value[0], message="digits is being trained already")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="TRAINING_RUNNING", metadata={"training_id": ID}))
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, status.message)


def watched(*states: Any, problem: str = "") -> Behaviour:
    """A stream of a training with these states, its epochs counting up."""

    def watch(_request: Any, _context: grpc.ServicerContext) -> Iterator[trainings_pb2.WatchTrainingResponse]:
        for epoch, state in enumerate(states, 1):
            progress = trainings_pb2.TrainingProgress(stage="training", epoch=epoch, epochs=9, done=epoch / 10, metrics={"loss": 0.5})
            training = trainings_pb2.Training(id=ID, model="digits", version=3, state=state, progress=progress, problem=problem)
            yield trainings_pb2.WatchTrainingResponse(training=training)

    return watch


def test_without_a_repository_the_command_says_how_to_name_one() -> None:
    ran = Ran("train", "digits")
    assert ran.code == 1 and "--repository DIR or set LABELMESH_MODELS" in ran.err


def test_options_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    for argv in (("--epochs", "0"), ("--promote", "maybe"), ("--seed", "x")):
        assert Ran("train", "digits", *argv).code == 2
    ran = Ran("train", "digits", "--no-reference", "--mnist", str(tmp_path), "--repository", str(tmp_path))
    assert ran.code == 1 and "contradict" in ran.err


def test_a_repository_that_cannot_be_used_starts_no_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "missing"):
        ran = Ran("train", "digits", "--repository", str(path))
        assert ran.code == 1 and "There is no model repository" in ran.err
    assert not (tmp_path / "missing").exists()


def test_a_model_that_exists_is_left_alone_at_first_starts(scripted: Any, tmp_path: Path) -> None:
    server = scripted(StartTraining=lambda _, context: refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "there", reason="MODEL_EXISTS"))
    ran = Ran("train", "digits", "--if-none", "--repository", str(tmp_path), LABELMESH_ADDRESS=server.address)
    assert (ran.code, "nothing was trained" in ran.err) == (0, True)


def test_a_training_that_runs_already_is_shown_until_it_succeeds(scripted: Any, tmp_path: Path) -> None:
    states = (trainings_pb2.TRAINING_STATE_RUNNING, trainings_pb2.TRAINING_STATE_RUNNING, trainings_pb2.TRAINING_STATE_SUCCEEDED)
    server = scripted(StartTraining=lambda _, context: running(context), WatchTraining=watched(*states))
    ran = Ran("train", "digits", "--repository", str(tmp_path), LABELMESH_ADDRESS=server.address)
    assert ran.code == 0
    assert "training, epoch 1 of 9, loss 0.500" in ran.err and "version 3 of digits was trained" in ran.err


def test_a_training_that_runs_already_and_fails_is_a_failure(scripted: Any, tmp_path: Path) -> None:
    states = (trainings_pb2.TRAINING_STATE_RUNNING, trainings_pb2.TRAINING_STATE_FAILED)
    server = scripted(StartTraining=lambda _, context: running(context), WatchTraining=watched(*states, problem="the disk is full"))
    ran = Ran("train", "digits", "--repository", str(tmp_path), "--json", LABELMESH_ADDRESS=server.address)
    assert ran.code == 1 and "The training that was running failed: the disk is full." in ran.err
    assert [json.loads(line)["epoch"] for line in ran.out.splitlines()] == [1, 2]


def test_trainings_that_get_lost_again_and_again_are_not_waited_for_without_end(scripted: Any, tmp_path: Path) -> None:
    server = scripted(StartTraining=lambda _, context: running(context), WatchTraining=watched(trainings_pb2.TRAINING_STATE_LOST))
    ran = Ran("train", "digits", "--repository", str(tmp_path), LABELMESH_ADDRESS=server.address)
    assert ran.code == 1 and "3 in a row" in ran.err
    assert server.calls.count("TrainingService.StartTraining") == 3


def test_other_refusals_are_errors(scripted: Any, tmp_path: Path) -> None:
    server = scripted(StartTraining=lambda _, context: refuse(context, grpc.StatusCode.PERMISSION_DENIED, "managers only"))
    ran = Ran("train", "digits", "--repository", str(tmp_path), LABELMESH_ADDRESS=server.address)
    assert ran.code == 1 and "managers only" in ran.err


def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere() -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    progress = TrainingProgress("training", 3, 8, 0.5, {"loss": 0.1412, "accuracy": 0.957, "validation_accuracy": 0.981})
    assert described(progress) == "training, epoch 3 of 8, loss 0.141, accuracy 0.957, validation accuracy 0.981"
    now = [0.0]
    display = Display(Terminal({}, io.StringIO(), io.StringIO(), Screen()), json=False, clock=lambda: now[0])
    now[0] = 20.0
    assert display.bar(progress).startswith("[###############---------------] training, epoch 3 of 8")
    assert display.bar(progress).endswith("20 s left")
    assert display.bar(TrainingProgress("reading labels")).endswith("reading labels")
    lines = io.StringIO()
    display = Display(Terminal({}, io.StringIO(), io.StringIO(), lines), json=False)
    for _ in range(3):
        display.show(progress)
    assert lines.getvalue().count("\n") == 1


def test_labels_are_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_text("\ufeffanimal\n person \n\n", encoding="utf-8")
    assert read_labels(path) == ("animal", "person")
    for content, problem in (("", "has 0 names"), ("fox\n\ndeer\n", "line 2"), ("x" * 201, "line 1")):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(SourceError, match=problem):
            read_labels(path)
    with pytest.raises(SourceError, match="cannot be read"):
        read_labels(tmp_path / "missing")


def test_a_graph_is_imported_under_the_name_of_a_model_only(tmp_path: Path) -> None:
    ran = Ran("model", "import-frozen-graph", "graph.pb", "--name", "Mega Detector")
    assert ran.code == 1 and "no name of a model" in ran.err
    ran = Ran("model", "import-frozen-graph", "graph.pb", "--name", "mega", "--out", str(tmp_path))
    assert ran.code == 1 and "is there already" in ran.err


def test_warm_up_calls_hold_their_tensors_as_bytes() -> None:
    record = warm_up_record("digits", "serving_default", {"images": np.ones((2, 28, 28, 1), np.float32)})
    assert record[:1] == b"\x32" and len(record) > 2 * 28 * 28 * 4
    assert b"digits" in record and np.ones(4, np.float32).tobytes() in record
