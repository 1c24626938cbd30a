"""Protobuf's wire format written by hand, as a sender would: an oracle that shares no code with what reads it."""

from __future__ import annotations

from collections.abc import Iterable


def varint(number: int) -> bytes:
    """A number as a varint; negative ones as two's complement of 64 bits."""
    number &= 2**64 - 1
    out = bytearray()
    while True:
        byte, number = number & 0x7F, number >> 7
        if not number:
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def varints(numbers: Iterable[int]) -> bytes:
    """Numbers one after the other."""
    return b"".join(varint(number) for number in numbers)
