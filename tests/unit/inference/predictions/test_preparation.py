"""What a model gets is what its manifest says, from every form of picture that people send."""

from __future__ import annotations

import io
import random
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from labelmesh_chassis.errors import FailedPrecondition, InvalidArgument
from labelmesh_inference.manifest import ClassesOutput, ColorMode, Fit, InputKind, InputSpec, Layout, ModelManifest, Resampling
from labelmesh_inference.predictions.preparation import Preparation, Prepared, prepare
from labelmesh_inference.serving.values import DataType, Signature, Tensor, TensorSpec
from PIL import Image

from tests.unit.inference.predictions.photographs import file_of, model


def pixels_of(content: bytes, data_type: DataType = DataType.UINT8, **how: Any) -> np.ndarray:
    """What a model gets of a file."""
    gray = how.get("color") is ColorMode.GRAY
    shape = how.pop("shape", (-1, -1, -1, 1 if gray else 3))
    manifest, signature = model(data_type, shape, ClassesOutput(), **how)
    value = prepare(manifest, signature, content).row["image"]
    assert isinstance(value, np.ndarray)
    return value


def refusal_of(content: bytes) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        pixels_of(content)
    return caught.value


# --- forms of pictures ---


def test_a_transparent_picture_stands_on_white() -> None:
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    image.putpixel((1, 1), (200, 10, 20, 255))
    image.putpixel((2, 2), (0, 0, 0, 128))
    pixels = pixels_of(file_of(image))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[1, 1].tolist() == [200, 10, 20]
    assert pixels[2, 2, 0] == pytest.approx(127, abs=1)


@pytest.mark.parametrize("color", [ColorMode.RGB, ColorMode.GRAY])
def test_grey_with_transparency_and_palettes_with_a_transparent_colour_stand_on_white(color: ColorMode) -> None:
    grey = Image.new("LA", (3, 3), (0, 0))
    grey.putpixel((1, 1), (90, 255))
    palette = Image.new("P", (3, 3), 0)
    palette.putpalette([0, 0, 0, 90, 90, 90])
    palette.putpixel((1, 1), 1)
    files = [file_of(grey), file_of(palette, transparency=0)]
    plain = Image.new("L", (3, 3), 0)
    plain.putpixel((1, 1), 90)
    files.append(file_of(plain, transparency=0))
    for content in files:
        pixels = pixels_of(content, color=color)
        assert (pixels[0, 0] == 255).all() and (pixels[1, 1] == 90).all()


def test_palettes_black_and_white_and_grey_are_taken() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 0), 1)
    assert pixels_of(file_of(palette)).tolist() == [[[10, 20, 30], [200, 100, 50]]]
    two = Image.new("1", (2, 1), 0)
    two.putpixel((1, 0), 1)
    assert pixels_of(file_of(two)).tolist() == [[[0, 0, 0], [255, 255, 255]]]
    assert pixels_of(file_of(Image.new("L", (1, 1), 77))).tolist() == [[[77, 77, 77]]]


@pytest.mark.parametrize("color", [ColorMode.RGB, ColorMode.GRAY])
def test_sixteen_bits_are_scaled_to_eight_and_not_cut_off(color: ColorMode) -> None:
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    pixels = pixels_of(file_of(Image.fromarray(values)), color=color)
    assert pixels[0, :, 0].tolist() == [0, 1, 128, 255]


def test_a_jpeg_of_four_inks_has_the_colours_that_a_viewer_shows() -> None:
    # Cyan ink, full: no red.
    pixels = pixels_of(file_of(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG"))
    assert pixels[8, 8, 0] < 30 and pixels[8, 8, 1] > 225 and pixels[8, 8, 2] > 225


def test_a_grey_jpeg_serves_a_model_of_colours_and_a_coloured_one_a_model_of_grey() -> None:
    assert pixels_of(file_of(Image.new("L", (16, 16), 80), "JPEG"))[4, 4] == pytest.approx([80, 80, 80], abs=2)
    luma = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    for kind in ("JPEG", "PNG"):
        pixels = pixels_of(file_of(Image.new("RGB", (16, 16), (200, 100, 50)), kind), color=ColorMode.GRAY)
        assert pixels.shape == (16, 16, 1) and pixels[4, 4, 0] == pytest.approx(luma, abs=2)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_rotation_that_exif_asks_for_is_done(kind: str, orientation: int) -> None:
    image = Image.fromarray(np.kron(np.arange(12, dtype=np.uint8).reshape(3, 4) * 20, np.ones((8, 8), np.uint8)))
    content = file_of(image, kind, orientation=orientation)
    assert np.abs(pixels_of(content, color=ColorMode.GRAY)[:, :, 0].astype(int) - np.asarray(image)).max() <= 4
    small = pixels_of(content, color=ColorMode.GRAY, width=4, height=3)[:, :, 0]
    # The filter takes a little of the neighbours, whose brightness is 20 and 80 away.
    assert np.abs(small.astype(int) - np.arange(12).reshape(3, 4) * 20).max() <= 16


def test_a_model_that_wants_the_rows_as_stored_gets_them() -> None:
    image = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4) * 20)
    content = file_of(image, orientation=6)
    pixels = pixels_of(content, color=ColorMode.GRAY, keep_exif_rotation=True)
    assert pixels.shape == (4, 3, 1)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_broken_exif_block_turns_nothing() -> None:
    image = Image.new("L", (8, 4), 9)
    for block in (b"Exif\x00\x00II*\x00\xff\xff\xff\xff", b"Exif\x00\x00nonsense", b"Exif\x00\x00", b"MM\x00*\x00\x00\x00\x08\x00\x01"):
        held = io.BytesIO()
        image.save(held, "JPEG", exif=block)
        assert pixels_of(held.getvalue(), color=ColorMode.GRAY).shape == (4, 8, 1)


# --- refusals ---


def test_what_is_no_jpeg_or_png_is_refused_by_name() -> None:
    gif, webp = io.BytesIO(), io.BytesIO()
    Image.new("L", (4, 4)).save(gif, "GIF")
    Image.new("RGB", (4, 4)).save(webp, "WEBP")
    assert refusal_of(gif.getvalue()).reason == "FORMAT_NOT_ALLOWED" and "GIF" in refusal_of(gif.getvalue()).message
    assert "WebP" in refusal_of(webp.getvalue()).message
    assert refusal_of(b"hello").reason == "NOT_AN_IMAGE"
    assert refusal_of(b"").reason == "EMPTY"
    assert refusal_of(b"x" * (16 * 1024 * 1024 + 1)).reason == "TOO_LARGE"


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_file_that_ends_early_is_refused_wherever_it_ends(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    content = file_of(noise, kind)
    for share in (0.01, 0.1, 0.5, 0.9, 0.99):
        assert refusal_of(content[: int(len(content) * share)]).reason in ("TRUNCATED", "NOT_AN_IMAGE")


def test_a_png_with_a_damaged_body_is_refused() -> None:
    content = bytearray(file_of(Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8))))
    content[len(content) // 2] ^= 0xFF
    assert refusal_of(bytes(content)).reason == "NOT_AN_IMAGE"


def test_a_small_file_of_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    width, height = 20_000, 5_001
    header = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x00\x00\x00\x00"
    chunks = [header, b"IDAT" + zlib.compress(b"\x00"), b"IEND"]
    body = b"".join((len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") for chunk in chunks)
    with pytest.raises(InvalidArgument) as caught:
        pixels_of(b"\x89PNG\r\n\x1a\n" + body, width=8, height=8)
    found = caught.value
    assert found.reason == "TOO_MANY_PIXELS" and "100,020,000" not in found.message and "20,000 x 5,001" in found.message
    assert found.violations[0].field == "input"


def test_random_damage_is_refused_and_never_a_fault_of_ours() -> None:
    chance = random.Random(5)
    files = [file_of(Image.effect_noise((30, 30), 80), kind) for kind in ("JPEG", "PNG")]
    for _ in range(300):
        content = bytearray(chance.choice(files))
        for _ in range(chance.randint(1, 8)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        with suppress(InvalidArgument):
            pixels_of(bytes(content), width=8, height=8)


# --- numbers ---


def test_pixels_are_scaled_then_centred_then_spread() -> None:
    content = file_of(Image.new("RGB", (2, 2), (255, 51, 0)))
    values = pixels_of(content, DataType.FLOAT32, scale=1 / 255, mean=(0.5, 0.4, 0.3), std=(0.5, 0.2, 0.1))
    assert values.dtype == np.float32
    assert values[0, 0] == pytest.approx([1.0, -1.0, -3.0], abs=1e-6)
    one = pixels_of(content, DataType.FLOAT64, mean=(100,), std=(2,))
    assert one[0, 0].tolist() == [77.5, -24.5, -50.0]


def test_mean_and_std_follow_the_order_of_the_channels() -> None:
    content = file_of(Image.new("RGB", (1, 1), (10, 20, 30)))
    values = pixels_of(content, DataType.FLOAT32, color=ColorMode.BGR, mean=(30, 20, 10))
    assert values[0, 0].tolist() == [0, 0, 0]
    assert pixels_of(content, color=ColorMode.BGR)[0, 0].tolist() == [30, 20, 10]


@pytest.mark.parametrize(
    "data_type", [DataType.FLOAT16, DataType.FLOAT32, DataType.FLOAT64, DataType.UINT8, DataType.INT32, DataType.INT64]
)
def test_every_type_of_number_is_as_the_signature_says(data_type: DataType) -> None:
    values = pixels_of(file_of(Image.new("RGB", (1, 1), (0, 128, 255))), data_type)
    assert values.dtype.name == data_type.value and values[0, 0].tolist() == [0, 128, 255]


def test_small_integers_are_rounded_within_their_range() -> None:
    values = pixels_of(file_of(Image.new("RGB", (1, 1), (0, 127, 255))), DataType.INT8, mean=(128,))
    assert values.dtype == np.int8 and values[0, 0].tolist() == [-128, -1, 127]


def test_bfloat16_is_sent_as_its_bits() -> None:
    manifest, signature = model(DataType.BFLOAT16, (-1, -1, -1, 3), ClassesOutput(), scale=1 / 255)
    value = prepare(manifest, signature, file_of(Image.new("RGB", (2, 1), (255, 0, 51)))).row["image"]
    assert isinstance(value, Tensor) and value.data_type is DataType.BFLOAT16 and value.shape == (1, 2, 3)
    assert value.array()[0, 0] == pytest.approx([1, 0, 0.2], rel=1e-2)


def test_channels_stand_where_the_manifest_says() -> None:
    content = file_of(Image.new("RGB", (3, 2), (1, 2, 3)))
    values = pixels_of(content, layout=Layout.NCHW, shape=(-1, 3, -1, -1))
    assert values.shape == (3, 2, 3) and [int(channel[0, 0]) for channel in values] == [1, 2, 3] and values.flags.c_contiguous
    gray: dict[str, Any] = {"color": ColorMode.GRAY}
    assert pixels_of(content, layout=Layout.NCHW, shape=(-1, 1, 2, 3), width=3, height=2, **gray).shape == (1, 2, 3)
    assert pixels_of(content, shape=(-1, 2, 3), width=3, height=2, **gray).shape == (2, 3)


def test_letterboxing_keeps_proportions_and_fills_the_rest() -> None:
    pixels = pixels_of(file_of(Image.new("RGB", (100, 50), (200, 200, 200))), width=40, height=40, fit=Fit.LETTERBOX, fill=114)
    assert (pixels[:10] == 114).all() and (pixels[10:30] == 200).all() and (pixels[30:] == 114).all()


def test_cropping_takes_the_largest_middle_part() -> None:
    image = Image.new("RGB", (120, 40), (255, 0, 0))
    image.paste((0, 0, 255), (40, 0, 80, 40))
    pixels = pixels_of(file_of(image), width=20, height=20, fit=Fit.CROP)
    assert (pixels[2:-2, 2:-2] == (0, 0, 255)).all()


def test_shrinking_uses_every_pixel_unless_nearest_is_asked_for() -> None:
    checkers = Image.fromarray((np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8))
    for resampling in (Resampling.BILINEAR, Resampling.BICUBIC, Resampling.LANCZOS):
        assert pixels_of(file_of(checkers), width=8, height=8, resampling=resampling).mean() == pytest.approx(127.5, abs=3)
    assert set(np.unique(pixels_of(file_of(checkers), width=8, height=8, resampling=Resampling.NEAREST))) <= {0, 255}


def test_a_large_jpeg_shrunk_while_it_is_decoded_looks_as_if_it_was_not() -> None:
    chance = np.random.default_rng(3)
    image = Image.fromarray(chance.integers(0, 256, (120, 160, 3), dtype=np.uint8)).resize((1600, 1200), Image.Resampling.BICUBIC)
    content = file_of(image, "JPEG")
    found = pixels_of(content, width=160, height=120).astype(float)
    with Image.open(io.BytesIO(content)) as whole:
        plain = np.asarray(whole.resize((160, 120), Image.Resampling.BILINEAR)).astype(float)
    assert np.abs(found - plain).mean() < 3


def test_a_dark_drawing_on_light_ground_becomes_light_on_dark_and_a_light_one_stays() -> None:
    drawing = Image.new("L", (280, 300), 255)
    drawing.paste(0, (120, 50, 150, 250))
    how: dict[str, Any] = {"width": 28, "height": 28, "color": ColorMode.GRAY, "fit": Fit.LETTERBOX, "light_on_dark": True}
    dark = pixels_of(file_of(drawing), **how)
    assert dark[0, 0, 0] == 0 and dark[14, 13, 0] > 200 and dark[:, 0].max() == 0
    inverted = Image.fromarray(255 - np.asarray(drawing))
    assert np.abs(pixels_of(file_of(inverted), **how).astype(int) - dark).max() <= 1


# --- files for models that decode themselves ---


def encoded_model(**settings: Any) -> tuple[ModelManifest, Signature]:
    manifest = ModelManifest("encoded", InputSpec(InputKind.ENCODED, **settings), ClassesOutput())
    manifest.check_consistency()
    outputs = {"scores": TensorSpec("scores", DataType.FLOAT32, (-1, 10))}
    return manifest, Signature("serving_default", {"bytes": TensorSpec("bytes", DataType.STRING, (-1,))}, outputs)


def file_in(prepared: Prepared) -> bytes:
    value = prepared.row["bytes"]
    assert isinstance(value, np.ndarray) and value.shape == ()
    content = value.item()
    assert isinstance(content, bytes)
    return content


def test_a_model_that_decodes_files_gets_them_as_they_came() -> None:
    for content in (file_of(Image.new("RGB", (9, 7)), "JPEG"), file_of(Image.new("RGBA", (9, 7)))):
        prepared = prepare(*encoded_model(), content)
        assert file_in(prepared) == content and (prepared.width, prepared.height) == (9, 7)
    lying = file_of(Image.new("RGB", (9, 7)), "JPEG", orientation=6)
    assert file_in(prepare(*encoded_model(keep_exif_rotation=True), lying)) == lying


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_lying_picture_is_set_upright_for_a_model_that_decodes_files(kind: str) -> None:
    image = Image.fromarray(np.kron(np.arange(12, dtype=np.uint8).reshape(3, 4) * 20, np.ones((8, 8), np.uint8)))
    prepared = prepare(*encoded_model(), file_of(image, kind, orientation=8))
    with Image.open(io.BytesIO(file_in(prepared))) as shown:
        assert shown.format == kind and not shown.getexif()
        assert np.abs(np.asarray(shown.convert("L")).astype(int) - np.asarray(image)).max() <= 4
    assert (prepared.width, prepared.height) == (32, 24)


def test_a_large_file_is_shrunk_where_the_manifest_asks_for_it() -> None:
    prepared = prepare(*encoded_model(max_side=100), file_of(Image.new("RGB", (400, 200)), "JPEG"))
    with Image.open(io.BytesIO(file_in(prepared))) as shown:
        assert shown.size == (100, 50)
    assert (prepared.width, prepared.height) == (400, 200)


def test_a_png_without_its_end_or_with_a_wrong_checksum_is_no_whole_file() -> None:
    content = file_of(Image.new("L", (9, 7), 80))
    with pytest.raises(InvalidArgument) as caught:
        prepare(*encoded_model(), content[:-12])
    assert caught.value.reason == "TRUNCATED"
    wrong = bytearray(content)
    wrong[content.index(b"IEND") - 5] ^= 1
    with pytest.raises(InvalidArgument) as caught:
        prepare(*encoded_model(), bytes(wrong))
    assert caught.value.reason == "NOT_AN_IMAGE"


def test_a_broken_file_never_reaches_a_model_that_decodes_files() -> None:
    with pytest.raises(InvalidArgument):
        prepare(*encoded_model(), b"\xff\xd8\xff nothing")


# --- tensors ---


def test_a_tensor_passes_as_it_is_when_it_is_in_the_models_form() -> None:
    manifest, signature = model(
        DataType.FLOAT32, (-1, 28, 28, 1), ClassesOutput(), width=28, height=28, color=ColorMode.GRAY, scale=1 / 255
    )
    tensor = Tensor.of(np.full((28, 28, 1), 7, np.float32))
    prepared = prepare(manifest, signature, tensor)
    assert prepared.row["image"] == tensor and prepared.media_type == "" and prepared.width == 0


@pytest.mark.parametrize(
    ("tensor", "reason", "words"),
    [
        (Tensor.of(np.zeros((28, 28, 1), np.uint8)), "WRONG_TYPE", "uint8"),
        (Tensor.of(np.zeros((28, 28), np.float32)), "WRONG_SHAPE", "[28, 28]"),
        (Tensor.of(np.zeros((1, 28, 28, 1), np.float32)), "WRONG_SHAPE", "[28, 28, 1]"),
        (Tensor(DataType.FLOAT32, (28, 28, 1), b"\0" * 8), "WRONG_SHAPE", "bytes"),
    ],
)
def test_a_tensor_in_another_form_is_refused_with_both_forms_named(tensor: Tensor, reason: str, words: str) -> None:
    manifest, signature = model(DataType.FLOAT32, (-1, 28, 28, 1), ClassesOutput(), width=28, height=28, color=ColorMode.GRAY)
    with pytest.raises(InvalidArgument) as caught:
        prepare(manifest, signature, tensor)
    assert caught.value.reason == reason and words in caught.value.message


def test_a_tensor_that_is_no_picture_passes_where_the_signature_says_nothing_of_shapes() -> None:
    manifest, signature = model(DataType.FLOAT32, None, ClassesOutput())
    flat = Tensor.of(np.zeros((5, 7), np.float32))
    assert prepare(manifest, signature, flat).row["image"] == flat


def test_a_model_of_tensors_takes_no_pictures() -> None:
    manifest = ModelManifest("numbers", InputSpec(InputKind.TENSOR), ClassesOutput())
    signature = Signature("s", {"x": TensorSpec("x", DataType.FLOAT32, None)}, {"y": TensorSpec("y", DataType.FLOAT32, None)})
    with pytest.raises(InvalidArgument, match="takes tensors"):
        prepare(manifest, signature, file_of(Image.new("L", (2, 2))))
    anything = Tensor.of(np.zeros((3, 5), np.float32))
    assert prepare(manifest, signature, anything).row["x"] == anything


# --- manifests against signatures ---


@pytest.mark.parametrize(
    ("data_type", "shape", "words"),
    [
        (DataType.STRING, (-1,), "string"),
        (DataType.FLOAT32, (-1, 299, 299, 3), "299"),
        (DataType.FLOAT32, (-1, 3, 224, 224), "[any, 3, 224, 224]"),
        (DataType.FLOAT32, (-1, 224, 224), "[224, 224, 3]"),
        (DataType.COMPLEX64, (-1, 224, 224, 3), "complex64"),
    ],
)
def test_a_signature_that_is_not_what_the_manifest_says_is_found_out(data_type: DataType, shape: tuple[int, ...], words: str) -> None:
    manifest, signature = model(data_type, shape, ClassesOutput(), width=224, height=224)
    with pytest.raises(FailedPrecondition) as caught:
        prepare(manifest, signature, file_of(Image.new("L", (4, 4))))
    assert caught.value.reason == "MANIFEST_MISMATCH" and words in caught.value.message and caught.value.metadata == {"tensor": "image"}


def test_a_signature_with_another_or_several_inputs_is_found_out() -> None:
    manifest, signature = model(DataType.FLOAT32, (-1, -1, -1, 3), ClassesOutput(), tensor="picture")
    with pytest.raises(FailedPrecondition, match="no input picture; it has: image"):
        prepare(manifest, signature, b"")
    two = Signature("s", {name: TensorSpec(name, DataType.FLOAT32, None) for name in "ab"}, signature.outputs)
    with pytest.raises(FailedPrecondition, match="several inputs"):
        prepare(manifest, two, b"")


def test_a_tensor_of_a_form_that_was_seen_before_is_still_looked_at() -> None:
    signature = Signature("serving_default", {"x": TensorSpec("x", DataType.STRING, (-1, 2))}, {})
    preparation = Preparation(ModelManifest("m", InputSpec(InputKind.TENSOR), ClassesOutput("y")), signature)
    whole = Tensor(DataType.STRING, (2,), strings=(b"a", b"b"))
    assert preparation.of_tensor(whole).row["x"] is whole
    for strings in ((), (b"a",)):
        with pytest.raises(InvalidArgument) as caught:
            preparation.of_tensor(Tensor(DataType.STRING, (2,), strings=strings))
        assert caught.value.violations[0].field == "input.tensor"
