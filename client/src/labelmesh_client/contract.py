"""What the contract says about its methods, so that no list of them is kept by hand."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from labelmesh.augment.v1 import augmentations_pb2, pipelines_pb2
from labelmesh.auth.v1 import api_keys_pb2, sessions_pb2, users_pb2
from labelmesh.inference.v1 import models_pb2, predictions_pb2, scoring_pb2, trainings_pb2
from labelmesh.labeling.v1 import annotations_pb2, images_pb2, projects_pb2, statistics_pb2
from labelmesh.options.v1 import options_pb2

_DEFAULT_DEADLINE_S = 10.0
_FILES = (
    api_keys_pb2,
    sessions_pb2,
    users_pb2,
    annotations_pb2,
    images_pb2,
    projects_pb2,
    statistics_pb2,
    models_pb2,
    predictions_pb2,
    scoring_pb2,
    trainings_pb2,
    augmentations_pb2,
    pipelines_pb2,
)


@dataclass(frozen=True)
class MethodFacts:
    """`repeatable`: may be sent again after a failed attempt. `open`: needs no credentials. `deadline_s`: of one attempt, in seconds."""

    repeatable: bool
    open: bool
    deadline_s: float


#: For a method that the contract of this version does not know: the careful choice.
UNKNOWN_METHOD = MethodFacts(repeatable=False, open=False, deadline_s=_DEFAULT_DEADLINE_S)


def read_contract() -> dict[str, MethodFacts]:
    """The facts of every method by its path, e.g. `/labelmesh.labeling.v1.ImageService/AddImages`."""
    services: list[ServiceDescriptor] = [service for file in _FILES for service in file.DESCRIPTOR.services_by_name.values()]
    return {f"/{service.full_name}/{method.name}": _facts(method) for service in services for method in service.methods}


def _facts(method: MethodDescriptor) -> MethodFacts:
    options = method.GetOptions()
    is_read = options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS
    return MethodFacts(
        repeatable=is_read or options.Extensions[options_pb2.repeatable],
        open=options.Extensions[options_pb2.open],
        deadline_s=float(options.Extensions[options_pb2.default_deadline_s]) or _DEFAULT_DEADLINE_S,
    )
