"""What people labeled becomes what is learned from."""

from __future__ import annotations

from datetime import UTC, datetime

from labelmesh_client import Image, LabelClass, LabeledImage
from labelmesh_training.labels import MeshLabels, digit_of, digit_of_class

CLASSES = [LabelClass("0", "zero"), LabelClass("seven", "7"), LabelClass("blank", "nothing to see")]


def labeled(class_id: str | None, annotators: int = 1, agreeing: int = 1) -> LabeledImage:
    image = Image("id", "name", "0" * 64, 8, 8, "image/png", 100, 0.0, True, datetime.now(UTC), "/objects/x")
    return LabeledImage(image, class_id, annotators, agreeing)


def test_a_class_means_a_digit_by_its_id_or_by_what_people_read() -> None:
    assert digit_of_class(CLASSES) == {"0": 0, "seven": 7}


def test_what_most_people_gave_counts() -> None:
    found = MeshLabels()
    assert digit_of(labeled("seven", annotators=3, agreeing=2), digit_of_class(CLASSES), found) == 7
    assert found.seen == 0


def test_ties_are_left_out_and_counted() -> None:
    found = MeshLabels()
    assert digit_of(labeled(None, annotators=2, agreeing=1), digit_of_class(CLASSES), found) is None
    assert (found.ties, found.seen) == (1, 1)


def test_other_classes_are_left_out_and_counted() -> None:
    found = MeshLabels()
    for class_id in ("blank", "blank", "gone"):
        assert digit_of(labeled(class_id), digit_of_class(CLASSES), found) is None
    assert (dict(found.other_classes), found.seen) == ({"blank": 2, "gone": 1}, 3)
