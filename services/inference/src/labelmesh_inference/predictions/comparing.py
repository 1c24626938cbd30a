"""How far two answers about the same input are from each other."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass

import numpy as np
from PIL import Image

from labelmesh_inference.predictions.results import (
    Box,
    Classification,
    Detection,
    Detections,
    Poses,
    RawOutputs,
    Result,
    Segmentation,
)

# Boxes that overlap by this much of what they cover together are of the same thing.
SAME_THING = 0.5
# Keypoints this near, in shares of the picture, are the same place.
_SAME_PLACE = 0.05
_LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether two answers say the same, and the mean absolute difference of their scores, 0 to 1."""

    agrees: bool
    score_difference: float


def compare(one: Result, other: Result) -> Comparison:
    """Compares two answers; those of different kinds have nothing in common."""
    match one, other:
        case Classification(), Classification():
            return _classes(one, other)
        case Detections(), Detections():
            return _detections(one, other)
        case Poses(), Poses():
            return _poses(one, other)
        case Segmentation(), Segmentation():
            return _masks(one, other)
        case RawOutputs(), RawOutputs():
            return _raw(one, other)
        case _:
            return Comparison(agrees=False, score_difference=1.0)


def answer_text(result: Result) -> str:
    """The best answer for people: "7 (0.91)", "2 animal, 1 person (0.93)"."""
    found: str
    match result:
        case Classification():
            found = f"{result.classes[0].label} ({result.classes[0].score:.2f})" if result.classes else "nothing"
        case Detections():
            counts = Counter(detection.label for detection in result.detections)
            names = ", ".join(f"{count} {label}" for label, count in counts.most_common(5))
            found = f"{names} ({result.detections[0].score:.2f})" if result.detections else "nothing"
        case Poses():
            found = f"{len(result.poses)} bodies ({result.poses[0].score:.2f})" if result.poses else "nothing"
        case Segmentation():
            found = ", ".join(f"{segment.label} {segment.share:.0%}" for segment in result.segments[:5])
        case _:
            found = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in result.tensors)
    return found if len(found) <= _LONGEST_TEXT else found[: _LONGEST_TEXT - 1] + "…"


def overlap(one: Box, other: Box) -> float:
    """Intersection over union, 0 to 1."""
    width = min(one.x_max, other.x_max) - max(one.x_min, other.x_min)
    height = min(one.y_max, other.y_max) - max(one.y_min, other.y_min)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (_area(one) + _area(other) - shared)


def _area(box: Box) -> float:
    return (box.x_max - box.x_min) * (box.y_max - box.y_min)


def _classes(one: Classification, other: Classification) -> Comparison:
    scores, others = ({found.label: found.score for found in result.classes} for result in (one, other))
    labels = scores.keys() | others.keys()
    difference = sum(abs(scores.get(label, 0.0) - others.get(label, 0.0)) for label in labels) / max(1, len(labels))
    return Comparison(_best(one) == _best(other), min(1.0, difference))


def _best(result: Classification) -> str | None:
    return result.classes[0].label if result.classes else None


def _detections(one: Detections, other: Detections) -> Comparison:
    """The best detections choose their counterparts first."""
    left = list(other.detections)
    differences: list[float] = []
    alone = 0
    for found in one.detections:
        same = _counterpart(found, left)
        if same is None:
            alone += 1
            differences.append(found.score)
        else:
            left.remove(same)
            differences.append(abs(found.score - same.score))
    differences += [found.score for found in left]
    return Comparison(not alone and not left, sum(differences) / max(1, len(differences)))


def _counterpart(found: Detection, among: list[Detection]) -> Detection | None:
    same = [other for other in among if other.label == found.label and overlap(found.box, other.box) >= SAME_THING]
    return max(same, key=lambda other: overlap(found.box, other.box), default=None)


def _poses(one: Poses, other: Poses) -> Comparison:
    pairs = list(zip(one.poses, other.poses, strict=False))
    same = len(one.poses) == len(other.poses) and all(
        len(a.keypoints) == len(b.keypoints)
        and all(abs(p.x - q.x) <= _SAME_PLACE and abs(p.y - q.y) <= _SAME_PLACE for p, q in zip(a.keypoints, b.keypoints, strict=True))
        for a, b in pairs
    )
    unpaired = one.poses[len(pairs) :] + other.poses[len(pairs) :]
    differences = [abs(a.score - b.score) for a, b in pairs] + [pose.score for pose in unpaired]
    return Comparison(same, min(1.0, sum(differences) / max(1, len(differences))))


def _masks(one: Segmentation, other: Segmentation) -> Comparison:
    agrees = one.segments[0].label == other.segments[0].label
    if (one.width, one.height) == (other.width, other.height):
        pixels, others = (np.asarray(Image.open(io.BytesIO(found.mask_png), formats=("PNG",))) for found in (one, other))
        return Comparison(agrees, float(np.mean(pixels != others)))
    shares, other_shares = ({segment.label: segment.share for segment in found.segments} for found in (one, other))
    labels = shares.keys() | other_shares.keys()
    return Comparison(agrees, min(1.0, sum(abs(shares.get(label, 0.0) - other_shares.get(label, 0.0)) for label in labels) / 2))


def _raw(one: RawOutputs, other: RawOutputs) -> Comparison:
    mine, theirs = dict(one.tensors), dict(other.tensors)
    if mine.keys() != theirs.keys():
        return Comparison(agrees=False, score_difference=1.0)
    agrees, differences = True, []
    for name, tensor in mine.items():
        values, others = tensor.array(), theirs[name].array()
        if values.shape != others.shape or values.dtype.kind not in "fiub" or others.dtype.kind not in "fiub":
            same = tensor == theirs[name]
            agrees, difference = agrees and same, 0.0 if same else 1.0
        else:
            apart = np.abs(values.astype(np.float64) - others.astype(np.float64))
            difference = float(np.nan_to_num(apart, nan=1.0, posinf=1.0).mean()) if apart.size else 0.0
            agrees = agrees and bool((np.nan_to_num(apart, nan=1.0) <= 1e-3).all())
        differences.append(min(1.0, difference))
    return Comparison(agrees, sum(differences) / max(1, len(differences)))
