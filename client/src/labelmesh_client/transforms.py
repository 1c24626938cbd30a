"""What there is to make pipelines of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from labelmesh.augment.v1 import pipelines_pb2 as wire

from labelmesh_client.jsonforms import whole


@dataclass(frozen=True)
class Parameter:
    """A setting of a transform. `ranged` ones can be [low, high], out of which each picture draws its own value.

    `kind` is number, integer, boolean, choice (one of `choices`) or colour ([red, green, blue]). `unit` is empty for plain numbers.
    """

    name: str
    title: str
    summary: str
    kind: str
    ranged: bool
    unit: str
    minimum: float
    maximum: float
    choices: tuple[str, ...]
    default: Any


@dataclass(frozen=True)
class Transform:
    """Something that can be done to pictures. `further_pictures` is how many other pictures it takes; without them it does nothing."""

    name: str
    title: str
    family: str
    summary: str
    labels_summary: str
    source: str
    parameters: tuple[Parameter, ...]
    holds_steps: bool
    further_pictures: int


def transform_from_wire(message: wire.Transform) -> Transform:
    return Transform(
        name=message.name,
        title=message.title,
        family=_word(wire.Family, message.family, "FAMILY_"),
        summary=message.summary,
        labels_summary=message.labels_summary,
        source=message.source,
        parameters=tuple(map(_parameter, message.parameters)),
        holds_steps=message.holds_steps,
        further_pictures=message.further_pictures,
    )


def _parameter(message: wire.Parameter) -> Parameter:
    return Parameter(
        name=message.name,
        title=message.title,
        summary=message.summary,
        kind=_word(wire.ParameterKind, message.kind, "PARAMETER_KIND_"),
        ranged=message.ranged,
        unit=message.unit,
        minimum=message.minimum,
        maximum=message.maximum,
        choices=tuple(message.choices),
        default=whole(json_format.MessageToDict(message.default_value)) if message.HasField("default_value") else None,
    )


def _word(enum: Any, number: int, prefix: str) -> str:
    """The name of an enum's value in lower case; one that this version does not know as its number."""
    known = enum.values()
    return str(enum.Name(number)).removeprefix(prefix).lower() if number in known else str(number)
