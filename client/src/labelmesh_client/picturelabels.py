"""Labels that move along with the pixels of a picture.

Coordinates are pixels of the upright picture, continuous: (0, 0) is the outer corner of the first pixel, (0.5, 0.5) its centre.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from google.protobuf import json_format
from labelmesh.augment.v1 import labels_pb2 as wire

from labelmesh_client.errors import SourceError

Point = tuple[float, float]
_MOST = {"boxes": 2000, "polygons": 2000, "keypoints": 10_000, "masks": 16}
_MOST_RINGS, _MOST_RING_POINTS, _MOST_POINTS = 1000, 20_000, 100_000
_FARTHEST = 1_000_000.0
_LONGEST_TEXT = 200


class Visibility(StrEnum):
    """Of a keypoint: it can be seen, is behind something, lies outside of the picture, or was never annotated."""

    VISIBLE = "visible"
    HIDDEN = "hidden"
    OUTSIDE = "outside"
    ABSENT = "absent"


_VISIBILITIES = {
    Visibility.VISIBLE: wire.VISIBILITY_VISIBLE,
    Visibility.HIDDEN: wire.VISIBILITY_HIDDEN,
    Visibility.OUTSIDE: wire.VISIBILITY_OUTSIDE,
    Visibility.ABSENT: wire.VISIBILITY_ABSENT,
}
_VISIBILITIES_BACK = {wire.VISIBILITY_UNSPECIFIED: Visibility.VISIBLE, **{value: one for one, value in _VISIBILITIES.items()}}


@dataclass(frozen=True)
class BoxLabel:
    """A rectangle: its upper left corner and sides before it is turned by `rotation` degrees clockwise around its centre.

    An `oriented` one may come back at any angle, any other upright. In answers `visible_share` is how much of it is still to be seen, and
    `weight` how much of it the picture shows where pictures were mixed, both 0 to 1.
    """

    x: float
    y: float
    width: float
    height: float
    label: str = ""
    id: str = ""
    rotation: float = 0.0
    oriented: bool = False
    visible_share: float = 1.0
    weight: float = 1.0


@dataclass(frozen=True)
class PolygonLabel:
    """An outline in one or several pieces, each of three points at least."""

    rings: tuple[tuple[Point, ...], ...]
    label: str = ""
    id: str = ""
    visible_share: float = 1.0
    weight: float = 1.0


@dataclass(frozen=True)
class KeypointLabel:
    """A point of interest; `label` is its name, e.g. "left_eye"."""

    x: float
    y: float
    label: str = ""
    id: str = ""
    visibility: Visibility = Visibility.VISIBLE
    weight: float = 1.0


@dataclass(frozen=True)
class MaskLabel:
    """A value for each pixel: a grey PNG file, 8 or 16 bit, of the upright picture's size."""

    png: bytes
    label: str = ""
    id: str = ""


@dataclass(frozen=True)
class PictureLabels:
    """What is known of a picture."""

    boxes: tuple[BoxLabel, ...] = ()
    polygons: tuple[PolygonLabel, ...] = ()
    keypoints: tuple[KeypointLabel, ...] = ()
    masks: tuple[MaskLabel, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As the contract has it in JSON."""
        return json_format.MessageToDict(self.to_wire())

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> PictureLabels:
        """Labels of JSON. Raises SourceError (LABEL_INVALID)."""
        try:
            return PictureLabels.from_wire(json_format.ParseDict(dict(value), wire.Labels()))
        except (json_format.ParseError, TypeError, ValueError) as error:
            raise SourceError(f"The labels cannot be read: {str(error).rstrip('.')}.", reason="LABEL_INVALID") from None

    def to_wire(self) -> wire.Labels:
        """For a request. Raises SourceError (LABEL_INVALID) for what no server takes, because one such picture would end a whole stream."""
        self._check()
        return wire.Labels(
            boxes=[
                wire.Box(
                    id=box.id,
                    label=box.label,
                    x=box.x,
                    y=box.y,
                    width=box.width,
                    height=box.height,
                    rotation=box.rotation,
                    oriented=box.oriented,
                    visible_share=_share(box.visible_share),
                    weight=_share(box.weight),
                )
                for box in self.boxes
            ],
            polygons=[
                wire.Polygon(
                    id=polygon.id,
                    label=polygon.label,
                    rings=[wire.Ring(points=[wire.Point(x=x, y=y) for x, y in ring]) for ring in polygon.rings],
                    visible_share=_share(polygon.visible_share),
                    weight=_share(polygon.weight),
                )
                for polygon in self.polygons
            ],
            keypoints=[
                wire.Keypoint(
                    id=point.id,
                    label=point.label,
                    x=point.x,
                    y=point.y,
                    visibility=_VISIBILITIES[point.visibility],
                    weight=_share(point.weight),
                )
                for point in self.keypoints
            ],
            masks=[wire.Mask(id=mask.id, label=mask.label, png=mask.png) for mask in self.masks],
        )

    @staticmethod
    def from_wire(message: wire.Labels) -> PictureLabels:
        return PictureLabels(
            boxes=tuple(
                BoxLabel(
                    x=box.x,
                    y=box.y,
                    width=box.width,
                    height=box.height,
                    label=box.label,
                    id=box.id,
                    rotation=box.rotation,
                    oriented=box.oriented,
                    visible_share=box.visible_share or 1.0,
                    weight=box.weight or 1.0,
                )
                for box in message.boxes
            ),
            polygons=tuple(
                PolygonLabel(
                    rings=tuple(tuple((point.x, point.y) for point in ring.points) for ring in polygon.rings),
                    label=polygon.label,
                    id=polygon.id,
                    visible_share=polygon.visible_share or 1.0,
                    weight=polygon.weight or 1.0,
                )
                for polygon in message.polygons
            ),
            keypoints=tuple(
                KeypointLabel(point.x, point.y, point.label, point.id, _VISIBILITIES_BACK[point.visibility], point.weight or 1.0)
                for point in message.keypoints
            ),
            masks=tuple(MaskLabel(mask.png, mask.label, mask.id) for mask in message.masks),
        )

    def _check(self) -> None:
        for name, most in _MOST.items():
            if len(getattr(self, name)) > most:
                raise _invalid(f"a picture has at most {most:,} {name}; this one has {len(getattr(self, name)):,}")
        each: tuple[BoxLabel | PolygonLabel | KeypointLabel | MaskLabel, ...]
        each = (*self.boxes, *self.polygons, *self.keypoints, *self.masks)
        for label in each:
            if len(label.id) > _LONGEST_TEXT or len(label.label) > _LONGEST_TEXT:
                raise _invalid(f"ids and labels have at most {_LONGEST_TEXT} characters")
        for box in self.boxes:
            if not (_fits(box.x, box.y, box.width, box.height) and box.width > 0 and box.height > 0 and abs(box.rotation) <= 360):
                raise _invalid(f"the box at {box.x:g}, {box.y:g} of {box.width:g} x {box.height:g} is none")
        points = 0
        for polygon in self.polygons:
            if not 1 <= len(polygon.rings) <= _MOST_RINGS or not all(3 <= len(ring) <= _MOST_RING_POINTS for ring in polygon.rings):
                raise _invalid(f"a polygon has 1 to {_MOST_RINGS:,} rings of 3 to {_MOST_RING_POINTS:,} points each")
            points += sum(map(len, polygon.rings))
            if not all(_fits(x, y) for ring in polygon.rings for x, y in ring):
                raise _invalid("a polygon has a point that is no place in a picture")
        if points > _MOST_POINTS:
            raise _invalid(f"the polygons of a picture have at most {_MOST_POINTS:,} points; these have {points:,}")
        if not all(_fits(point.x, point.y) for point in self.keypoints):
            raise _invalid("a keypoint is no place in a picture")
        if any(not mask.png for mask in self.masks):
            raise _invalid("a mask is empty")


def _fits(*values: float) -> bool:
    return all(math.isfinite(value) and abs(value) <= _FARTHEST for value in values)


def _share(value: float) -> float:
    # Rounding may leave a little more than the whole.
    return min(max(value, 0.0), 1.0)


def _invalid(said: str) -> SourceError:
    return SourceError(f"The labels cannot be used: {said}.", reason="LABEL_INVALID")
