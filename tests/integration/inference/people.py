"""People and programs who call inference, with identities as the edge would sign them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import grpc
from labelmesh.inference.v1 import (
    classic_pb2,
    classic_pb2_grpc,
    manifests_pb2,
    models_pb2_grpc,
    predictions_pb2,
    predictions_pb2_grpc,
    scoring_pb2,
    scoring_pb2_grpc,
    trainings_pb2_grpc,
)
from labelmesh.inference.v1 import models_pb2 as mod
from labelmesh.inference.v1 import trainings_pb2 as trn
from labelmesh_chassis.channels import open_channel
from labelmesh_chassis.identity import IDENTITY_HEADER, Identity, Role

from tests.support.identities import Signer

SERVICES = [
    mod.DESCRIPTOR.services_by_name["ModelService"],
    trn.DESCRIPTOR.services_by_name["TrainingService"],
    predictions_pb2.DESCRIPTOR.services_by_name["PredictionService"],
    scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"],
    classic_pb2.DESCRIPTOR.services_by_name["ClassicService"],
]


def new_id() -> str:
    """A fresh uuid."""
    return str(uuid.uuid4())


def digits_manifest(model: str = "digits", **more: Any) -> manifests_pb2.ModelManifest:
    """The manifest of the tiny model digits: grey 28x28, ten classes."""
    settings: dict[str, Any] = {
        "display_name": "Digits",
        "input": manifests_pb2.InputSpec(
            kind=manifests_pb2.INPUT_KIND_PIXELS,
            width=28,
            height=28,
            color=manifests_pb2.COLOR_MODE_GRAY,
            scale=1 / 255,
        ),
        "classes": manifests_pb2.ClassesOutput(),
        "labels": [str(digit) for digit in range(10)],
        **more,
    }
    return manifests_pb2.ModelManifest(model=model, **settings)


class Person:
    """Somebody with a channel to inference. Failures raise MeshError as the service raised it."""

    def __init__(self, channel: grpc.Channel, signer: Signer, identity: Identity) -> None:
        self.identity = identity
        self.id = identity.user_id
        self.models = models_pb2_grpc.ModelServiceStub(channel)
        self.trainings = trainings_pb2_grpc.TrainingServiceStub(channel)
        self.predictions = predictions_pb2_grpc.PredictionServiceStub(channel)
        self.scoring = scoring_pb2_grpc.ScoringServiceStub(channel)
        self.classic = classic_pb2_grpc.ClassicServiceStub(channel)
        self._signer = signer
        self._signed_at = 0.0
        self._token = ""

    @property
    def metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """The header that the edge adds."""
        now = time.time()
        if now - self._signed_at > 20:
            self._token, self._signed_at = self._signer.sign(self.identity), now
        return ((IDENTITY_HEADER, self._token),)

    # --- models ---

    def register(
        self, manifest: manifests_pb2.ModelManifest | None = None, version: int = 0, *, request_id: str | None = None, **more: Any
    ) -> mod.RegisterModelResponse:
        """Registers a version, by default of digits."""
        request = mod.RegisterModelRequest(
            request_id=request_id or new_id(), manifest=manifest or digits_manifest(), version=version, **more
        )
        answer: mod.RegisterModelResponse = self.models.RegisterModel(request, metadata=self.metadata, timeout=60)
        return answer

    def model(self, name: str = "digits") -> mod.GetModelResponse:
        answer: mod.GetModelResponse = self.models.GetModel(mod.GetModelRequest(model=name), metadata=self.metadata)
        return answer

    def routing(self, name: str = "digits") -> mod.Routing:
        return self.model(name).model.routing

    def set_alias(
        self, alias: str, version: int, *, model: str = "digits", request_id: str | None = None, revision: int = 0
    ) -> mod.Routing:
        request = mod.SetAliasRequest(request_id=request_id or new_id(), model=model, alias=alias, version=version, revision=revision)
        answer: mod.Routing = self.models.SetAlias(request, metadata=self.metadata).routing
        return answer

    def set_traffic(
        self,
        splits: dict[str, int],
        *,
        model: str = "digits",
        shadow: mod.Shadow | None = None,
        request_id: str | None = None,
        revision: int = 0,
    ) -> mod.Routing:
        weights = [mod.TrafficSplit(alias=alias, weight=weight) for alias, weight in splits.items()]
        request = mod.SetTrafficRequest(request_id=request_id or new_id(), model=model, splits=weights, shadow=shadow, revision=revision)
        answer: mod.Routing = self.models.SetTraffic(request, metadata=self.metadata).routing
        return answer

    def roll_back(self, *, model: str = "digits", to_revision: int = 0, request_id: str | None = None) -> mod.Routing:
        request = mod.RollbackRoutingRequest(request_id=request_id or new_id(), model=model, to_revision=to_revision)
        answer: mod.Routing = self.models.RollbackRouting(request, metadata=self.metadata).routing
        return answer

    def revisions(self, model: str = "digits", *, page_size: int = 0) -> list[mod.Routing]:
        """All revisions, page by page."""
        found: list[mod.Routing] = []
        token = ""
        for _ in range(1000):
            request = mod.ListRoutingsRequest(model=model, page_size=page_size, page_token=token)
            answer = self.models.ListRoutings(request, metadata=self.metadata)
            found += answer.routings
            token = answer.next_page_token
            if not token:
                return found
        raise AssertionError("the list has no end")

    # --- trainings ---

    def start_training(self, model: str, *, request_id: str | None = None, only_first: bool = False) -> trn.StartTrainingResponse:
        request = trn.StartTrainingRequest(request_id=request_id or new_id(), model=model, only_first=only_first)
        answer: trn.StartTrainingResponse = self.trainings.StartTraining(request, metadata=self.metadata)
        return answer

    def report(self, started: trn.StartTrainingResponse, **progress: Any) -> trn.Training:
        request = trn.ReportTrainingRequest(
            training_id=started.training.id, lease=started.lease, progress=trn.TrainingProgress(**progress) if progress else None
        )
        answer: trn.Training = self.trainings.ReportTraining(request, metadata=self.metadata).training
        return answer

    def finish(
        self, started: trn.StartTrainingResponse, manifest: manifests_pb2.ModelManifest | None = None, **more: Any
    ) -> trn.FinishTrainingResponse:
        request = trn.FinishTrainingRequest(training_id=started.training.id, lease=started.lease, manifest=manifest, **more)
        answer: trn.FinishTrainingResponse = self.trainings.FinishTraining(request, metadata=self.metadata, timeout=60)
        return answer

    def training(self, training_id: str) -> trn.Training:
        answer: trn.Training = self.trainings.GetTraining(trn.GetTrainingRequest(training_id=training_id), metadata=self.metadata).training
        return answer

    def trainings_of(self, model: str = "", *, page_size: int = 0) -> list[trn.Training]:
        """All trainings, page by page."""
        found: list[trn.Training] = []
        token = ""
        for _ in range(1000):
            request = trn.ListTrainingsRequest(model=model, page_size=page_size, page_token=token)
            answer = self.trainings.ListTrainings(request, metadata=self.metadata)
            found += answer.trainings
            token = answer.next_page_token
            if not token:
                return found
        raise AssertionError("the list has no end")


class Door:
    """A channel to one service, and people who come through it."""

    def __init__(self, target: str, signer: Signer) -> None:
        self.channel = open_channel(target, SERVICES)
        self._signer = signer

    def person(
        self,
        role: Role = Role.ANNOTATOR,
        *,
        user_id: str | None = None,
        scopes: Iterable[str] | None = None,
        projects: Sequence[str] = (),
        all_projects: bool | None = None,
    ) -> Person:
        """Somebody new, or the account `user_id`; with `scopes`, a program of theirs whose key has these."""
        user_id = user_id or new_id()
        identity = Identity(
            subject=f"user:{user_id}" if scopes is None else f"key:{new_id()}",
            user_id=user_id,
            role=role,
            session_id=new_id() if scopes is None else None,
            scopes=frozenset(scopes or ()),
            project_ids=frozenset(projects),
            all_projects=role.includes(Role.MANAGER) and not projects if all_projects is None else all_projects,
        )
        return Person(self.channel, self._signer, identity)

    def close(self) -> None:
        self.channel.close()
