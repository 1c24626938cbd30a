"""A program that asks models through the gateway, with an API key."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

import grpc
from labelmesh.inference.v1 import models_pb2, models_pb2_grpc, predictions_pb2, predictions_pb2_grpc, trainings_pb2, trainings_pb2_grpc

from tests.e2e.edge.test_tokens import reason_of
from tests.support.mesh import LocalMesh

MODEL = "digits"
SCOPES = ("inference.read", "inference.predict", "inference.manage")
CALL_S = 30.0
Prediction = predictions_pb2.Prediction


class Asker:
    """Calls of a program that may do everything with models."""

    def __init__(self, mesh: LocalMesh, key: str) -> None:
        self.mesh = mesh
        self.key = key
        self.metadata = (("x-api-key", key),)
        self.channel = grpc.insecure_channel(f"127.0.0.1:{mesh.port}", options=[("grpc.use_local_subchannel_pool", 1)])
        self.predictions = predictions_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = models_pb2_grpc.ModelServiceStub(self.channel)
        self.trainings = trainings_pb2_grpc.TrainingServiceStub(self.channel)

    def close(self) -> None:
        self.channel.close()

    def predict(self, png: bytes, *, timeout: float = CALL_S, **choice: Any) -> Prediction:
        wanted = predictions_pb2.PredictRequest(
            model=predictions_pb2.ModelChoice(model=MODEL, **choice), input=predictions_pb2.Input(image=png)
        )
        return self.predictions.Predict(wanted, metadata=self.metadata, timeout=timeout).prediction

    def classic(self, image: object, path: str = "/predict") -> tuple[int, Any]:
        """Status and JSON of the classic interface."""
        return self.mesh.call("POST", path, {"image": image}, key=self.key)

    def model(self) -> models_pb2.Model:
        return self.models.GetModel(models_pb2.GetModelRequest(model=MODEL), metadata=self.metadata, timeout=CALL_S).model

    def versions(self) -> list[int]:
        """Numbers of the registered versions that can answer, newest first."""
        available = models_pb2.VERSION_STATE_AVAILABLE
        return [each.version for each in self.model().versions if each.state == available and each.HasField("manifest")]

    def alias(self, name: str) -> int:
        """The version that an alias leads to; 0 where there is no such alias."""
        return next((each.version for each in self.model().routing.aliases if each.name == name), 0)

    def training_list(self) -> list[trainings_pb2.Training]:
        """Newest first."""
        wanted = trainings_pb2.ListTrainingsRequest(model=MODEL, page_size=100)
        return list(self.trainings.ListTrainings(wanted, metadata=self.metadata, timeout=CALL_S).trainings)


def best(prediction: Prediction) -> int:
    """The digit that the model found most likely."""
    return int(prediction.result.classification.classes[0].label)


def reason_in(reply: Any) -> str:
    """The same of an error as JSON."""
    return next((str(each["reason"]) for each in reply["details"] if "reason" in each), "")


@dataclass
class Crowd:
    """What became of calls that were made all the time: the versions that answered, in order, and what failed."""

    versions: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@contextmanager
def asked_all_the_time(ask: Callable[[], int], askers: int = 2, pause_s: float = 0.02) -> Iterator[Crowd]:
    """Calls `ask`, which returns the version that answered, from several threads for as long as the block lasts."""
    crowd, ended = Crowd(), Event()

    def go_on() -> None:
        while not ended.is_set():
            try:
                crowd.versions.append(ask())
            except grpc.RpcError as error:
                crowd.failures.append(f"{reason_of(error)} {error}")
            time.sleep(pause_s)

    threads = [Thread(target=go_on) for _ in range(askers)]
    for thread in threads:
        thread.start()
    try:
        yield crowd
    finally:
        ended.set()
        for thread in threads:
            thread.join()
