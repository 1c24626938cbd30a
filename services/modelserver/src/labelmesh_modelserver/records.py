"""Reads TFRecord files (tensorflow/core/lib/io/record_reader.cc), without TensorFlow's deprecated Python reader."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from labelmesh_modelserver.statuses import Code, ServingError

# A record's header: its length, and a checksum of the length that also tells a TFRecord from any other file.
_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
# A warm-up request is a request: nothing larger could be sent to this server.
_MAX_RECORD = 1 << 31


def read_records(file: Path) -> Iterator[bytes]:
    """The records of a file, in order.

    The checksums of lengths are checked, those of the data are not: in Python that costs a second for every 4 MB.

    Raises:
        ServingError: DATA_LOSS for a file that is no TFRecord or ends within a record.
    """
    with file.open("rb") as opened:
        at = 0
        while header := opened.read(_HEADER.size):
            if len(header) < _HEADER.size:
                raise _loss("truncated record", at)
            length, checksum = _HEADER.unpack(header)
            if checksum != masked_crc32c(header[:8]) or length > _MAX_RECORD:
                raise _loss("corrupted record", at)
            data = _read(opened, length, at)
            _read(opened, _FOOTER.size, at)
            yield data
            at += _HEADER.size + length + _FOOTER.size


def masked_crc32c(data: bytes) -> int:
    """CRC-32C (RFC 3720, appendix B.4), rotated and offset the way TFRecord stores it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _read(opened: BinaryIO, length: int, at: int) -> bytes:
    data = opened.read(length)
    if len(data) < length:
        raise _loss("truncated record", at)
    return data


def _loss(what: str, at: int) -> ServingError:
    return ServingError(Code.DATA_LOSS, f"{what} at {at}. Please verify your warmup data is in TFRecord format.")


def _table() -> tuple[int, ...]:
    table = []
    for index in range(256):
        value = index
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _table()
