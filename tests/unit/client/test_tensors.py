"""Tensors between numpy and the wire."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelmesh.inference.v1 import tensors_pb2
from labelmesh_client import ConfigurationError, Tensor

_KINDS = [
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
    "complex64",
    "complex128",
]


@given(st.sampled_from(_KINDS), st.lists(st.integers(0, 4), max_size=3), st.integers(0, 2**32 - 1), st.booleans())
def test_an_array_goes_out_and_comes_back_the_same(kind: str, shape: list[int], seed: int, swapped: bool) -> None:
    raw = np.random.default_rng(seed).integers(0, 100, size=shape)
    array = raw.astype(kind)
    given_array = array.astype(array.dtype.newbyteorder(">")) if swapped else array
    message = Tensor.of(given_array).to_wire()
    assert tensors_pb2.DataType.Name(message.data_type) == f"DATA_TYPE_{kind.upper()}"
    back = Tensor.from_wire(message).array()
    assert back.dtype == np.dtype(kind)
    np.testing.assert_array_equal(back, array)


@given(st.lists(st.lists(st.binary(max_size=5), min_size=2, max_size=2), max_size=4))
def test_byte_strings_of_any_length_go_out_and_come_back(rows: list[list[bytes]]) -> None:
    array = np.empty((len(rows), 2), object)
    for place, row in enumerate(rows):
        array[place] = row
    back = Tensor.from_wire(Tensor.of(array).to_wire()).array()
    assert back.tolist() == rows
    assert back.shape == array.shape


def test_text_becomes_bytes_and_bfloat16_comes_as_float32() -> None:
    assert Tensor.of(["fox", "Füchse"]).strings == (b"fox", "Füchse".encode())
    halves = b"".join(struct.pack("<f", number)[2:] for number in (1.0, -2.5, 0.0))
    np.testing.assert_array_equal(Tensor("bfloat16", (3,), halves).array(), np.array([1.0, -2.5, 0.0], np.float32))


def test_types_that_models_do_not_know_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="datetime64"):
        Tensor.of(np.array(["2026-01-01"], "datetime64[D]"))
    with pytest.raises(ConfigurationError, match="float32, float64"):
        Tensor("float", (1,), b"1234").to_wire()
