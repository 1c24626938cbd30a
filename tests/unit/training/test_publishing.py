"""A version is published and registered, or neither."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from labelmesh.inference.v1 import trainings_pb2
from labelmesh_client import Client, ConfigurationError, FailedPrecondition, ModelRepository, RunningTraining, Unavailable
from labelmesh_training.keeping import TrainingLost
from labelmesh_training.manifests import digits_manifest
from labelmesh_training.publishing import Publication, problem_of, publish

from tests.unit.client.server import ScriptedServer, client_of, refuse

ID = "9f0c1f0e-7d3b-4b0f-9b69-8a2d1f6f6a11"
PUBLICATION = Publication(digits_manifest("digits"), {"accuracy": 0.9}, ("stable",), ())


class Mesh:
    """A mesh whose FinishTraining does what a test says; the training's state follows."""

    def __init__(self) -> None:
        self.finish: Callable[[Any, grpc.ServicerContext], Any] = self._succeed
        self.state = trainings_pb2.TRAINING_STATE_RUNNING
        self.problem = ""
        self.aliases: list[str] = []
        self.server = ScriptedServer(
            {
                "TrainingService.StartTraining": lambda *_: trainings_pb2.StartTrainingResponse(training=self.training(), lease="lease"),
                "TrainingService.FinishTraining": self._finish,
                "TrainingService.ReportTraining": lambda *_: trainings_pb2.ReportTrainingResponse(training=self.training()),
                "TrainingService.GetTraining": self._get,
            }
        )
        self.away = False

    def training(self) -> trainings_pb2.Training:
        return trainings_pb2.Training(id=ID, model="digits", version=4, state=self.state, problem=self.problem)

    def _finish(self, request: trainings_pb2.FinishTrainingRequest, context: grpc.ServicerContext) -> Any:
        if request.HasField("manifest"):
            self.aliases = list(request.aliases)
            return self.finish(request, context)
        self.state, self.problem = trainings_pb2.TRAINING_STATE_FAILED, request.problem
        return trainings_pb2.FinishTrainingResponse(training=self.training())

    def _succeed(self, *_: object) -> trainings_pb2.FinishTrainingResponse:
        self.state = trainings_pb2.TRAINING_STATE_SUCCEEDED
        return trainings_pb2.FinishTrainingResponse(training=self.training())

    def _get(self, _: object, context: grpc.ServicerContext) -> trainings_pb2.GetTrainingResponse:
        if self.away:
            refuse(context, grpc.StatusCode.INTERNAL, "out of order")
        return trainings_pb2.GetTrainingResponse(training=self.training())


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    made = Mesh()
    yield made
    made.server.stop()


@pytest.fixture
def client(mesh: Mesh) -> Iterator[Client]:
    with client_of(mesh.server, patience_s=0.2) as opened:
        yield opened


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    made = ModelRepository(tmp_path / "models")
    made.prepare()
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "written"
    made.mkdir()
    (made / "saved_model.pb").write_bytes(b"a model")
    return made


def run(client: Client, repository: ModelRepository, folder: Path, said: list[str] | None = None) -> RunningTraining:
    training = client.trainings.start("digits")
    publish(client.trainings, repository, training, folder, PUBLICATION, lambda: (said or []).append("published"), patience_s=0.3)
    return training


def test_a_version_is_served_and_registered(mesh: Mesh, client: Client, repository: ModelRepository, folder: Path) -> None:
    run(client, repository, folder)
    assert repository.served("digits") == (4,)
    assert (repository.folder("digits", 4) / "saved_model.pb").read_bytes() == b"a model"
    assert mesh.aliases == ["stable"] and not folder.exists()


def test_a_version_that_fails_its_checks_goes_again(mesh: Mesh, client: Client, repository: ModelRepository, folder: Path) -> None:
    def fail(_: object, context: grpc.ServicerContext) -> None:
        mesh.state = trainings_pb2.TRAINING_STATE_FAILED
        refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "the prediction failed", reason="CHECKS_FAILED")

    mesh.finish = fail
    with pytest.raises(FailedPrecondition):
        run(client, repository, folder)
    assert repository.versions("digits") == repository.served("digits") == ()


def test_a_version_that_the_model_server_never_loads_goes_again(
    mesh: Mesh, client: Client, repository: ModelRepository, folder: Path
) -> None:
    mesh.finish = lambda _, context: refuse(context, grpc.StatusCode.UNAVAILABLE, "not loaded", reason="VERSION_NOT_AVAILABLE")
    with pytest.raises(Unavailable):
        run(client, repository, folder)
    assert (mesh.state, mesh.problem) == (trainings_pb2.TRAINING_STATE_FAILED, "not loaded")
    assert repository.versions("digits") == repository.served("digits") == ()


def test_a_version_of_a_lost_training_goes_again(mesh: Mesh, client: Client, repository: ModelRepository, folder: Path) -> None:
    def lose(_: object, context: grpc.ServicerContext) -> None:
        mesh.state = trainings_pb2.TRAINING_STATE_LOST
        refuse(context, grpc.StatusCode.ABORTED, "not yours", reason="TRAINING_LOST")

    mesh.finish = lose
    with pytest.raises(TrainingLost):
        run(client, repository, folder)
    assert repository.versions("digits") == repository.served("digits") == ()


def test_a_version_stays_when_it_may_have_been_registered(mesh: Mesh, client: Client, repository: ModelRepository, folder: Path) -> None:
    def lose_the_answer(_: object, context: grpc.ServicerContext) -> None:
        mesh.away = True
        refuse(context, grpc.StatusCode.INTERNAL, "the answer got lost")

    mesh.finish = lose_the_answer
    with pytest.raises(Exception, match="the answer got lost"):
        run(client, repository, folder)
    assert repository.served("digits") == (4,)


def test_a_stop_by_hand_takes_the_version_back(mesh: Mesh, client: Client, repository: ModelRepository, folder: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    training = client.trainings.start("digits")
    with pytest.raises(KeyboardInterrupt):
        publish(client.trainings, repository, training, folder, PUBLICATION, stop)
    assert (mesh.problem, repository.versions("digits")) == ("it was stopped", ())


def test_a_version_that_is_there_is_not_replaced(mesh: Mesh, client: Client, repository: ModelRepository, folder: Path) -> None:
    there = repository.folder("digits", 4)
    there.mkdir(parents=True)
    (there / "saved_model.pb").write_bytes(b"of somebody else")
    with pytest.raises(ConfigurationError, match="has a version 4 of digits already"):
        run(client, repository, folder)
    assert (there / "saved_model.pb").read_bytes() == b"of somebody else"


def test_problems_are_told_in_words() -> None:
    assert problem_of(KeyboardInterrupt()) == "it was stopped"
    assert problem_of(Unavailable("the disk is full")) == "the disk is full"
    assert problem_of(ZeroDivisionError("division by zero")) == "ZeroDivisionError: division by zero"
