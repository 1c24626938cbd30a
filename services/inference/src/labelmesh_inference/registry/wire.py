"""Models, routings, checks and trainings as messages and back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from labelmesh.inference.v1 import models_pb2 as mod
from labelmesh.inference.v1 import trainings_pb2 as trn
from labelmesh_chassis.errors import InvalidArgument

from labelmesh_inference.registry.catalogue import ModelView, VersionView
from labelmesh_inference.registry.checks import Check
from labelmesh_inference.registry.registration import Finish, Wish
from labelmesh_inference.registry.routing import Routing, Shadow, Split
from labelmesh_inference.registry.shadows import ShadowReport
from labelmesh_inference.registry.trainings import Progress, Training
from labelmesh_inference.serving.values import Signature, TensorSpec, VersionState
from labelmesh_inference.wire import data_type_message, manifest_message, manifest_of

_STATES = {
    None: mod.VERSION_STATE_UNKNOWN,
    VersionState.LOADING: mod.VERSION_STATE_LOADING,
    VersionState.AVAILABLE: mod.VERSION_STATE_AVAILABLE,
    VersionState.UNLOADING: mod.VERSION_STATE_UNLOADING,
    VersionState.ABSENT: mod.VERSION_STATE_ABSENT,
}


# --- models ---


def model_message(view: ModelView) -> mod.Model:
    """A model; its newest registered version names and describes it."""
    newest = view.newest
    return mod.Model(
        name=view.name,
        display_name=newest.manifest.display_name if newest is not None else "",
        description=newest.manifest.description if newest is not None else "",
        routing=routing_message(view.routing),
        versions=map(version_message, view.versions),
        create_time=_time(view.created_at),
    )


def version_message(view: VersionView) -> mod.ModelVersion:
    """A version as it is now."""
    message = mod.ModelVersion(
        model=view.model,
        version=view.version,
        state=_STATES[view.state],
        state_message=view.state_message,
        predictions_count=view.use.predictions,
        feedback_count=view.use.feedback,
        feedback_correct_count=view.use.feedback_correct,
        aliases=view.aliases,
    )
    registered = view.registered
    if registered is not None:
        message.manifest.CopyFrom(manifest_message(registered.manifest))
        message.signature.CopyFrom(signature_message(registered.signature))
        message.metrics.update(registered.metrics)
        message.register_time.FromDatetime(registered.registered_at)
        message.registered_by = str(registered.registered_by)
        message.training_id = str(registered.training_id or "")
    return message


def signature_message(signature: Signature) -> mod.Signature:
    """What a version takes and gives."""
    inputs, outputs = (map(_spec_message, part.values()) for part in (signature.inputs, signature.outputs))
    return mod.Signature(name=signature.name, inputs=inputs, outputs=outputs)


def _spec_message(spec: TensorSpec) -> mod.TensorSpec:
    return mod.TensorSpec(
        name=spec.name, data_type=data_type_message(spec.data_type), shape=spec.shape or (), unknown_rank=spec.shape is None
    )


def wish_of(request: mod.RegisterModelRequest) -> Wish:
    """What shall be registered."""
    return Wish(
        UUID(request.request_id),
        manifest_of(request.manifest),
        request.version,
        _metrics(request.metrics.items(), "metrics"),
        request.sample_image,
        request.validate_only,
        tuple(request.aliases),
    )


def check_message(check: Check) -> mod.Check:
    """One check."""
    return mod.Check(name=check.name, outcome=mod.Check.Outcome.ValueType(check.outcome), message=check.message)


# --- routing ---


def routing_message(routing: Routing) -> mod.Routing:
    """Aliases and traffic at one revision; aliases by name."""
    routes = routing.routes
    return mod.Routing(
        model=routing.model,
        revision=routing.revision,
        aliases=[mod.Alias(name=name, version=version) for name, version in sorted(routes.aliases.items())],
        splits=[mod.TrafficSplit(alias=split.alias, weight=split.weight) for split in routes.splits],
        shadow=mod.Shadow(alias=routes.shadow.alias, share=routes.shadow.share) if routes.shadow.alias else None,
        changed_by=str(routing.changed_by),
        change_time=_time(routing.changed_at),
        change=routing.change,
    )


def splits_of(messages: Iterable[mod.TrafficSplit]) -> tuple[Split, ...]:
    """A request's splits."""
    return tuple(Split(message.alias, message.weight) for message in messages)


def shadow_of(message: mod.Shadow) -> Shadow:
    """A request's shadow; a share of nothing is none."""
    return Shadow(message.alias, message.share) if message.alias else Shadow()


def report_message(report: ShadowReport) -> mod.ShadowReport:
    """A pair of versions compared."""
    return mod.ShadowReport(
        version=report.version,
        shadow_version=report.shadow_version,
        calls=report.calls,
        agreeing=report.agreeing,
        failed=report.failed,
        mean_score_difference=report.mean_score_difference,
        median_latency=_duration(report.median_latency_s),
        shadow_median_latency=_duration(report.shadow_median_latency_s),
        differences=[
            mod.ShadowDifference(
                prediction_id=str(found.prediction_id or ""),
                answer=found.answer,
                shadow_answer=found.shadow_answer,
                create_time=_time(found.created_at),
            )
            for found in report.differences
        ],
    )


# --- trainings ---


def training_message(training: Training) -> trn.Training:
    """A training; its lease is told to its trainer alone."""
    return trn.Training(
        id=str(training.id),
        model=training.model,
        state=trn.TrainingState.ValueType(training.state),
        version=training.version,
        progress=_progress_message(training.progress),
        problem=training.problem,
        started_by=str(training.started_by),
        start_time=_time(training.started_at),
        end_time=_time(training.ended_at) if training.ended_at is not None else None,
        history=map(_progress_message, training.history),
    )


def started_message(training: Training, lease_s: float) -> trn.StartTrainingResponse:
    """A training and what its trainer proves itself with."""
    return trn.StartTrainingResponse(training=training_message(training), lease=training.lease, lease_duration=_duration(lease_s))


def progress_of(request: trn.ReportTrainingRequest) -> Progress | None:
    """A report's progress; None where it only says that the trainer lives."""
    if not request.HasField("progress"):
        return None
    message = request.progress
    metrics = _metrics(message.metrics.items(), "progress.metrics")
    return Progress(_plain(message.stage, "progress.stage"), message.epoch, message.epochs, message.done, metrics)


def finish_of(request: trn.FinishTrainingRequest) -> Finish:
    """How a training ended."""
    return Finish(
        UUID(request.training_id),
        request.lease,
        manifest_of(request.manifest) if request.HasField("manifest") else None,
        _metrics(request.metrics.items(), "metrics"),
        tuple(request.aliases),
        _plain(request.problem, "problem"),
    )


def _progress_message(progress: Progress) -> trn.TrainingProgress:
    return trn.TrainingProgress(
        stage=progress.stage, epoch=progress.epoch, epochs=progress.epochs, done=progress.done, metrics=progress.metrics
    )


def _metrics(items: Iterable[tuple[str, float]], field: str) -> dict[str, float]:
    return {_plain(name, field): value for name, value in items}


def _plain(value: str, field: str) -> str:
    """The text; InvalidArgument when it holds U+0000, which no database of ours can keep."""
    if "\0" in value:
        raise InvalidArgument("TEXT_INVALID", "the text holds the character U+0000", field=field)
    return value


def _time(value: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(value)
    return message


def _duration(seconds: float) -> Duration:
    message = Duration()
    message.FromNanoseconds(round(seconds * 1e9))
    return message
