"""Pipelines and recipes as values. JSON's names are those of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from labelmesh_augment.geometry.labels import LabelRules

VERSION = 1
MAX_STEPS = 100
MAX_DEPTH = 4


class FillKind(Enum):
    """Numbers as in the contract."""

    COLOUR = 1
    EDGE = 2
    MIRROR = 3


@dataclass(frozen=True, slots=True)
class Fill:
    """What is outside of a picture. `colour` is red, green, blue, 0 to 255; None is black, and transparent where there is transparency."""

    kind: FillKind = FillKind.COLOUR
    colour: tuple[int, int, int] | None = None


class Format(Enum):
    """Numbers as in the contract."""

    KEEP = 0
    JPEG = 1
    PNG = 2
    WEBP = 3
    TIFF = 4
    GIF = 5


@dataclass(frozen=True, slots=True)
class Output:
    """How results are written; quality 0 is the input's."""

    format: Format = Format.KEEP
    quality: int = 0
    keep_metadata: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One step as asked for: parameters as they were given, not checked."""

    transform: str
    probability: float = 1.0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What is to be done to pictures."""

    steps: tuple[Step, ...] = ()
    fill: Fill = field(default_factory=Fill)
    labels: LabelRules = field(default_factory=LabelRules)
    output: Output = field(default_factory=Output)
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with a pipeline: where ("steps[1].parameters.angle") and what."""

    field: str
    description: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class DrawnStep:
    """A step with nothing random left in it."""

    transform: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    path: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that was drawn for one result."""

    steps: tuple[DrawnStep, ...] = ()
    fill: Fill = field(default_factory=Fill)
    labels: LabelRules = field(default_factory=LabelRules)
    output: Output = field(default_factory=Output)
    versions: Mapping[str, str] = field(default_factory=dict)
