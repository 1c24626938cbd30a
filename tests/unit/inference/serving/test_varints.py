"""Packed varints read by numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelmesh_inference.serving import varints as reading
from labelmesh_inference.serving.varints import count_varints, decode_varints

from tests.unit.inference.serving.wire_bytes import varints

# A busy machine makes examples slow, not wrong.
unhurried = settings(deadline=None)

EDGES = [number for power in range(64) for number in (2**power - 1, 2**power)]


@unhurried
@given(st.lists(st.one_of(st.integers(0, 2**64 - 1), st.sampled_from(EDGES), st.integers(0, 300))))
def test_every_number_comes_back(numbers: list[int]) -> None:
    packed = varints(numbers)
    assert decode_varints(packed).tolist() == numbers
    assert count_varints(packed) == len(numbers)


@unhurried
@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_negative_numbers_come_back_as_signed(numbers: list[int]) -> None:
    assert decode_varints(varints(numbers)).view(np.int64).tolist() == numbers


def test_numbers_across_the_pieces_in_which_long_lists_are_read_come_back() -> None:
    numbers = np.random.default_rng(1).integers(0, 2**63, 400_000, dtype=np.uint64) >> np.arange(400_000, dtype=np.uint64) % np.uint64(63)
    packed = varints(numbers.tolist())
    assert len(packed) > 1.5 * reading._STEP
    assert np.array_equal(decode_varints(packed), numbers)


@pytest.mark.parametrize("packed", [b"\x80", b"\x01\xff", b"\xff" * 10])
def test_a_number_that_is_cut_off_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="cut off"):
        decode_varints(packed)
    with pytest.raises(ValueError, match="cut off"):
        count_varints(packed)


@pytest.mark.parametrize("packed", [b"\xff" * 10 + b"\x01", b"\x05" + b"\x80" * 20 + b"\x00", b"\x80" * (2 * reading._STEP) + b"\x01"])
def test_a_number_of_more_than_ten_bytes_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="longer than 10 bytes"):
        decode_varints(packed)


def test_nothing_is_no_numbers() -> None:
    assert decode_varints(b"").tolist() == []
    assert count_varints(b"") == 0
