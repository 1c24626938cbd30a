"""Packed varints of protobuf, read by numpy: a million integers cost no million objects.

Source: https://protobuf.dev/programming-guides/encoding/#varints.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LONGEST = 10
# Bytes looked at in one go: the arrays in between are eight times as large.
_STEP = 1 << 20


def count_varints(packed: bytes) -> int:
    """How many varints there are. ValueError where the last one is cut off."""
    if packed and packed[-1] >= 0x80:
        raise ValueError("the last number is cut off")
    return int(np.count_nonzero(np.frombuffer(packed, np.uint8) < 0x80))


def decode_varints(packed: bytes) -> NDArray[np.uint64]:
    """The numbers, each modulo 2**64: negative ones of a signed type are their two's complement. ValueError where they are malformed."""
    if packed and packed[-1] >= 0x80:
        raise ValueError("the last number is cut off")
    data = np.frombuffer(packed, np.uint8)
    if len(data) <= _STEP:
        return _decode(data)
    pieces, start = [], 0
    while start < len(data):
        end = min(start + _STEP, len(data))
        while data[end - 1] >= 0x80:
            end -= 1
            if end <= start:
                raise ValueError("a number is longer than 10 bytes")
        pieces.append(_decode(data[start:end]))
        start = end
    return np.concatenate(pieces)


def _decode(data: NDArray[np.uint8]) -> NDArray[np.uint64]:
    last = data < 0x80
    if last.all():
        return data.astype(np.uint64)
    ends = np.flatnonzero(last)
    starts = np.empty_like(ends)
    starts[0] = 0
    starts[1:] = ends[:-1] + 1
    lengths = ends - starts + 1
    longest = int(lengths.max())
    if longest > _LONGEST:
        raise ValueError("a number is longer than 10 bytes")
    values = (data[starts] & 0x7F).astype(np.uint64)
    for place in range(1, longest):
        longer = np.flatnonzero(lengths > place)
        values[longer] |= (data[starts[longer] + place] & 0x7F).astype(np.uint64) << np.uint64(7 * place)
    return values
