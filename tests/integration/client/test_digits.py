"""The digits of scikit-learn, which take a while to load."""

from __future__ import annotations

import hashlib
import io

import numpy
from labelmesh_client.sources.digits import COUNT, digits, grey_of_ink
from PIL import Image
from sklearn.datasets import load_digits

from tests.unit.client.server import Serve
from tests.unit.client.shelf import Shelf
from tests.unit.client.test_command import labelmesh


def test_the_digits_are_all_1797_different_pictures_with_the_pixels_and_targets_of_scikit_learn() -> None:
    found = list(digits())
    original = load_digits()
    assert len(found) == COUNT == len(original.images)
    assert len({hashlib.sha256(digit.png).digest() for digit in found}) == COUNT
    assert [digit.name for digit in found[:2]] == ["digit-0000.png", "digit-0001.png"]
    grey = [grey_of_ink(ink) for ink in range(17)]
    for digit, picture, target in zip(found, original.images, original.target, strict=True):
        pixels = numpy.asarray(Image.open(io.BytesIO(digit.png)))
        assert pixels.shape == (8, 8)
        ink = numpy.vectorize(grey.index)(pixels)
        assert (ink == picture).all()
        assert digit.target == target


def test_the_demo_digits_are_all_there_and_a_second_time_adds_nothing(serve: Serve) -> None:
    shelf = Shelf()
    server = shelf.serve(serve)
    first, second = labelmesh(server, "demo", "digits"), labelmesh(server, "demo", "digits")
    assert (first.code, second.code) == (0, 0), first.err
    assert shelf.projects[0].suggestion_model == "digits"
    assert server.calls.count("ProjectService.UpdateProject") == 1
    assert first.out.startswith("1,797 images: 1,797 added, 0 there already, 0 refused")
    assert second.out.startswith("1,797 images: 0 added, 1,797 there already, 0 refused")
    assert len(shelf.contents) == 1797
    assert len(shelf.projects) == 1
    assert [(one.id, one.hotkey) for one in shelf.projects[0].classes] == [(str(digit), str(digit)) for digit in range(10)]
