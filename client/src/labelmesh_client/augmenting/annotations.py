"""Annotations of COCO: what they say, and those of a result, made of the labels that came back for it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labelmesh_client.augmenting.masks import mask_of, read_grey
from labelmesh_client.augmenting.rle import bounds_of, counts_of, decode_counts, encode_counts, pixels_of
from labelmesh_client.errors import ServerError, SourceError
from labelmesh_client.picturelabels import KeypointLabel, MaskLabel, PictureLabels, Visibility

Json = dict[str, Any]
#: The prefix of a picture's ids, and the place of an annotation in its list.
Key = tuple[str, int]

#: Made anew for each result.
_OWN_FIELDS = frozenset({"id", "image_id", "bbox", "area", "segmentation", "keypoints", "num_keypoints", "labelmesh"})


@dataclass(frozen=True)
class Context:
    """What is needed to make annotations of the labels that come back for one picture: its annotations, by their place."""

    annotations: Sequence[Json] = ()
    #: For each layer of masks which annotation its values 1, 2, 3 ... stand for.
    layers: tuple[tuple[int, ...], ...] = ()
    #: Of the picture.
    name: str = ""


class Returned:
    """Makes the annotations of one result. Where pictures are mixed, one annotation may come back several times, each in its own place."""

    def __init__(
        self, names: Mapping[int, str], keypoints: Mapping[int, Sequence[str]], contexts: Mapping[str, Context], size: tuple[int, int]
    ) -> None:
        """`names` and `keypoints` are those of the categories, `contexts` by the prefix of ids, `size` width and height of the result."""
        self._names = names
        self._numbers = {name: number for number, name in reversed(list(names.items()))}
        self._keypoints = keypoints
        self._contexts = contexts
        self._size = size
        self._made: dict[Key, list[Json]] = {}

    def annotations(self, labels: PictureLabels) -> list[Json]:
        """In the order of pictures and of their annotations, without ids. Raises ServerError for labels that were never sent."""
        for box in labels.boxes:
            made = self._begin(self._key(box.id), box.label, box.visible_share, box.weight)
            made |= {"bbox": _rounded((box.x, box.y, box.width, box.height)), "area": _round(box.width * box.height), "segmentation": []}
        for polygon in labels.polygons:
            made = self._begin(self._key(polygon.id), polygon.label, polygon.visible_share, polygon.weight)
            made |= _outlined(polygon.rings)
        for mask in labels.masks:
            self._add_masks(mask)
        self._add_keypoints(labels.keypoints)
        order = list(self._contexts)
        return [one for key in sorted(self._made, key=lambda key: (order.index(key[0]), key[1])) for one in self._made[key]]

    def _key(self, name: str) -> Key:
        prefix, separator, number = name.rpartition(":")
        prefix += separator
        if prefix not in self._contexts or not number.isdecimal() or int(number) >= len(self._contexts[prefix].annotations):
            raise ServerError("The server answered with a label that it was not asked about.")
        return prefix, int(number)

    def _original(self, key: Key) -> Json:
        return self._contexts[key[0]].annotations[key[1]]

    def _begin(self, key: Key, label: str, share: float = 1.0, weight: float = 1.0) -> Json:
        """The annotation that a label came of, with what does not change by it."""
        original = self._original(key)
        made = {name: value for name, value in original.items() if name not in _OWN_FIELDS}
        category = original["category_id"]
        if label and label != self._names.get(category, ""):
            made["category_id"] = self._numbers.get(label, category)  # changed places in a mirror
        facts: Json = {"annotation_id": original.get("id")}
        if key[0] != next(iter(self._contexts)):
            facts["source_file"] = self._contexts[key[0]].name
        if share < 1:
            facts["visible_share"] = round(share, 4)
        if weight < 1:
            facts["weight"] = round(weight, 4)
        if "keypoints" in original:
            made |= {"keypoints": [0] * len(original["keypoints"]), "num_keypoints": 0}
        made["labelmesh"] = facts
        self._made.setdefault(key, []).append(made)
        return made

    def _add_masks(self, mask: MaskLabel) -> None:
        prefix, _, layer = mask.id.rpartition("m")
        width, height, pixels = read_grey(mask.png)
        is_known = prefix in self._contexts and layer.isdecimal() and int(layer) < len(self._contexts[prefix].layers)
        if (width, height) != self._size or not is_known:
            raise ServerError("The server answered with a mask that it was not asked about.")
        for value, number in enumerate(self._contexts[prefix].layers[int(layer)], 1):
            own = mask_of(pixels, value)
            left, top, wide, high, area = bounds_of(own, width, height)
            if not area:
                continue
            compressed = isinstance(self._original((prefix, number))["segmentation"].get("counts"), str)
            counts = counts_of(own, width, height)
            made = self._begin((prefix, number), "")
            made |= {
                "bbox": [left, top, wide, high],
                "area": area,
                "segmentation": {"size": [height, width], "counts": encode_counts(counts) if compressed else counts},
            }

    # --- bodies ---

    def _add_keypoints(self, points: Iterable[KeypointLabel]) -> None:
        """Of bodies that are still there, or of which nothing else is known."""
        for key, bodies in self._bodies(points).items():
            original = self._original(key)
            alone = box_of(original) is None and not rings_of(original) and not isinstance(original.get("segmentation"), Mapping)
            if alone:
                for body in bodies:
                    if any(map(_is_there, body.values())):
                        self._fill(self._begin(key, ""), original, body)
                continue
            for made in self._made.get(key, []):
                body = max(bodies, key=lambda each: _inside(each, made))
                bodies.remove(body)
                self._fill(made, original, body)
                if not bodies:
                    break

    def _bodies(self, points: Iterable[KeypointLabel]) -> dict[Key, list[dict[int, KeypointLabel]]]:
        """Points by their place in the list, for each time that an annotation came back: all of its points come back with it."""
        bodies: dict[Key, list[dict[int, KeypointLabel]]] = {}
        for point in points:
            name, _, place = point.id.rpartition(".")
            key = self._key(name)
            if not place.isdecimal() or int(place) >= len(triples_of(self._original(key))):
                raise ServerError("The server answered with a keypoint that it was not asked about.")
            known = bodies.setdefault(key, [])
            body = next((one for one in known if int(place) not in one), None)
            if body is None:
                known.append(body := {})
            body[int(place)] = point
        return bodies

    def _fill(self, made: Json, original: Json, body: Mapping[int, KeypointLabel]) -> None:
        """A name stands in its place in the category's list: it may have changed places in a mirror."""
        names = self._keypoints.get(original["category_id"], [])
        values: list[float] = [0, 0, 0] * len(triples_of(original))
        for place, point in body.items():
            if _is_there(point):
                at = names.index(point.label) if point.label in names and names.index(point.label) * 3 < len(values) else place
                visibility = 1 if point.visibility is Visibility.HIDDEN else 2
                values[at * 3 : at * 3 + 3] = [*_rounded((point.x - 0.5, point.y - 0.5)), visibility]
        made |= {"keypoints": values, "num_keypoints": sum(1 for value in values[2::3] if value)}


def _is_there(point: KeypointLabel) -> bool:
    return point.visibility in (Visibility.VISIBLE, Visibility.HIDDEN)


def _inside(body: Mapping[int, KeypointLabel], made: Json) -> int:
    """How many of a body's points lie in an annotation's box."""
    x, y, width, height = made["bbox"]
    return sum(_is_there(point) and x <= point.x <= x + width and y <= point.y <= y + height for point in body.values())


def box_of(annotation: Json) -> tuple[float, float, float, float] | None:
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)) or box[2] <= 0 or box[3] <= 0:
        return None
    return (box[0], box[1], box[2], box[3])


def rings_of(annotation: Json) -> tuple[tuple[tuple[float, float], ...], ...]:
    """The pieces of an outline that have three points at least."""
    segmentation = annotation.get("segmentation")
    if not isinstance(segmentation, list):
        return ()
    rings = [
        ring for ring in segmentation if isinstance(ring, list) and len(ring) >= 6 and len(ring) % 2 == 0 and all(map(_is_number, ring))
    ]
    return tuple(tuple(zip(ring[0::2], ring[1::2], strict=True)) for ring in rings)


def pixels_of_rle(segmentation: Mapping[str, Any]) -> tuple[int, int, bytes]:
    """Width, height and pixels of a run-length mask, compressed or not. Raises SourceError (LABEL_INVALID)."""
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(isinstance(one, int) for one in size):
        raise SourceError("A run-length mask needs its size.", reason="LABEL_INVALID")
    height, width = size
    if isinstance(counts, str):
        counts = decode_counts(counts)
    if not isinstance(counts, list):
        raise SourceError("A run-length mask needs its counts.", reason="LABEL_INVALID")
    return width, height, pixels_of(counts, width, height)


def triples_of(annotation: Json) -> list[tuple[float, float, int]]:
    values = annotation.get("keypoints")
    if not isinstance(values, list) or len(values) % 3 or not all(map(_is_number, values)):
        return []
    return list(zip(values[0::3], values[1::3], values[2::3], strict=True))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _outlined(rings: Sequence[Sequence[tuple[float, float]]]) -> Json:
    """Outline, box and area (the shoelace formula) of what is left."""
    xs, ys = [x for ring in rings for x, _ in ring], [y for ring in rings for _, y in ring]
    area = 0.0
    for ring in rings:
        area += abs(sum(x * ring[n - 1][1] - ring[n - 1][0] * y for n, (x, y) in enumerate(ring))) / 2
    return {
        "bbox": _rounded((min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))),
        "area": _round(area),
        "segmentation": [_rounded([value for point in ring for value in point]) for ring in rings],
    }


def _round(value: float) -> float:
    """To a hundredth of a pixel; never -0.0."""
    return round(value, 2) + 0.0


def _rounded(values: Iterable[float]) -> list[float]:
    return [_round(value) for value in values]
