"""Numbers depend on what they belong to, and on nothing else."""

from __future__ import annotations

import struct
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelmesh_augment.pipelines.random import Origin, StepDraws, noise

SHA = "ab" * 32


def draws(copy: int = 0) -> StepDraws:
    return Origin(7, SHA, copy).draws((0, 1))


@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_the_numbers_are_those_of_philox(low: int, high: int) -> None:
    ours = StepDraws(struct.pack("<QQ", low, high))
    theirs = [f"{number:016x}" for number in np.random.Philox(key=low | high << 64).random_raw(10).tolist()]
    assert "".join(ours.key() for _ in range(5)) == "".join(theirs)


def test_numbers_stay_what_they_are_from_version_to_version() -> None:
    chance = Origin(7, SHA, 3).draws((2, 1))
    told = (chance.uniform(-1.0, 1.0), chance.integer(0, 1000), chance.chance(0.5), chance.pick([1, 2, 3]), chance.key())
    assert told == (0.03658055327197807, 150, False, 1, "e25fb5b27ff5ac44d780ab320455ac56")


@pytest.mark.parametrize(
    "other", [Origin(8, SHA, 0), Origin(7, "cd" * 32, 0), Origin(7, SHA, 1)], ids=["another seed", "another file", "another copy"]
)
def test_numbers_differ_with_what_they_belong_to(other: Origin) -> None:
    assert other.draws((0, 1)).key() != draws().key()


def test_steps_at_different_places_have_different_numbers() -> None:
    paths = [(0,), (1,), (0, 0), (0, 1), (1, 0), (0, 0, 0), (0, 1, 1), (256,), (0, 256)]
    assert len({Origin(7, SHA).draws(path).key() for path in paths}) == len(paths)


def test_both_ends_of_a_whole_range_come_up_equally_often() -> None:
    chance = draws()
    counted = Counter(chance.integer(-2, 3) for _ in range(6000))
    assert sorted(counted) == [-2, -1, 0, 1, 2, 3]
    # Chi-square of five degrees of freedom: above 20.5 in one of a thousand fair draws.
    assert sum((count - 1000) ** 2 / 1000 for count in counted.values()) < 20.5


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_a_number_never_leaves_its_range(low: float, width: float) -> None:
    high = low + width
    chance = draws()
    assert all(low <= chance.uniform(low, high) <= high for _ in range(8))


def test_numbers_are_spread_evenly() -> None:
    chance = draws()
    counted = np.histogram([chance.uniform(0.0, 1.0) for _ in range(5000)], bins=10, range=(0, 1))[0]
    # Nine degrees of freedom: above 27.9 in one of a thousand.
    assert float(((counted - 500.0) ** 2 / 500.0).sum()) < 27.9


def test_weights_say_how_often_and_zero_means_never() -> None:
    chance = draws()
    counted = Counter(chance.pick([0, 3, 0, 1]) for _ in range(4000))
    assert set(counted) == {1, 3}
    assert (counted[1] - 3000) ** 2 / 3000 + (counted[3] - 1000) ** 2 / 1000 < 10.8


def test_a_pick_without_any_weight_is_a_fault() -> None:
    with pytest.raises(ValueError, match="above 0"):
        draws().pick([0.0, 0.0])


def test_certain_and_impossible_are_exact() -> None:
    chance = draws()
    assert all(chance.chance(1.0) and not chance.chance(0.0) for _ in range(1000))


def test_noise_of_a_key_can_be_made_again() -> None:
    key = draws().key()
    assert np.array_equal(noise(key).standard_normal(100), noise(key).standard_normal(100))
    assert not np.array_equal(noise(key).standard_normal(100), noise(draws(1).key()).standard_normal(100))
