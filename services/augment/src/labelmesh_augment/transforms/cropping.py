"""Cutting: crops at random places, in the middle, and around boxes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.effects import Effect, Warp
from labelmesh_augment.transforms.matrices import shift
from labelmesh_augment.transforms.sizing import MAX_SIDE, pixels, result_size, stretch
from labelmesh_augment.transforms.transform import Draws, Family, Kind, Parameter, Scene, Transform, Values, draw_number

# How often a crop of the area and shape that were drawn is tried before one is taken that fits.
_TRIES = 10

_CUT = (
    "Boxes and polygons are cut at the border of the crop; those of which too little is left are dropped by the label rules. Keypoints "
    "that lie outside of it are kept as outside. Masks are cut alike."
)


def _crop(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    """The rectangle `x`, `y`, `width`, `height`, which is brought into the frame, and what it becomes."""
    width, height = min(int(drawn["width"]), size.width), min(int(drawn["height"]), size.height)
    x, y = min(int(drawn["x"]), size.width - width), min(int(drawn["y"]), size.height - height)
    window = Size(width, height)
    after = result_size(int(drawn["resize_width"]) or width, int(drawn["resize_height"]) or height)
    return (Warp(stretch(window, after) @ shift(-x, -y), after, cuts=True),)


def _sized(settings: Values) -> dict[str, int]:
    return {"resize_width": int(settings["resize_width"]), "resize_height": int(settings["resize_height"])}


def _draw_random_crop(settings: Values, draws: Draws, scene: Scene) -> Values:
    size = scene.size
    if settings["width"]:
        width, height = min(int(settings["width"]), size.width), min(int(settings["height"]), size.height)
    else:
        width, height = _shape(settings["area"], settings["ratio"], draws, size)
    x, y = draws.integer(0, size.width - width), draws.integer(0, size.height - height)
    return {"x": x, "y": y, "width": width, "height": height, **_sized(settings)}


def _shape(area: tuple[float, float], ratio: tuple[float, float], draws: Draws, size: Size) -> tuple[int, int]:
    """Of a crop with an area out of the range, and a ratio of width to height out of its range, evenly by factors."""
    for _ in range(_TRIES):
        surface = draws.uniform(*area) * size.pixels
        shape = draw_number(_RATIO, ratio, draws)
        width, height = max(round(math.sqrt(surface * shape)), 1), max(round(math.sqrt(surface / shape)), 1)
        if width <= size.width and height <= size.height:
            return width, height
    # Of a picture that is much flatter or steeper than any of these shapes: the largest of the nearest one.
    shape = min(max(size.width / size.height, ratio[0]), ratio[1])
    return max(min(round(size.height * shape), size.width), 1), max(min(round(size.width / shape), size.height), 1)


def _centre_crop(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    width = int(drawn["width"]) or round(float(drawn["share"]) * size.width)
    height = int(drawn["height"]) or round(float(drawn["share"]) * size.height)
    width, height = min(max(width, 1), size.width), min(max(height, 1), size.height)
    x, y = (size.width - width) // 2, (size.height - height) // 2
    return (Warp(shift(-x, -y), Size(width, height), cuts=True),)


def _draw_crop_around_boxes(settings: Values, draws: Draws, scene: Scene) -> Values:
    size, boxes = scene.size, scene.boxes
    if len(boxes) and settings["keep"] == "one":
        chosen = draws.integer(0, len(boxes) - 1)
        boxes = boxes[chosen : chosen + 1]
    rooms = [draws.uniform(*settings["room"]) for _ in range(4)]
    edges = (0, 0, size.width, size.height)
    if len(boxes):
        # The inner part of each box whose sides are the root of the share of its own: where that is inside, at least the share is.
        inset = (1 - math.sqrt(float(settings["min_share"]))) / 2 * (boxes[:, 2:] - boxes[:, :2])
        start, end = (boxes[:, :2] + inset).min(axis=0), (boxes[:, 2:] - inset).max(axis=0)
        needed = (*(math.floor(value) for value in start), *(math.ceil(value) for value in end))
        # Whole pixels outwards, so nothing that is needed is lost by rounding.
        edges = (
            math.floor(needed[0] * (1 - rooms[0])),
            math.floor(needed[1] * (1 - rooms[1])),
            math.ceil(needed[2] + (size.width - needed[2]) * rooms[2]),
            math.ceil(needed[3] + (size.height - needed[3]) * rooms[3]),
        )
    x, y = min(max(edges[0], 0), size.width - 1), min(max(edges[1], 0), size.height - 1)
    right, bottom = min(max(edges[2], x + 1), size.width), min(max(edges[3], y + 1), size.height)
    return {"x": x, "y": y, "width": right - x, "height": bottom - y, **_sized(settings)}


def _both(first: str, second: str) -> Callable[[Values], Sequence[tuple[str, str]]]:
    """Settings of which neither or both are 0."""

    def check(settings: Values) -> Sequence[tuple[str, str]]:
        if bool(settings[first]) == bool(settings[second]):
            return ()
        empty, given = (second, first) if settings[first] else (first, second)
        return ((empty, f"Give it as well as {given}, or set both to 0."),)

    return check


_RESIZE = (
    pixels("resize_width", "Resize to width", "The width that the crop is then brought to; 0 leaves its size as it is.", 0),
    pixels("resize_height", "Resize to height", "The height that the crop is then brought to; 0 leaves its size as it is.", 0),
)

_WINDOW = (
    pixels("x", "Left", "Where the crop begins.", 0, most=MAX_SIDE),
    pixels("y", "Top", "Where the crop begins.", 0, most=MAX_SIDE),
    pixels("width", "Width", "Of the crop.", 1, least=1),
    pixels("height", "Height", "Of the crop.", 1, least=1),
    *_RESIZE,
)


def _check_random_crop(settings: Values) -> Sequence[tuple[str, str]]:
    return (*_both("width", "height")(settings), *_both("resize_width", "resize_height")(settings))


_RATIO = Parameter(
    "ratio",
    "Shape",
    "Width of the crop divided by its height: 1 is a square, above 1 is wider than high. What does not fit in is drawn again.",
    Kind.NUMBER,
    default=(0.75, 1.33),
    minimum=0.1,
    maximum=10,
    step=0.01,
    unit="width : height",
    ranged=True,
    logarithmic=True,
)

RANDOM_CROP = Transform(
    name="random_crop",
    title="Random crop",
    family=Family.SIZE,
    summary="Cuts out a rectangle at a random place: a share of the picture's area in a random shape, or a number of pixels. If a size is "
    "given, the crop is then brought to it, so that all results are alike.",
    labels_summary=_CUT,
    act=_crop,
    parameters=(
        Parameter(
            "area",
            "Area",
            "How much of the picture's area the crop has.",
            Kind.NUMBER,
            default=(0.4, 1.0),
            minimum=0.01,
            maximum=1,
            step=0.01,
            unit="of the area",
            ranged=True,
        ),
        _RATIO,
        pixels(
            "width", "Width", "Of the crop, instead of area and shape; 0 goes by these. A narrower picture is taken as wide as it is.", 0
        ),
        pixels(
            "height", "Height", "Of the crop, instead of area and shape; 0 goes by these. A lower picture is taken as high as it is.", 0
        ),
        *_RESIZE,
    ),
    source="Szegedy et al., Going Deeper with Convolutions (Inception), CVPR 2015, section 6: area 0.08 to 1, shape 3/4 to 4/3",
    draw=_draw_random_crop,
    drawn=_WINDOW,
    check=_check_random_crop,
)

CENTRE_CROP = Transform(
    name="centre_crop",
    title="Centre crop",
    family=Family.SIZE,
    summary="Cuts out the middle of the picture: a share of each side, or a number of pixels.",
    labels_summary=_CUT,
    act=_centre_crop,
    parameters=(
        Parameter(
            "share",
            "Share",
            "How much of each side stays; for a side whose pixels are not given below.",
            Kind.NUMBER,
            default=(0.8, 0.8),
            minimum=0.01,
            maximum=1,
            step=0.01,
            unit="of each side",
            ranged=True,
        ),
        pixels("width", "Width", "Of the crop; 0 goes by the share. A narrower picture is taken as wide as it is.", 0),
        pixels("height", "Height", "Of the crop; 0 goes by the share. A lower picture is taken as high as it is.", 0),
    ),
)

CROP_AROUND_BOXES = Transform(
    name="crop_around_boxes",
    title="Crop around boxes",
    family=Family.SIZE,
    summary="Cuts out a random rectangle that keeps boxes in sight: all of them, or one that is drawn. A picture without boxes is not cut.",
    labels_summary="At least the smallest share of each box that is kept stays visible, measured on the upright rectangle around it. "
    + _CUT,
    act=_crop,
    parameters=(
        Parameter(
            "keep",
            "Keep",
            "all: every box stays in sight. one: a single box, drawn for each picture; the others may be cut off.",
            Kind.CHOICE,
            default="all",
            choices=("all", "one"),
        ),
        Parameter(
            "min_share",
            "Smallest visible share",
            "How much of the area of a box that is kept is visible at least; 1 cuts none of it off.",
            Kind.NUMBER,
            default=1.0,
            minimum=0.01,
            maximum=1,
            step=0.01,
            unit="of the area",
        ),
        Parameter(
            "room",
            "Room around",
            "Where each edge of the crop lies between the boxes (0: as near as can be) and the picture's border (1: nothing is cut). Each "
            "edge draws its own.",
            Kind.NUMBER,
            default=(0.0, 1.0),
            minimum=0,
            maximum=1,
            step=0.01,
            unit="of the way to the border",
            ranged=True,
        ),
        *_RESIZE,
    ),
    source="Liu et al., SSD: Single Shot MultiBox Detector, ECCV 2016, section 2.2: crops with a smallest overlap",
    draw=_draw_crop_around_boxes,
    drawn=_WINDOW,
    check=_both("resize_width", "resize_height"),
)

TRANSFORMS = (RANDOM_CROP, CENTRE_CROP, CROP_AROUND_BOXES)
