"""The commands around models where they start an interpreter of their own or wait."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from labelmesh.inference.v1 import models_pb2 as mod
from labelmesh.inference.v1 import trainings_pb2

from tests.unit.client.server import Serve, refuse
from tests.unit.client.test_command import labelmesh


def test_a_version_is_taken_out_again_when_checking_breaks_off(serve: Serve, tmp_path: Path) -> None:
    """Whatever happens after it was put in: here the caller's rights end."""
    calls = []

    def register(request: mod.RegisterModelRequest, context: grpc.ServicerContext) -> Any:
        calls.append(request.version)
        if len(calls) > 2:
            return refuse(context, grpc.StatusCode.PERMISSION_DENIED, "no longer", reason="ROLE_MISSING")
        check = mod.Check(name="served", outcome=mod.Check.OUTCOME_FAILED, message="version 1 is loading")
        return mod.RegisterModelResponse(checks=[check])

    def nothing(_: object, context: grpc.ServicerContext) -> Any:
        return refuse(context, grpc.StatusCode.NOT_FOUND, "there is no such model", reason="MODEL_NOT_FOUND")

    server = serve(
        {
            "ModelService.RegisterModel": register,
            "ModelService.GetModel": nothing,
            "TrainingService.ListTrainings": lambda *_: trainings_pb2.ListTrainingsResponse(),
        }
    )
    model = tmp_path / "made"
    (model / "assets.extra").mkdir(parents=True)
    (model / "saved_model.pb").write_bytes(b"x")
    (model / "assets.extra" / "labelmesh.yaml").write_text("model: m\ninput: {kind: tensor}\nraw: {}\n")
    repository = tmp_path / "models"
    repository.mkdir()
    ran = labelmesh(server, "model", "add", str(model), "--repository", str(repository))
    assert (ran.code, ran.err.splitlines()[-1]) == (1, "labelmesh: no longer.")
    assert calls[1:] == [1, 1]
    assert [entry.name for entry in repository.iterdir() if entry.is_dir()] == []
    assert "config {" not in (repository / "models.config").read_text()


@pytest.mark.parametrize(
    ("argv", "heavy"),
    [
        (["--help"], {"tensorflow", "sklearn"}),
        (["train", "--help"], {"tensorflow", "sklearn"}),
        (["projects", "--help"], {"tensorflow", "sklearn", "numpy", "PIL", "yaml", "labelmesh_training", "labelmesh_chassis"}),
        (["model", "add", "--help"], {"tensorflow", "sklearn", "numpy", "PIL", "yaml", "labelmesh_training", "labelmesh_chassis"}),
    ],
)
def test_help_is_quick_to_come_because_nothing_heavy_is_imported(argv: list[str], heavy: set[str]) -> None:
    program = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
    program += "from labelmesh_client.command.main import main\nmain(sys.argv[1:], None)"
    ran = subprocess.run([sys.executable, "-c", program, *argv], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.startswith("usage: ")
    assert {name.partition(".")[0] for name in ran.stderr.split()} & heavy == set()


_WITHOUT_TRAINING = """
import importlib.metadata as metadata, sys
real = metadata.entry_points
metadata.entry_points = lambda **what: [] if what["group"].startswith("labelmesh.") else real(**what)
from labelmesh_client.command.main import run
sys.argv = ["labelmesh", *sys.argv[1:]]
run()
"""


@pytest.mark.parametrize("argv", [["train", "digits", "--epochs", "3"], ["train", "--help"], ["model", "import-frozen-graph", "x.pb"]])
def test_without_the_training_distribution_the_command_says_what_to_install(argv: list[str]) -> None:
    ran = subprocess.run([sys.executable, "-c", _WITHOUT_TRAINING, *argv], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "needs the distribution labelmesh-training: pip install labelmesh-training" in ran.stderr
