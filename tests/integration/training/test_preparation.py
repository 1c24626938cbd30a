"""Pictures are prepared for training exactly as the mesh prepares them when the model is asked."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from labelmesh_client import SourceError, manifest_text
from labelmesh_client.sources.digits import digits
from labelmesh_inference.manifest import ModelManifest
from labelmesh_inference.predictions.preparation import prepare as prepare_in_the_service
from labelmesh_inference.serving.values import DataType, Signature, TensorSpec
from labelmesh_inference.wire import manifest_of
from labelmesh_training.manifests import digits_manifest
from labelmesh_training.preparation import prepare
from PIL import Image

from tests.integration.training.drawings import drawing

SIGNATURE = Signature(
    "serving_default",
    {"images": TensorSpec("images", DataType.FLOAT32, (-1, 28, 28, 1))},
    {"probabilities": TensorSpec("probabilities", DataType.FLOAT32, (-1, 10))},
)


@pytest.fixture(scope="module")
def manifest() -> ModelManifest:
    return manifest_of(digits_manifest("digits"))


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format=form, **options)
    return file.getvalue()


def photograph(width: int, height: int, mode: str = "RGB", seed: int = 1) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def see_through() -> Image.Image:
    image = photograph(60, 40, "RGBA")
    image.putalpha(Image.linear_gradient("L").resize((60, 40)))
    return image


def sixteen_bit() -> Image.Image:
    return Image.fromarray(np.arange(50 * 30, dtype=np.uint16).reshape(30, 50) * 40)


def turned(orientation: int, form: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(photograph(300, 200), form, exif=exif)


PICTURES: dict[str, Callable[[], bytes]] = {
    "wide": lambda: saved(photograph(640, 200), "PNG"),
    "high": lambda: saved(photograph(31, 200, "L"), "PNG"),
    "tiny": lambda: saved(photograph(1, 3), "PNG"),
    "line": lambda: saved(photograph(400, 2), "PNG"),
    "exact": lambda: saved(photograph(28, 28, "L"), "PNG"),
    "large JPEG": lambda: saved(photograph(1600, 1201), "JPEG", quality=90),
    "grey JPEG": lambda: saved(photograph(500, 333, "L"), "JPEG"),
    "CMYK JPEG": lambda: saved(photograph(120, 90, "CMYK"), "JPEG"),
    "palette": lambda: saved(photograph(90, 70).convert("P"), "PNG"),
    "see-through": lambda: saved(see_through(), "PNG"),
    "grey and see-through": lambda: saved(see_through().convert("LA"), "PNG"),
    "one bit": lambda: saved(photograph(77, 55, "1"), "PNG"),
    "sixteen bits": lambda: saved(sixteen_bit(), "PNG"),
    **{f"turned as {number}": lambda number=number: turned(number) for number in range(1, 9)},  # type: ignore[misc]
    "turned PNG": lambda: turned(6, "PNG"),
}


def assert_same(manifest: ModelManifest, content: bytes) -> None:
    theirs = np.asarray(prepare_in_the_service(manifest, SIGNATURE, content).row["images"])
    ours = prepare(content)
    assert theirs.shape == (28, 28, 1) and ours.dtype == theirs.dtype == np.float32
    np.testing.assert_array_equal(ours, theirs[:, :, 0])


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_of_all_kinds_are_prepared_alike(manifest: ModelManifest, name: str) -> None:
    assert_same(manifest, PICTURES[name]())


def test_digits_on_paper_and_on_a_page_are_prepared_alike(manifest: ModelManifest) -> None:
    chance = random.Random(5)
    for digit in range(10):
        for light in (True, False):
            assert_same(manifest, drawing(digit, chance, light=light))
    for one in list(digits())[:300]:
        assert_same(manifest, one.png)
        assert prepare(one.png)[0, 0] < 0.5  # light on dark


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    whole = saved(photograph(300, 200), "JPEG")
    for content in (b"", b"GIF89a" + bytes(40), b"no picture at all", whole[:200], saved(photograph(30, 20), "PNG")[:-40]):
        with pytest.raises(SourceError, match="cannot be read"):
            prepare(content)


def test_the_manifest_is_one_that_the_service_takes(manifest: ModelManifest) -> None:
    manifest.check_consistency()
    assert "kind: INPUT_KIND_PIXELS" in manifest_text(digits_manifest("digits"))
