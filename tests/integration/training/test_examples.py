"""The digits of scikit-learn as examples."""

from __future__ import annotations

import hashlib

from labelmesh_training.reference import bundled_digits


def test_the_bundled_digits_are_those_that_the_demo_imports() -> None:
    found = list(bundled_digits())
    assert len(found) == len({one.sha256 for one in found}) == 1797
    assert all(one.sha256 == hashlib.sha256(one.file).hexdigest() for one in found)
    assert {one.label for one in found} == set(range(10))
    assert all(one.image.min() >= 0 and one.image.max() <= 1 for one in found)
