"""Which files can be labeled."""

from __future__ import annotations

import hashlib
import io
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelmesh_labeling.pictures import MAX_BYTES, DecoderGate, Picture, Refusal, inspect, object_key
from PIL import Image


def picture(kind: str, mode: str = "RGB", size: tuple[int, int] = (64, 48), **more: object) -> bytes:
    image = Image.new(mode, size)
    for x in range(min(size)):
        image.putpixel((x, x), 200 if mode in ("L", "P", "1", "I;16") else (x, 200, 10, 255)[: len(image.getbands())])
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


WHOLE = {
    "jpeg": picture("JPEG"),
    "progressive jpeg": picture("JPEG", progressive=True),
    "grey jpeg": picture("JPEG", "L"),
    "cmyk jpeg": picture("JPEG", "CMYK"),
    "png": picture("PNG"),
    "png with alpha": picture("PNG", "RGBA"),
    "palette png": picture("PNG", "P"),
    "16-bit png": picture("PNG", "I;16"),
    "black and white png": picture("PNG", "1"),
    "one pixel": picture("PNG", "L", (1, 1)),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_jpeg_or_png_is_taken_as_it_is(name: str) -> None:
    content = WHOLE[name]
    found = inspect(content, DecoderGate())
    size = (1, 1) if name == "one pixel" else (64, 48)
    media_type = "image/jpeg" if "jpeg" in name else "image/png"
    assert found == Picture(content, hashlib.sha256(content).digest(), *size, media_type)


@pytest.mark.parametrize("name", ["jpeg", "progressive jpeg", "png", "16-bit png"])
@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_a_file_that_ends_early_is_refused(name: str, share: float) -> None:
    content = WHOLE[name]
    found = inspect(content[: int(len(content) * share)], DecoderGate())
    assert isinstance(found, Refusal)
    assert found.reason == "TRUNCATED"


def test_other_formats_are_refused_by_name() -> None:
    for kind in ("GIF", "BMP", "TIFF", "WEBP", "ICO"):
        found = inspect(picture(kind), DecoderGate())
        assert isinstance(found, Refusal)
        assert found.reason == "FORMAT_NOT_ALLOWED", kind


def test_a_file_of_too_many_bytes_is_refused_unread() -> None:
    found = inspect(bytes(MAX_BYTES + 1), DecoderGate())
    assert isinstance(found, Refusal)
    assert found.reason == "TOO_LARGE"


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(WHOLE)), st.integers(0, 5000), st.binary(min_size=1, max_size=40))
def test_no_damage_makes_the_inspection_fail(name: str, place: int, damage: bytes) -> None:
    content = bytearray(WHOLE[name])
    place %= len(content)
    content[place : place + len(damage)] = damage
    assert isinstance(inspect(bytes(content), DecoderGate()), Picture | Refusal)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_inspection_fail(content: bytes) -> None:
    assert isinstance(inspect(content, DecoderGate()), Refusal)


def test_decoders_wait_while_others_hold_all_the_pixels() -> None:
    gate = DecoderGate(100)
    entered = threading.Event()

    def wait() -> None:
        with gate.room(1_000):  # More than there is counts as all there is.
            entered.set()

    with gate.room(60), gate.room(40):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.05)
        assert not entered.is_set()
    thread.join(timeout=5)
    assert entered.is_set()


def test_an_object_s_key_is_its_content() -> None:
    assert object_key("ab" * 32, "image/jpeg") == f"images/ab/{'ab' * 32}.jpg"
    assert object_key("cd" * 32, "image/png").endswith(".png")
