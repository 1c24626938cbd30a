"""Pictures made anew."""

from __future__ import annotations

import numpy as np
from labelmesh_training.augmentation import augmented
from labelmesh_training.strokes import drawn_digits


def test_each_picture_becomes_another_one_of_the_same_kind() -> None:
    images = drawn_digits(300, np.random.default_rng(1)).images
    made = augmented(images, np.random.default_rng(2))
    assert made.shape == images.shape and made.dtype == np.float32
    assert np.isfinite(made).all() and made.min() >= 0 and made.max() <= 1
    assert (np.abs(made - images).max(axis=(1, 2)) > 0.2).mean() > 0.95
    assert (made.max(axis=(1, 2)) > 0.3).mean() > 0.99


def test_the_same_generator_makes_the_same_pictures() -> None:
    images = drawn_digits(20, np.random.default_rng(1)).images
    first, again, other = (augmented(images, np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.5


def test_nothing_of_a_digit_leaves_the_picture() -> None:
    images = np.zeros((500, 28, 28), dtype=np.float32)
    images[:, 6:22, 8:20] = 1.0
    made = augmented(images, np.random.default_rng(3))
    border = np.concatenate([made[:, 0], made[:, -1], made[:, :, 0], made[:, :, -1]], axis=1)
    assert (border.max(axis=1) == 0).mean() > 0.95


def test_beside_a_picture_that_became_smaller_it_is_dark() -> None:
    made = augmented(np.ones((500, 28, 28), dtype=np.float32), np.random.default_rng(3))
    border = np.concatenate([made[:, 0], made[:, -1], made[:, :, 0], made[:, :, -1]], axis=1)
    assert (border.max(axis=1) == 0).mean() > 0.25


def test_black_stays_black() -> None:
    assert augmented(np.zeros((50, 28, 28), dtype=np.float32), np.random.default_rng(1)).max() == 0
