"""Tensors: numbers in rows and columns, as models take and give them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from labelmesh.inference.v1 import tensors_pb2

from labelmesh_client.errors import ConfigurationError

#: Names as in numpy, where numpy has them.
_NAMES = {
    number: name.removeprefix("DATA_TYPE_").lower() for name, number in tensors_pb2.DataType.items() if name != "DATA_TYPE_UNSPECIFIED"
}
_NUMBERS = {name: number for number, name in _NAMES.items()}


def tensor_type(number: tensors_pb2.DataType.ValueType) -> str:
    """The name of a type of the contract, e.g. float32."""
    return _NAMES.get(number, "unspecified")


@dataclass(frozen=True)
class Tensor:
    """A tensor: `data_type` is float32, uint8, string, bfloat16 and so on; `content` has the elements in row-major order, little-endian.

    Elements of a tensor of strings stand in `strings` instead. `array()` and `of()` need numpy, which the SDK does not bring along.
    """

    data_type: str
    shape: tuple[int, ...]
    content: bytes = b""
    strings: tuple[bytes, ...] = ()

    @staticmethod
    def from_wire(message: tensors_pb2.Tensor) -> Tensor:
        return Tensor(tensor_type(message.data_type), tuple(message.shape), message.content, tuple(message.strings))

    def to_wire(self) -> tensors_pb2.Tensor:
        """Raises ConfigurationError for a type that models do not know."""
        number = _NUMBERS.get(self.data_type)
        if number is None:
            raise ConfigurationError(f"There are no tensors of {self.data_type!r}; there are: {', '.join(_NUMBERS)}.")
        return tensors_pb2.Tensor(data_type=number, shape=self.shape, content=self.content, strings=self.strings)

    @staticmethod
    def of(array: Any) -> Tensor:
        """Whatever numpy makes an array of. Text and byte strings become a tensor of strings."""
        np = _numpy()
        given = np.asarray(array)
        if given.dtype.kind in "OSU":
            strings = tuple(one.encode() if isinstance(one, str) else bytes(one) for one in given.ravel().tolist())
            return Tensor("string", given.shape, strings=strings)
        if given.dtype.name not in _NUMBERS:
            raise ConfigurationError(f"Models take no arrays of {given.dtype.name}.")
        return Tensor(given.dtype.name, given.shape, np.ascontiguousarray(given, given.dtype.newbyteorder("<")).tobytes())

    def array(self) -> Any:
        """The elements as an array of numpy; bfloat16 as float32, strings as objects."""
        np = _numpy()
        if self.data_type == "string":
            filled = np.empty(math.prod(self.shape), object)
            filled[:] = self.strings
            return filled.reshape(self.shape)
        if self.data_type == "bfloat16":
            halves = np.frombuffer(self.content, "<u2").astype("<u4") << 16
            return halves.view("<f4").reshape(self.shape)
        return np.frombuffer(self.content, np.dtype(self.data_type).newbyteorder("<")).reshape(self.shape)


def _numpy() -> Any:
    try:
        import numpy
    except ImportError:
        raise ConfigurationError("Arrays need numpy: pip install numpy") from None
    return numpy
