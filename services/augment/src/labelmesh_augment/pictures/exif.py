"""The few facts of EXIF and XMP that matter: which way is up. Source: CIPA DC-008 (EXIF 2.32), 4.6; XMP specification part 2, 2.2.4."""

from __future__ import annotations

import re
import struct
from typing import Any

import cv2
from numpy.typing import NDArray

from labelmesh_augment.pictures.headers import UPRIGHT

PREFIX = b"Exif\x00\x00"
_ORDERS = {b"II*\x00": "<", b"MM\x00*": ">"}
_ORIENTATION = 0x0112
_SHORT = 3
_MAX_ENTRIES = 1000
_XMP_ATTRIBUTE = re.compile(rb"(tiff:Orientation\s{0,8}=\s{0,8}[\"'])[2-8]([\"'])")
_XMP_ELEMENT = re.compile(rb"(<tiff:Orientation>)[2-8](</tiff:Orientation>)")


def orientation(block: bytes | None) -> int:
    """The orientation in an EXIF block, 1 to 8; 1 where there is none or the block is broken."""
    if block is None:
        return UPRIGHT
    place = _orientation_place(block)
    if place is None:
        return UPRIGHT
    order, at = place
    (found,) = struct.unpack_from(order + "H", block, at)
    return int(found) if 1 <= found <= 8 else UPRIGHT


def cleared(block: bytes) -> bytes | None:
    """The block with orientation 1 and without its thumbnail, which shows the picture as it was; None for a broken block."""
    order = _ORDERS.get(block[:4])
    if order is None:
        return None
    changed = bytearray(block)
    try:
        (start,) = struct.unpack_from(order + "I", block, 4)
        (count,) = struct.unpack_from(order + "H", block, start)
        # Where the next directory is, which holds the thumbnail.
        struct.pack_into(order + "I", changed, start + 2 + 12 * count, 0)
    except struct.error:
        return None
    place = _orientation_place(block)
    if place is not None:
        struct.pack_into(order + "H", changed, place[1], UPRIGHT)
    return bytes(changed)


def cleared_xmp(packet: bytes) -> bytes:
    """The packet with orientation 1."""
    return _XMP_ELEMENT.sub(rb"\g<1>1\g<2>", _XMP_ATTRIBUTE.sub(rb"\g<1>1\g<2>", packet))


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The pixels turned as EXIF's orientation asks: (height, width) or (height, width, channels)."""
    if orientation == 2:
        return cv2.flip(pixels, 1)
    if orientation == 3:
        return cv2.rotate(pixels, cv2.ROTATE_180)
    if orientation == 4:
        return cv2.flip(pixels, 0)
    if orientation == 5:
        return cv2.transpose(pixels)
    if orientation == 6:
        return cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)
    if orientation == 7:
        return cv2.rotate(cv2.transpose(pixels), cv2.ROTATE_180)
    if orientation == 8:
        return cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)
    return pixels


def _orientation_place(block: bytes) -> tuple[str, int] | None:
    """The byte order ("<" or ">") and where the number is."""
    order = _ORDERS.get(block[:4])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(order + "I", block, 4)
        (count,) = struct.unpack_from(order + "H", block, start)
        for index in range(min(count, _MAX_ENTRIES)):
            at = start + 2 + 12 * index
            tag, kind, number = struct.unpack_from(order + "HHI", block, at)
            if tag == _ORIENTATION and kind == _SHORT and number == 1 and at + 10 <= len(block):
                return order, at + 8
    except struct.error:
        pass
    return None
