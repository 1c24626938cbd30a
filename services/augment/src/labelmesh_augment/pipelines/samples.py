"""What is augmented: a file with its labels, read once however many results are made of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from labelmesh_chassis.errors import FieldViolation, InvalidArgument

from labelmesh_augment.geometry.labels import Box, Keypoint, Labels, Mask, Polygon
from labelmesh_augment.pictures.hashing import content_hash
from labelmesh_augment.pictures.jpeg import JpegFile
from labelmesh_augment.pictures.picture import Picture, Size
from labelmesh_augment.pictures.reading import Limits, PictureFile, opened

MAX_BOXES = MAX_POLYGONS = 2_000
MAX_KEYPOINTS = 10_000
MAX_MASKS = 16
# Of all polygons together.
MAX_POINTS = 100_000
MAX_COORDINATE = 1_000_000.0
_MAX_VIOLATIONS = 100


@dataclass(frozen=True, slots=True)
class Sample:
    """A file as it came, and what is known of the picture in it."""

    content: bytes = field(repr=False)
    labels: Labels = field(default_factory=Labels)


class Loaded:
    """A sample whose file was opened and whose labels fit its picture. Nothing changes it, so several results can be made of it.

    A JPEG is decoded when its pixels are asked for: with colours, or its luma alone. That raises what `load` raises of other files.
    """

    def __init__(self, file: PictureFile, labels: Labels, content: bytes, field: str) -> None:
        self.labels = labels
        self.content_sha256 = content_hash(content)
        self.length = len(content)
        self._file = file
        self._field = field
        self.frames = 1
        if isinstance(file, JpegFile):
            self.size = Size(file.header.width, file.header.height)
            self.colourful = file.colourful
        else:
            self.size, self.frames = self.picture.size, len(self.picture.frames)
            self.colourful = not self.picture.frames[0].gray

    @cached_property
    def picture(self) -> Picture:
        with placed(self._field):
            return self._file.read()

    @cached_property
    def luma(self) -> Picture | None:
        """Grey, where a file stores luma apart from colours, which then need not be decoded; within rounding that of its colours."""
        if not isinstance(self._file, JpegFile) or not self._file.has_luma:
            return None
        with placed(self._field):
            return self._file.read(luma=True)


def load(sample: Sample, limits: Limits | None = None, *, field: str = "sample") -> Loaded:
    """Opens a sample. Raises InvalidArgument: what `pictures.reading` says of files, and LABEL_INVALID with a violation under
    `field`.labels for each label that cannot be."""
    with placed(field):
        file = opened(sample.content, limits) if limits is not None else opened(sample.content)
    loaded = Loaded(file, sample.labels, sample.content, field)
    check_labels(sample.labels, loaded.size, field=f"{field}.labels")
    return loaded


@contextmanager
def placed(place: str) -> Iterator[None]:
    """Says of which picture of a call a refusal within is: its fields come out below `place`, e.g. `further[1].source`."""
    try:
        yield
    except InvalidArgument as error:
        violations = [replace(violation, field=f"{place}.{violation.field}") for violation in error.violations]
        raise InvalidArgument(
            error.reason, error.message, violations=violations, metadata=error.metadata, retry_after=error.retry_after
        ) from error


def check_labels(labels: Labels, size: Size, *, field: str = "labels") -> None:
    """Raises InvalidArgument (LABEL_INVALID), with a violation for each label that cannot be in a picture of this size."""
    violations: list[FieldViolation] = []
    for place, description in _findings(labels, size):
        violations.append(FieldViolation(f"{field}.{place}", description, "LABEL_INVALID"))
        if len(violations) >= _MAX_VIOLATIONS:
            break
    if violations:
        first = violations[0]
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        raise InvalidArgument(
            "LABEL_INVALID", f"The labels do not fit the picture: {first.field}: {first.description}{more}", violations=violations
        )


def _findings(labels: Labels, size: Size) -> Iterator[tuple[str, str]]:
    limits = (
        ("boxes", len(labels.boxes), MAX_BOXES),
        ("polygons", len(labels.polygons), MAX_POLYGONS),
        ("keypoints", len(labels.keypoints), MAX_KEYPOINTS),
        ("masks", len(labels.masks), MAX_MASKS),
    )
    too_many = [(name, f"There are {count}; a picture has at most {most}.") for name, count, most in limits if count > most]
    yield from too_many
    if too_many:
        return
    for index, box in enumerate(labels.boxes):
        yield from ((f"boxes[{index}].{name}", text) for name, text in _box(box))
    yield from _polygons(labels.polygons)
    for index, keypoint in enumerate(labels.keypoints):
        yield from ((f"keypoints[{index}].{name}", text) for name, text in _keypoint(keypoint))
    for index, mask in enumerate(labels.masks):
        yield from ((f"masks[{index}]", text) for text in _mask(mask, size))


def _box(box: Box) -> Iterator[tuple[str, str]]:
    yield from _coordinate("x", box.x)
    yield from _coordinate("y", box.y)
    for name, side in (("width", box.width), ("height", box.height)):
        if not 0 < side <= MAX_COORDINATE:
            yield name, f"{side:.10g} is out of bounds; it can be above 0 to 1000000 pixels."
    if not -360 <= box.rotation <= 360:
        yield "rotation", f"{box.rotation:.10g} is out of bounds; it can be -360 to 360 degrees."


def _polygons(polygons: tuple[Polygon, ...]) -> Iterator[tuple[str, str]]:
    points = 0
    for index, polygon in enumerate(polygons):
        if not polygon.rings:
            yield f"polygons[{index}].rings", "There is none; a polygon has at least one."
        for number, ring in enumerate(polygon.rings):
            place = f"polygons[{index}].rings[{number}]"
            if ring.ndim != 2 or ring.shape[1:] != (2,) or len(ring) < 3:
                yield f"{place}.points", f"There are {len(ring)}; a ring has at least 3."
                continue
            points += len(ring)
            if not bool((np.abs(ring) <= MAX_COORDINATE).all()):
                yield f"{place}.points", "A coordinate is out of bounds; it can be -1000000 to 1000000 pixels."
    if points > MAX_POINTS:
        yield "polygons", f"They have {points} points in all; they can have at most {MAX_POINTS}."


def _keypoint(keypoint: Keypoint) -> Iterator[tuple[str, str]]:
    yield from _coordinate("x", keypoint.x)
    yield from _coordinate("y", keypoint.y)


def _coordinate(name: str, value: float) -> Iterator[tuple[str, str]]:
    if not (math.isfinite(value) and abs(value) <= MAX_COORDINATE):
        yield name, f"{value:.10g} is out of bounds; it can be -1000000 to 1000000 pixels."


def _mask(mask: Mask, size: Size) -> Iterator[str]:
    if mask.values.dtype not in (np.uint8, np.uint16) or mask.values.ndim != 2:
        yield "It is not grey with 8 or 16 bits."
    elif mask.values.shape != (size.height, size.width):
        height, width = mask.values.shape
        yield f"It is {width} x {height} pixels; the upright picture is {size.width} x {size.height}."
