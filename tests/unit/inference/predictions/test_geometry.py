"""Where a model finds something is where it is in the picture, whatever was done to the picture on its way into the model."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelmesh_inference.manifest import BoxesOutput, BoxOrder, Fit, KeypointsOutput, MaskOutput
from labelmesh_inference.predictions.outputs import interpret
from labelmesh_inference.predictions.preparation import prepare
from labelmesh_inference.predictions.results import Detections, Poses, Segmentation
from labelmesh_inference.serving.values import DataType
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tests.unit.inference.predictions.photographs import Box, file_of, model, painted

ORIENTATIONS = range(1, 9)
FITS = [
    {"width": 64, "height": 64, "fit": Fit.STRETCH},
    {"width": 64, "height": 64, "fit": Fit.LETTERBOX},
    {"width": 96, "height": 40, "fit": Fit.LETTERBOX},
    {"width": 64, "height": 64, "fit": Fit.CROP},
    {"width": 40, "height": 96, "fit": Fit.CROP},
    {"fit": Fit.NONE},
    {"fit": Fit.NONE, "max_side": 50},
    {"width": 48, "height": 48, "fit": Fit.LETTERBOX, "max_side": 80},
]


def bright(pixels: NDArray[Any]) -> tuple[float, float, float, float]:
    """Where the white rectangle is in a model's input, by its brightness: left, top, right, bottom in pixels, to a fraction of one.

    What the edges share with the black around them tells how far they reach into a pixel.
    """
    shares = pixels[:, :, 0].astype(np.float64) / 255
    rows, columns = shares.max(axis=1), shares.max(axis=0)
    (top, bottom), (left, right) = _span(rows), _span(columns)
    return left, top, right, bottom


def _span(shares: NDArray[np.float64]) -> tuple[float, float]:
    lit = np.flatnonzero(shares > 0.5)
    return float(lit[0]), float(lit[-1] + 1)


def found_box(content: bytes, order: BoxOrder = BoxOrder.XYXY, *, pixels: bool = False, **how: Any) -> tuple[float, ...]:
    """What a model that sees the rectangle exactly says of it, in shares of the upright picture."""
    manifest, signature = model(output=BoxesOutput("boxes", "scores", order=order, pixels=pixels), **how)
    prepared = prepare(manifest, signature, content)
    image = prepared.row["image"]
    assert isinstance(image, np.ndarray) and prepared.geometry is not None
    left, top, right, bottom = bright(image)
    forms = {
        BoxOrder.XYXY: (left, top, right, bottom),
        BoxOrder.YXYX: (top, left, bottom, right),
        BoxOrder.XYWH: (left, top, right - left, bottom - top),
        BoxOrder.CXCYWH: ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top),
    }
    height, width = image.shape[:2]
    size = {BoxOrder.YXYX: (height, width, height, width)}.get(order, (width, height, width, height))
    box = np.array(forms[order]) / (1 if pixels else np.array(size))
    outputs = {"boxes": box[None].astype(np.float32), "scores": np.array([0.9], np.float32)}
    result = interpret(manifest, signature, outputs, prepared.geometry)
    assert isinstance(result, Detections)
    (detection,) = result.detections
    place = detection.box
    return place.x_min, place.y_min, place.x_max, place.y_max


def pixel_of(size: tuple[int, int], how: dict[str, Any]) -> tuple[float, float]:
    """How much of the upright picture one pixel of the model's input covers at most, as shares of width and height."""
    width, height = size
    side = how.get("max_side", 0)
    coarse = max(1.0, max(size) / side) if side else 1.0
    fit, wide, high = how["fit"], how.get("width", 0), how.get("height", 0)
    if not wide:
        return coarse / width, coarse / height
    x, y = width / wide, height / high
    if fit is Fit.LETTERBOX:
        x = y = max(x, y)
    if fit is Fit.CROP:
        x = y = min(x, y)
    return max(x, coarse, 1) / width, max(y, coarse, 1) / height


def assert_within_a_pixel(found: tuple[float, ...], box: Box, size: tuple[int, int], how: dict[str, Any]) -> None:
    wanted = (box[0] / size[0], box[1] / size[1], box[2] / size[0], box[3] / size[1])
    x, y = pixel_of(size, how)
    for value, want, slack in zip(found, wanted, (x, y, x, y), strict=True):
        assert abs(value - want) <= slack * 1.05, (found, wanted, (x, y))


@st.composite
def scenes(draw: st.DrawFn) -> tuple[tuple[int, int], Box]:
    """A picture's size, and a rectangle in its middle part, which no crop cuts off."""
    width, height = draw(st.integers(60, 200)), draw(st.integers(60, 200))
    shorter = min(width, height)
    # The middle square's middle part: inside of every crop above.
    reach = int(shorter * 0.4 * 0.48)
    middle_x, middle_y = width // 2, height // 2
    left = draw(st.integers(middle_x - reach, middle_x - 4))
    top = draw(st.integers(middle_y - reach, middle_y - 4))
    right = draw(st.integers(middle_x + 4, middle_x + reach))
    bottom = draw(st.integers(middle_y + 4, middle_y + reach))
    return (width, height), (left, top, right, bottom)


@pytest.mark.parametrize("how", FITS, ids=lambda how: " ".join(f"{value}" for value in how.values()))
@settings(max_examples=12, deadline=None)
@given(scene=scenes(), orientation=st.sampled_from(list(ORIENTATIONS)), keep=st.booleans())
def test_a_box_painted_in_a_picture_is_found_within_a_pixel(
    how: dict[str, Any], scene: tuple[tuple[int, int], Box], orientation: int, keep: bool
) -> None:
    size, box = scene
    content = file_of(painted(size, box), orientation=orientation)
    if keep and orientation >= 5:
        # The model sees sides exchanged, so its pixels are as coarse as for the picture on its side.
        turned = pixel_of((size[1], size[0]), how)
        found = found_box(content, **how, keep_exif_rotation=True)
        wanted = (box[0] / size[0], box[1] / size[1], box[2] / size[0], box[3] / size[1])
        slack = (turned[1], turned[0], turned[1], turned[0])
        assert all(abs(a - b) <= c * 1.05 for a, b, c in zip(found, wanted, slack, strict=True)), (found, wanted, slack)
        return
    assert_within_a_pixel(found_box(content, **how, keep_exif_rotation=keep), box, size, how)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("order", BoxOrder)
def test_every_order_of_a_box_and_boxes_in_pixels_mean_the_same_place(order: BoxOrder, orientation: int) -> None:
    size, box = (160, 100), (70, 40, 100, 62)
    how: dict[str, Any] = {"width": 80, "height": 80, "fit": Fit.LETTERBOX}
    content = file_of(painted(size, box), orientation=orientation)
    for pixels in (False, True):
        assert_within_a_pixel(found_box(content, order, pixels=pixels, **how), box, size, how)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_pictures_of_these_tests_are_turned_as_viewers_turn_them(orientation: int) -> None:
    image = painted((30, 20), (3, 4, 11, 9))
    with Image.open(io.BytesIO(file_of(image, orientation=orientation))) as stored:
        assert ImageOps.exif_transpose(stored).tobytes() == image.tobytes()


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_large_jpeg_decoded_to_a_part_of_its_size_keeps_its_places(orientation: int) -> None:
    size, box = (1601, 1203), (700, 500, 1000, 801)
    how: dict[str, Any] = {"width": 96, "height": 96, "fit": Fit.LETTERBOX}
    content = file_of(painted(size, box), "JPEG", orientation=orientation)
    assert_within_a_pixel(found_box(content, **how), box, size, how)


def test_a_box_is_cut_off_at_the_edge_of_the_picture_and_one_beside_it_is_no_find() -> None:
    manifest, signature = model(width=100, height=100, fit=Fit.LETTERBOX)
    prepared = prepare(manifest, signature, file_of(Image.new("RGB", (200, 100))))
    # The picture covers the rows from 25 to 75.
    boxes = np.array([[0.0, 0.2, 0.5, 0.6], [0.8, 0.1, 0.95, 0.9]], np.float32)
    result = interpret(manifest, signature, {"boxes": boxes, "scores": np.array([0.8, 0.9], np.float32)}, prepared.geometry)
    assert isinstance(result, Detections)
    assert [(round(found.box.y_min, 6), round(found.box.y_max, 6)) for found in result.detections] == [(0.0, 0.5)]

    outside = np.array([[0.0, 0.0, 0.2, 1.0]], np.float32)
    nothing = interpret(manifest, signature, {"boxes": outside, "scores": np.array([0.9], np.float32)}, prepared.geometry)
    assert nothing == Detections(())


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_point_is_where_it_is_in_the_upright_picture_although_the_model_saw_it_lying(orientation: int) -> None:
    size, dot = (120, 80), (90, 20, 94, 24)
    output = KeypointsOutput("points", y_first=True, pixels=True)
    manifest, signature = model(
        output=output,
        outputs={"points": (DataType.FLOAT32, (-1, -1, 3))},
        width=60,
        height=60,
        fit=Fit.LETTERBOX,
        keep_exif_rotation=True,
    )
    prepared = prepare(manifest, signature, file_of(painted(size, dot), orientation=orientation))
    image = prepared.row["image"]
    assert isinstance(image, np.ndarray)
    left, top, right, bottom = bright(image)
    point = np.array([[(top + bottom) / 2, (left + right) / 2, 0.7]], np.float32)
    result = interpret(manifest, signature, {"points": point}, prepared.geometry)
    assert isinstance(result, Poses)
    (found,) = result.poses[0].keypoints
    assert (found.x, found.y) == pytest.approx((92 / 120, 22 / 80), abs=1 / 60)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("size", [(120, 60), (60, 120), (100, 100)])
def test_a_mask_covers_the_upright_picture_without_the_filled_margins(size: tuple[int, int], orientation: int) -> None:
    image = Image.new("RGB", size)
    image.paste((255, 255, 255), (0, 0, size[0] // 2, size[1]))
    manifest, signature = model(
        output=MaskOutput("mask"),
        outputs={"mask": (DataType.FLOAT32, (-1, -1, -1, 2))},
        width=80,
        height=80,
        fit=Fit.LETTERBOX,
        fill=100,
        keep_exif_rotation=True,
    )
    prepared = prepare(manifest, signature, file_of(image, orientation=orientation))
    pixels = prepared.row["image"]
    assert isinstance(pixels, np.ndarray)
    white = (pixels[:, :, 0] > 180).astype(np.float32)
    # A class of its own for the margins, which must not be in the answer.
    margin = (np.abs(pixels[:, :, 0] - 100) < 1).astype(np.float32) * 2
    result = interpret(manifest, signature, {"mask": np.stack([1 - white, white, margin], axis=-1)}, prepared.geometry)
    assert isinstance(result, Segmentation)
    assert {segment.index: segment.share for segment in result.segments} == pytest.approx({0: 0.5, 1: 0.5}, abs=0.02)
    assert result.width / result.height == pytest.approx(size[0] / size[1], rel=0.05)

    shown = np.asarray(Image.open(io.BytesIO(result.mask_png)))
    assert shown[:, : result.width // 2 - 1].min() == 1 and shown[:, result.width // 2 + 1 :].max() == 0
