"""Two answers agree when they say the same, and their difference grows with how far apart they are."""

from __future__ import annotations

import io

import numpy as np
import pytest
from labelmesh_inference.predictions.comparing import answer_text, compare, overlap
from labelmesh_inference.predictions.results import (
    Box,
    Classification,
    ClassScore,
    Detection,
    Detections,
    Keypoint,
    Pose,
    Poses,
    RawOutputs,
    Result,
    Segment,
    Segmentation,
)
from labelmesh_inference.serving.values import Tensor
from PIL import Image


def classes(**scores: float) -> Classification:
    order = sorted(scores, key=lambda label: -scores[label])
    return Classification(tuple(ClassScore(label, 0, scores[label]) for label in order), 0.0)


def find(label: str, score: float, *box: float) -> Detection:
    return Detection(Box(*box), label, 0, score)


def mask(pixels: list[list[int]]) -> Segmentation:
    values = np.array(pixels, np.uint8)
    held = io.BytesIO()
    Image.fromarray(values).save(held, "PNG")
    indices, counts = np.unique(values, return_counts=True)
    order = np.argsort(-counts)
    segments = tuple(Segment(str(indices[place]), int(indices[place]), float(counts[place] / values.size)) for place in order)
    return Segmentation(values.shape[1], values.shape[0], held.getvalue(), segments)


ANIMAL = find("animal", 0.9, 0.1, 0.1, 0.5, 0.5)
NEARLY = find("animal", 0.7, 0.12, 0.1, 0.5, 0.5)
ELSEWHERE = find("animal", 0.9, 0.6, 0.6, 0.9, 0.9)
PERSON = find("person", 0.9, 0.1, 0.1, 0.5, 0.5)


@pytest.mark.parametrize(
    ("one", "other", "agrees", "difference"),
    [
        (classes(a=0.9, b=0.1), classes(a=0.7, b=0.3), True, 0.2),
        (classes(a=0.9, b=0.1), classes(b=0.8, a=0.2), False, 0.7),
        (classes(a=1.0), classes(b=1.0), False, 1.0),
        (Detections((ANIMAL,)), Detections((NEARLY,)), True, 0.2),
        (Detections((ANIMAL,)), Detections((ELSEWHERE,)), False, 0.9),
        (Detections((ANIMAL,)), Detections((PERSON,)), False, 0.9),
        (Detections((ANIMAL, ELSEWHERE)), Detections((ANIMAL,)), False, 0.45),
        (Detections(()), Detections(()), True, 0.0),
        (mask([[0, 0], [0, 1]]), mask([[0, 0], [1, 1]]), True, 0.25),
        (mask([[0, 0], [0, 1]]), mask([[1, 1]]), False, 0.75),
        (classes(a=1.0), Detections(()), False, 1.0),
        (Poses((Pose((Keypoint("n", 0.5, 0.5, 0.8),), 0.8),)), Poses((Pose((Keypoint("n", 0.52, 0.5, 0.6),), 0.6),)), True, 0.2),
        (Poses((Pose((Keypoint("n", 0.5, 0.5, 0.8),), 0.8),)), Poses((Pose((Keypoint("n", 0.7, 0.5, 0.8),), 0.8),)), False, 0.0),
        (Poses((Pose((), 0.8),)), Poses(()), False, 0.8),
        (RawOutputs((("y", Tensor.of(np.array([1.0, 2.0]))),)), RawOutputs((("y", Tensor.of(np.array([1.0, 2.4]))),)), False, 0.2),
        (RawOutputs((("y", Tensor.of(np.array([1.0]))),)), RawOutputs((("y", Tensor.of(np.array([1.0]))),)), True, 0.0),
        (RawOutputs((("y", Tensor.of(np.array([b"a"]))),)), RawOutputs((("y", Tensor.of(np.array([b"b"]))),)), False, 1.0),
        (RawOutputs((("y", Tensor.of(np.array([np.nan]))),)), RawOutputs((("z", Tensor.of(np.array([1.0]))),)), False, 1.0),
    ],
)
def test_answers_are_compared_both_ways(one: Result, other: Result, agrees: bool, difference: float) -> None:
    for found in (compare(one, other), compare(other, one)):
        assert found.agrees is agrees and found.score_difference == pytest.approx(difference)


def test_overlap_is_of_what_both_cover() -> None:
    assert overlap(Box(0, 0, 1, 1), Box(0, 0, 0.5, 1)) == pytest.approx(0.5)
    assert overlap(Box(0, 0, 0.4, 0.4), Box(0.4, 0.4, 1, 1)) == 0


def test_answers_are_told_in_a_few_words() -> None:
    assert answer_text(classes(**{"7": 0.914, "1": 0.05})) == "7 (0.91)"
    assert answer_text(Detections((ANIMAL, ELSEWHERE, PERSON))) == "2 animal, 1 person (0.90)"
    assert answer_text(Detections(())) == "nothing"
    assert answer_text(mask([[0, 0], [0, 1]])) == "0 75%, 1 25%"
    assert answer_text(RawOutputs((("y", Tensor.of(np.zeros((2, 3)))),))) == "y [2, 3]"
    assert len(answer_text(classes(**{"x" * 500: 0.5}))) <= 200
