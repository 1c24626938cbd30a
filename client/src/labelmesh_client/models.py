"""Models: their versions, which of them answers whom, and registering new ones."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from labelmesh.inference.v1 import manifests_pb2, models_pb2

from labelmesh_client.services import Services
from labelmesh_client.tensors import tensor_type
from labelmesh_client.timestamps import moment

_PAGE = 200
_REGISTER_DEADLINE_S = 120.0


class VersionState(StrEnum):
    """What the model server says of a version; unknown while it does not answer."""

    UNKNOWN = "unknown"
    LOADING = "loading"
    AVAILABLE = "available"
    UNLOADING = "unloading"
    ABSENT = "absent"


@dataclass(frozen=True)
class TensorSpec:
    """A tensor of a signature: -1 in `shape` stands for any size; None where not even the number of dimensions is known."""

    name: str
    data_type: str
    shape: tuple[int, ...] | None

    @staticmethod
    def from_wire(message: models_pb2.TensorSpec) -> TensorSpec:
        return TensorSpec(message.name, tensor_type(message.data_type), None if message.unknown_rank else tuple(message.shape))


@dataclass(frozen=True)
class Signature:
    """What a version takes and gives."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @staticmethod
    def from_wire(message: models_pb2.Signature) -> Signature:
        return Signature(message.name, tuple(map(TensorSpec.from_wire, message.inputs)), tuple(map(TensorSpec.from_wire, message.outputs)))


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model as it was when it was read. `manifest` is None for one that is served but was never registered."""

    model: str
    version: int
    state: VersionState
    state_message: str
    manifest: manifests_pb2.ModelManifest | None
    signature: Signature | None
    metrics: dict[str, float]
    register_time: datetime | None
    registered_by: str
    training_id: str
    predictions: int
    feedback: int
    feedback_correct: int
    aliases: tuple[str, ...]

    @staticmethod
    def from_wire(message: models_pb2.ModelVersion) -> ModelVersion:
        return ModelVersion(
            model=message.model,
            version=message.version,
            state=_state(message.state),
            state_message=message.state_message,
            manifest=message.manifest if message.HasField("manifest") else None,
            signature=Signature.from_wire(message.signature) if message.HasField("signature") else None,
            metrics=dict(message.metrics),
            register_time=moment(message, "register_time"),
            registered_by=message.registered_by,
            training_id=message.training_id,
            predictions=message.predictions_count,
            feedback=message.feedback_count,
            feedback_correct=message.feedback_correct_count,
            aliases=tuple(message.aliases),
        )


def _state(number: models_pb2.VersionState.ValueType) -> VersionState:
    name = models_pb2.VersionState.Name(number).removeprefix("VERSION_STATE_").lower() if number in models_pb2.VersionState.values() else ""
    return VersionState(name) if name in set(VersionState) else VersionState.UNKNOWN


@dataclass(frozen=True)
class Shadow:
    """Which alias answers a share (0 to 1) of the calls too, unseen by the caller."""

    alias: str
    share: float


@dataclass(frozen=True)
class Routing:
    """Aliases and traffic at one revision. Without `splits` everything goes to stable; weights are relative to their sum."""

    model: str
    revision: int
    aliases: dict[str, int]
    splits: dict[str, int]
    shadow: Shadow | None
    changed_by: str
    change_time: datetime | None
    change: str

    @staticmethod
    def from_wire(message: models_pb2.Routing) -> Routing:
        return Routing(
            model=message.model,
            revision=message.revision,
            aliases={one.name: one.version for one in message.aliases},
            splits={one.alias: one.weight for one in message.splits},
            shadow=Shadow(message.shadow.alias, message.shadow.share) if message.shadow.alias else None,
            changed_by=message.changed_by,
            change_time=moment(message, "change_time"),
            change=message.change,
        )


@dataclass(frozen=True)
class Model:
    """A model with its versions, newest first. `problem` says why states are unknown, empty while the model server answers."""

    name: str
    display_name: str
    description: str
    routing: Routing
    versions: tuple[ModelVersion, ...]
    create_time: datetime | None
    problem: str = ""

    @staticmethod
    def from_wire(message: models_pb2.Model, problem: str) -> Model:
        return Model(
            name=message.name,
            display_name=message.display_name,
            description=message.description,
            routing=Routing.from_wire(message.routing),
            versions=tuple(map(ModelVersion.from_wire, message.versions)),
            create_time=moment(message, "create_time"),
            problem=problem,
        )

    def version(self, number: int) -> ModelVersion | None:
        """One of the versions, or None."""
        return next((one for one in self.versions if one.version == number), None)

    @property
    def needed_versions(self) -> tuple[int, ...]:
        """Those that aliases lead to, and with them all traffic."""
        return tuple(sorted(set(self.routing.aliases.values())))


class CheckOutcome(StrEnum):
    """What came of one check; some are not reached because one before them failed."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_REACHED = "not reached"


_OUTCOMES = {
    models_pb2.Check.OUTCOME_PASSED: CheckOutcome.PASSED,
    models_pb2.Check.OUTCOME_FAILED: CheckOutcome.FAILED,
}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at before a model was registered: what was found, and what to do where it failed."""

    name: str
    outcome: CheckOutcome
    message: str

    @staticmethod
    def from_wire(message: models_pb2.Check) -> Check:
        return Check(message.name, _OUTCOMES.get(message.outcome, CheckOutcome.NOT_REACHED), message.message)


@dataclass(frozen=True)
class Registration:
    """What came of registering: the version, None where a check failed or only checking was asked for."""

    version: ModelVersion | None
    checks: tuple[Check, ...]
    passed: bool


@dataclass(frozen=True)
class ShadowDifference:
    """Two answers to the same picture."""

    prediction_id: str
    answer: str
    shadow_answer: str
    create_time: datetime | None


@dataclass(frozen=True)
class ShadowReport:
    """How a shadow's answers differ from those that callers got. Latencies in seconds, differences of scores 0 to 1."""

    version: int
    shadow_version: int
    calls: int
    agreeing: int
    failed: int
    mean_score_difference: float
    median_latency_s: float
    shadow_median_latency_s: float
    differences: tuple[ShadowDifference, ...]

    @staticmethod
    def from_wire(message: models_pb2.ShadowReport) -> ShadowReport:
        return ShadowReport(
            version=message.version,
            shadow_version=message.shadow_version,
            calls=message.calls,
            agreeing=message.agreeing,
            failed=message.failed,
            mean_score_difference=message.mean_score_difference,
            median_latency_s=message.median_latency.ToNanoseconds() / 1e9,
            shadow_median_latency_s=message.shadow_median_latency.ToNanoseconds() / 1e9,
            differences=tuple(
                ShadowDifference(one.prediction_id, one.answer, one.shadow_answer, moment(one, "create_time"))
                for one in message.differences
            ),
        )


class Models:
    """Models: everybody may look, managers and keys with `inference.manage` change."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def list(self) -> Iterator[Model]:
        """Models by name, with their versions."""
        token = ""
        while True:
            page = self._services.models.ListModels(models_pb2.ListModelsRequest(page_size=_PAGE, page_token=token))
            yield from (Model.from_wire(one, page.model_server_problem) for one in page.models)
            token = page.next_page_token
            if not token:
                return

    def get(self, name: str) -> Model:
        """One model; NotFound (MODEL_NOT_FOUND) for one that is not registered."""
        reply = self._services.models.GetModel(models_pb2.GetModelRequest(model=name))
        return Model.from_wire(reply.model, reply.model_server_problem)

    def register(
        self,
        manifest: manifests_pb2.ModelManifest,
        *,
        version: int = 0,
        metrics: Mapping[str, float] | None = None,
        sample: bytes = b"",
        aliases: Sequence[str] = (),
        validate_only: bool = False,
    ) -> Registration:
        """Checks a version from its manifest to a prediction, and registers it when all is well; 0 is the newest that is served.

        Failed checks are an answer, not an error. Raises AlreadyExists (VERSION_REGISTERED) where the version has another manifest.
        """
        request = models_pb2.RegisterModelRequest(
            request_id=str(uuid.uuid4()),
            manifest=manifest,
            version=version,
            metrics=dict(metrics or {}),
            sample_image=sample,
            aliases=aliases,
            validate_only=validate_only,
        )
        reply = self._services.models.RegisterModel(request, timeout=_REGISTER_DEADLINE_S)
        registered = ModelVersion.from_wire(reply.version) if reply.HasField("version") else None
        return Registration(registered, tuple(map(Check.from_wire, reply.checks)), reply.passed)

    def set_alias(self, model: str, alias: str, version: int, *, revision: int = 0) -> Routing:
        """Points an alias at a version; version 0 removes it. Raises Aborted (REVISION_MISMATCH) unless `revision` is 0 or current."""
        request = models_pb2.SetAliasRequest(request_id=str(uuid.uuid4()), model=model, alias=alias, version=version, revision=revision)
        return Routing.from_wire(self._services.models.SetAlias(request).routing)

    def set_traffic(self, model: str, splits: Mapping[str, int], *, shadow: Shadow | None = None, revision: int = 0) -> Routing:
        """Says which weight each alias gets, and what is shadowed. No splits: everything to stable."""
        request = models_pb2.SetTrafficRequest(
            request_id=str(uuid.uuid4()),
            model=model,
            splits=[models_pb2.TrafficSplit(alias=alias, weight=weight) for alias, weight in splits.items()],
            shadow=models_pb2.Shadow(alias=shadow.alias, share=shadow.share) if shadow is not None else None,
            revision=revision,
        )
        return Routing.from_wire(self._services.models.SetTraffic(request).routing)

    def rollback(self, model: str, *, to_revision: int = 0) -> Routing:
        """Aliases and traffic as they were at a revision, by default the one before the current."""
        request = models_pb2.RollbackRoutingRequest(request_id=str(uuid.uuid4()), model=model, to_revision=to_revision)
        return Routing.from_wire(self._services.models.RollbackRouting(request).routing)

    def routings(self, model: str) -> Iterator[Routing]:
        """Revisions, newest first."""
        token = ""
        while True:
            request = models_pb2.ListRoutingsRequest(model=model, page_size=_PAGE, page_token=token)
            page = self._services.models.ListRoutings(request)
            yield from map(Routing.from_wire, page.routings)
            token = page.next_page_token
            if not token:
                return

    def shadow_report(self, model: str) -> tuple[tuple[ShadowReport, ...], int]:
        """A report for each pair of versions, and how many shadow calls were left out because too many waited."""
        reply = self._services.models.GetShadowReport(models_pb2.GetShadowReportRequest(model=model))
        return tuple(map(ShadowReport.from_wire, reply.reports)), reply.dropped_count
