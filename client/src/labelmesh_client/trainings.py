"""Trainings: one at a time for each model, reported by whoever runs them."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from labelmesh.inference.v1 import manifests_pb2, trainings_pb2

from labelmesh_client.errors import Aborted, Cancelled, LabelmeshError
from labelmesh_client.models import ModelVersion
from labelmesh_client.services import Services
from labelmesh_client.streams import patiently, resumed
from labelmesh_client.timestamps import moment

_PAGE = 200
#: How long the model server may take to load a version that was just written.
LOADING_S = 120.0


class TrainingState(StrEnum):
    """How a training stands. A lost one fell silent for longer than its lease."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"


_STATES = {
    trainings_pb2.TRAINING_STATE_RUNNING: TrainingState.RUNNING,
    trainings_pb2.TRAINING_STATE_SUCCEEDED: TrainingState.SUCCEEDED,
    trainings_pb2.TRAINING_STATE_FAILED: TrainingState.FAILED,
    trainings_pb2.TRAINING_STATE_LOST: TrainingState.LOST,
}


@dataclass(frozen=True)
class TrainingProgress:
    """How far a training is: what it does now, for people; the epoch from 1 of `epochs`; `done` of the whole, 0 to 1; metrics by name."""

    stage: str = ""
    epoch: int = 0
    epochs: int = 0
    done: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)

    @staticmethod
    def from_wire(message: trainings_pb2.TrainingProgress) -> TrainingProgress:
        return TrainingProgress(message.stage, message.epoch, message.epochs, message.done, dict(message.metrics))

    def to_wire(self) -> trainings_pb2.TrainingProgress:
        return trainings_pb2.TrainingProgress(
            stage=self.stage, epoch=self.epoch, epochs=self.epochs, done=self.done, metrics=dict(self.metrics)
        )


@dataclass(frozen=True)
class Training:
    """A training as it was when it was read. `version` is the number that is reserved for what it makes; `history` has each epoch's end."""

    id: str
    model: str
    state: TrainingState | None
    version: int
    progress: TrainingProgress
    problem: str
    started_by: str
    start_time: datetime | None
    end_time: datetime | None
    history: tuple[TrainingProgress, ...]

    @staticmethod
    def from_wire(message: trainings_pb2.Training) -> Training:
        return Training(
            id=message.id,
            model=message.model,
            state=_STATES.get(message.state),
            version=message.version,
            progress=TrainingProgress.from_wire(message.progress),
            problem=message.problem,
            started_by=message.started_by,
            start_time=moment(message, "start_time"),
            end_time=moment(message, "end_time"),
            history=tuple(map(TrainingProgress.from_wire, message.history)),
        )


class RunningTraining:
    """A training that this program runs: it says how far it is at least every `lease_duration_s` seconds, and how it ended."""

    def __init__(self, services: Services, training: Training, lease: str, lease_duration_s: float) -> None:
        self._services = services
        self._lease = lease
        self.training = training
        self.lease_duration_s = lease_duration_s

    @property
    def id(self) -> str:
        return self.training.id

    @property
    def version(self) -> int:
        """The number that is reserved for the version it makes."""
        return self.training.version

    def report(self, progress: TrainingProgress | None = None) -> Training:
        """Says how far it is, or only that it lives. Raises Aborted (TRAINING_LOST): end then without leaving a version."""
        request = trainings_pb2.ReportTrainingRequest(
            training_id=self.id, lease=self._lease, progress=progress.to_wire() if progress is not None else None
        )
        self.training = Training.from_wire(self._services.trainings.ReportTraining(request).training)
        return self.training

    @contextmanager
    def kept_alive(self) -> Iterator[threading.Event]:
        """Reports by itself, from a thread, while something takes long; the event says that the training was lost meanwhile."""
        ended, lost = threading.Event(), threading.Event()
        thread = threading.Thread(target=self._keep_alive, args=(ended, lost), name="labelmesh-training", daemon=True)
        thread.start()
        try:
            yield lost
        finally:
            ended.set()
            thread.join()

    def _keep_alive(self, ended: threading.Event, lost: threading.Event) -> None:
        request = trainings_pb2.ReportTrainingRequest(training_id=self.id, lease=self._lease)
        while not ended.wait(self.lease_duration_s / 4):
            try:
                self._services.trainings.ReportTraining(request, timeout=self.lease_duration_s / 2)
            except (Aborted, Cancelled):
                lost.set()
                return
            except LabelmeshError:
                continue  # The server is away; the lease may last until it is back.

    def finish(
        self,
        manifest: manifests_pb2.ModelManifest,
        *,
        metrics: Mapping[str, float] | None = None,
        aliases: Sequence[str] = (),
        patience_s: float = LOADING_S,
    ) -> ModelVersion:
        """Registers the version, which lies before the model server by now; waits up to `patience_s` seconds for it to be loaded.

        Raises FailedPrecondition (CHECKS_FAILED), with which the training has failed, Aborted (TRAINING_LOST), and Unavailable
        (VERSION_NOT_AVAILABLE) when the model server has not loaded it in time; whether that is a failure is up to the caller.
        """
        request = trainings_pb2.FinishTrainingRequest(
            training_id=self.id, lease=self._lease, manifest=manifest, metrics=dict(metrics or {}), aliases=aliases
        )
        with self.kept_alive():
            reply = patiently(self._services.connection, lambda: self._services.trainings.FinishTraining(request), patience_s=patience_s)
        self.training = Training.from_wire(reply.training)
        return ModelVersion.from_wire(reply.version)

    def fail(self, problem: str) -> Training:
        """Ends it without a version; `problem` is for people."""
        request = trainings_pb2.FinishTrainingRequest(training_id=self.id, lease=self._lease, problem=problem[:2000] or "it failed")
        self.training = Training.from_wire(self._services.trainings.FinishTraining(request).training)
        return self.training


class Trainings:
    """Trainings: for managers and keys with `inference.manage`; everybody may look."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def start(self, model: str, *, only_first: bool = False) -> RunningTraining:
        """Begins one. Raises FailedPrecondition: TRAINING_RUNNING while another one of the model runs (metadata: training_id), MODEL_EXISTS
        where only the first is wanted and the model has a version."""
        request = trainings_pb2.StartTrainingRequest(request_id=str(uuid.uuid4()), model=model, only_first=only_first)
        reply = self._services.trainings.StartTraining(request)
        lease_s = reply.lease_duration.ToTimedelta().total_seconds()
        return RunningTraining(self._services, Training.from_wire(reply.training), reply.lease, lease_s or 30.0)

    def get(self, training_id: str) -> Training:
        """One training; NotFound."""
        reply = self._services.trainings.GetTraining(trainings_pb2.GetTrainingRequest(training_id=training_id))
        return Training.from_wire(reply.training)

    def list(self, model: str = "") -> Iterator[Training]:
        """Trainings, newest first; with `model` only its own."""
        token = ""
        while True:
            request = trainings_pb2.ListTrainingsRequest(page_size=_PAGE, page_token=token, model=model)
            page = self._services.trainings.ListTrainings(request)
            yield from map(Training.from_wire, page.trainings)
            token = page.next_page_token
            if not token:
                return

    def watch(self, training_id: str, *, patience_s: float = 60.0) -> Iterator[Training]:
        """How it stands now and whenever it has come further; the last one has its end. Broken streams are taken up again."""

        def ask() -> Iterator[trainings_pb2.WatchTrainingResponse]:
            return iter(self._services.trainings.WatchTraining(trainings_pb2.WatchTrainingRequest(training_id=training_id)))

        last: Training | None = None
        for message in resumed(self._services.connection, ask, lambda: self.get(training_id), patience_s=patience_s):
            training = Training.from_wire(message.training)
            if training != last:
                last = training
                yield training
