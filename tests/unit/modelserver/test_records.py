from __future__ import annotations

import struct
from pathlib import Path

import pytest
from labelmesh_modelserver.records import masked_crc32c, read_records
from labelmesh_modelserver.statuses import Code, ServingError


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))


def test_the_checksum_is_crc32c_as_tfrecord_masks_it() -> None:
    """Source: RFC 3720, B.4 (32 zero bytes: 8a9136aa); tensorflow/core/lib/hash/crc32c.h for the mask."""
    crc = 0x8A9136AA
    assert masked_crc32c(bytes(32)) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_records_come_back_in_order(tmp_path: Path) -> None:
    file = tmp_path / "records"
    file.write_bytes(_record(b"one") + _record(b"") + _record(b"three" * 1000))
    assert list(read_records(file)) == [b"one", b"", b"three" * 1000]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"this is no TFRecord at all", "corrupted record at 0"),
        (_record(b"one") + b"\0\0\0", "truncated record at 19"),
        (_record(b"one")[:-1], "truncated record at 0"),
        (_record(b"one") + _record(b"two")[:14], "truncated record at 19"),
    ],
)
def test_a_file_that_is_none_is_data_loss(tmp_path: Path, content: bytes, text: str) -> None:
    file = tmp_path / "records"
    file.write_bytes(content)
    with pytest.raises(ServingError) as refused:
        list(read_records(file))
    assert refused.value.code is Code.DATA_LOSS
    assert refused.value.text == f"{text}. Please verify your warmup data is in TFRecord format."
