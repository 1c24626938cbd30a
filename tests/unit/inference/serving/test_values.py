"""Tensors as values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelmesh_chassis.errors import InvalidArgument
from labelmesh_inference.serving.values import DataType, Tensor

# A busy machine makes examples slow, not wrong.
unhurried = settings(deadline=None)


@unhurried
@given(st.lists(st.floats(width=32), min_size=1))
def test_bfloat16_is_rounded_to_the_nearest_and_ties_to_even(numbers: list[float]) -> None:
    array = np.array(numbers, np.float32)
    found = Tensor.of(array, DataType.BFLOAT16).array()
    for number, rounded in zip(array, found, strict=True):
        if np.isnan(number):
            assert np.isnan(rounded)
            continue
        below = (np.array(number).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
        above = (np.array(below).view(np.uint32) + np.uint32(0x10000)).view(np.float32)
        assert rounded in (below, above)
        if np.isfinite(above):
            distances = abs(float(number) - float(below)), abs(float(above) - float(number))
            nearest = below if distances[0] < distances[1] else above
            if distances[0] != distances[1]:
                assert rounded == nearest


def test_halves_of_bfloat16_go_to_even() -> None:
    bits = np.array([0x3F808000, 0x3F818000, 0x3F808001], np.uint32)
    found = np.frombuffer(Tensor.of(bits.view(np.float32), DataType.BFLOAT16).content, "<u2")
    assert [hex(one) for one in found] == ["0x3f80", "0x3f82", "0x3f81"]


def test_what_the_contract_has_no_type_for_is_widened_without_a_loss() -> None:
    quantized = Tensor(DataType.QINT16, (2,), np.array([1, -2], "<i2").tobytes())
    assert quantized.widened() == Tensor(DataType.INT16, (2,), quantized.content)
    small = Tensor(DataType.FLOAT8_E5M2, (2,), bytes([0x3C, 0xC0]))
    assert small.widened() == Tensor.of(np.array([1, -2], np.float32))
    plain = Tensor.of(np.array([1, 2], np.float64))
    assert plain.widened() is plain


def test_text_becomes_bytes() -> None:
    assert Tensor.of(np.array(["é", "b"])).strings == ("é".encode(), b"b")
    assert Tensor.of(np.array([b"a\x00b"], object)).strings == (b"a\x00b",)


def test_an_array_is_not_copied() -> None:
    tensor = Tensor.of(np.arange(4, dtype=np.float32))
    assert not tensor.array().flags.writeable


def test_booleans_are_one_or_nothing_whatever_the_byte() -> None:
    found = Tensor(DataType.BOOL, (3,), b"\x00\x01\x02").array()
    assert found.view(np.uint8).tolist() == [0, 1, 1]


def test_a_tensor_of_another_size_than_its_shape_has_no_array() -> None:
    with pytest.raises(InvalidArgument):
        Tensor(DataType.FLOAT32, (2,), b"\0" * 4).array()
