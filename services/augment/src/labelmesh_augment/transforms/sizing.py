"""Cutting and changing the size: crops, resizing, letterboxing, padding."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from labelmesh_chassis.errors import InvalidArgument
from numpy.typing import NDArray

from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.effects import Effect, PixelChange, PixelStep, Warp
from labelmesh_augment.transforms.matrices import scaling, shift
from labelmesh_augment.transforms.transform import Draws, Family, Kind, Parameter, Scene, Transform, Value, Values

# Of a result.
MAX_SIDE = 30_000
MAX_PIXELS = 100_000_000

# How often a crop of the area and shape that were drawn is tried before one is taken that fits.
_TRIES = 10

_CUT = (
    "Boxes and polygons are cut at the border of the crop; those of which too little is left are dropped by the label rules. Keypoints "
    "that lie outside of it are kept as outside. Masks are cut alike."
)
_SCALED = "Boxes, polygons and keypoints are scaled exactly. Masks are scaled without mixing values."


def result_size(width: int, height: int) -> Size:
    """A size that a result can have: at least 1 each. Raises InvalidArgument (RESULT_TOO_LARGE)."""
    width, height = max(width, 1), max(height, 1)
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise InvalidArgument(
            "RESULT_TOO_LARGE",
            f"The result would be {width} x {height} pixels; its sides can have at most {MAX_SIDE:,} pixels and all of it {MAX_PIXELS:,}. "
            "Make it smaller, or make the picture smaller before this step.",
        )
    return Size(width, height)


def scaled(size: Size, factor: float) -> Size:
    """Rounded to whole pixels, at least 1. Raises InvalidArgument (RESULT_TOO_LARGE)."""
    # A factor can be so large that the product is no whole number any more.
    return result_size(round(min(size.width * factor, 1e9)), round(min(size.height * factor, 1e9)))


def _stretch(size: Size, after: Size) -> NDArray[np.float64]:
    return scaling(after.width / size.width, after.height / size.height)


def _crop(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    """The rectangle `x`, `y`, `width`, `height`, which is brought into the frame, and what it becomes."""
    width, height = min(int(drawn["width"]), size.width), min(int(drawn["height"]), size.height)
    x, y = min(int(drawn["x"]), size.width - width), min(int(drawn["y"]), size.height - height)
    window = Size(width, height)
    after = result_size(int(drawn["resize_width"]) or width, int(drawn["resize_height"]) or height)
    return (Warp(_stretch(window, after) @ shift(-x, -y), after, cuts=True),)


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
    width, height = size.width, size.height
    for _ in range(_TRIES):
        pixels = draws.uniform(*area) * size.pixels
        shape = math.exp(draws.uniform(math.log(ratio[0]), math.log(ratio[1])))
        width, height = max(round(math.sqrt(pixels * shape)), 1), max(round(math.sqrt(pixels / shape)), 1)
        if width <= size.width and height <= size.height:
            break
    # The last one may have been too wide or too high.
    return min(width, size.width), min(height, size.height)


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


def _resize(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    if drawn["mode"] == "exact":
        after = result_size(int(drawn["width"]), int(drawn["height"]))
    else:
        side = max(size.width, size.height) if drawn["mode"] == "longest" else min(size.width, size.height)
        after = scaled(size, int(drawn["side"]) / side)
    return (Warp(_stretch(size, after), after),)


def _letterbox(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    frame, stride = Size(int(drawn["width"]), int(drawn["height"])), int(drawn["stride"])
    factor = min(frame.width / size.width, frame.height / size.height)
    if not drawn["enlarge"]:
        factor = min(factor, 1.0)
    inner = scaled(size, factor)
    if stride:
        frame = Size(math.ceil(inner.width / stride) * stride, math.ceil(inner.height / stride) * stride)
    after = result_size(frame.width, frame.height)
    x, y = (after.width - inner.width) // 2, (after.height - inner.height) // 2
    whole = Warp(np.eye(3), size, cuts=True)
    fitted = Warp(shift(x, y) @ _stretch(size, inner), after)
    if inner == after:
        return (fitted,)
    # Cut first: what an earlier step moved out of the frame must not come back in the bars.
    colour = (int(drawn["colour"][0]), int(drawn["colour"][1]), int(drawn["colour"][2]))
    bars = PixelStep(_bars(x, y, inner, colour), keeps_gray=len(set(colour)) == 1)
    return (whole, fitted, bars)


def _bars(x: int, y: int, inner: Size, colour: tuple[int, int, int]) -> PixelChange:
    """Paints everything around a rectangle; on grey pixels with the luma of the colour."""
    red, green, blue = colour

    def paint(pixels: NDArray[Any]) -> NDArray[Any]:
        depth = 1 if pixels.dtype == np.uint8 else 257
        value = round(0.299 * red + 0.587 * green + 0.114 * blue) * depth if pixels.ndim == 2 else np.array([blue, green, red]) * depth
        painted = np.empty_like(pixels)
        painted[:] = value
        window = (slice(y, y + inner.height), slice(x, x + inner.width))
        painted[window] = pixels[window]
        return painted

    return paint


def _pad(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    left, top, right, bottom = (int(drawn[side]) for side in ("left", "top", "right", "bottom"))
    width, height, multiple = size.width + left + right, size.height + top + bottom, int(drawn["multiple"])
    more_x = _multiple(max(width, int(drawn["min_width"])), multiple) - width
    more_y = _multiple(max(height, int(drawn["min_height"])), multiple) - height
    after = result_size(width + more_x, height + more_y)
    return (Warp(shift(left + more_x // 2, top + more_y // 2), after),)


def _multiple(length: int, of: int) -> int:
    return math.ceil(length / of) * of


def _both(first: str, second: str) -> Callable[[Values], Sequence[tuple[str, str]]]:
    """Settings of which neither or both are 0."""

    def check(settings: Values) -> Sequence[tuple[str, str]]:
        if bool(settings[first]) == bool(settings[second]):
            return ()
        empty, given = (second, first) if settings[first] else (first, second)
        return ((empty, f"Give it as well as {given}, or set both to 0."),)

    return check


def _pixels(
    name: str, title: str, summary: str, default: Value, *, least: int = 0, most: int = MAX_SIDE, ranged: bool = False
) -> Parameter:
    return Parameter(name, title, summary, Kind.INTEGER, default=default, minimum=least, maximum=most, step=1, unit="px", ranged=ranged)


_RESIZE = (
    _pixels("resize_width", "Resize to width", "The width that the crop is then brought to; 0 leaves its size as it is.", 0),
    _pixels("resize_height", "Resize to height", "The height that the crop is then brought to; 0 leaves its size as it is.", 0),
)

_WINDOW = (
    _pixels("x", "Left", "Where the crop begins.", 0),
    _pixels("y", "Top", "Where the crop begins.", 0),
    _pixels("width", "Width", "Of the crop.", 1, least=1),
    _pixels("height", "Height", "Of the crop.", 1, least=1),
    *_RESIZE,
)


def _check_random_crop(settings: Values) -> Sequence[tuple[str, str]]:
    return (*_both("width", "height")(settings), *_both("resize_width", "resize_height")(settings))


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
            unit="share of the area",
            ranged=True,
        ),
        Parameter(
            "ratio",
            "Shape",
            "Width of the crop divided by its height: 1 is a square, above 1 is wider than high. What does not fit in is drawn again.",
            Kind.NUMBER,
            default=(0.75, 4 / 3),
            minimum=0.1,
            maximum=10,
            step=0.01,
            unit="width : height",
            ranged=True,
            logarithmic=True,
        ),
        _pixels(
            "width", "Width", "Of the crop, instead of area and shape; 0 goes by these. A narrower picture is taken as wide as it is.", 0
        ),
        _pixels(
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
            unit="share of each side",
            ranged=True,
        ),
        _pixels("width", "Width", "Of the crop; 0 goes by the share. A narrower picture is taken as wide as it is.", 0),
        _pixels("height", "Height", "Of the crop; 0 goes by the share. A lower picture is taken as high as it is.", 0),
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
            unit="share of the area",
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
            unit="share of the way to the border",
            ranged=True,
        ),
        *_RESIZE,
    ),
    source="Liu et al., SSD: Single Shot MultiBox Detector, ECCV 2016, section 2.2: crops with a smallest overlap",
    draw=_draw_crop_around_boxes,
    drawn=_WINDOW,
    check=_both("resize_width", "resize_height"),
)

RESIZE = Transform(
    name="resize",
    title="Resize",
    family=Family.SIZE,
    summary="Brings the picture to another size: by its longest or its shortest side, which keeps its shape, or to a width and a height.",
    labels_summary=_SCALED,
    act=_resize,
    parameters=(
        Parameter(
            "mode",
            "By",
            "longest, shortest: that side becomes as long as said, the other follows. exact: width and height as below, whatever shape it "
            "had.",
            Kind.CHOICE,
            default="longest",
            choices=("longest", "shortest", "exact"),
        ),
        _pixels("side", "Side", "Of the longest or shortest side.", (640, 640), least=1, ranged=True),
        _pixels("width", "Exact width", "Only where the size is to be exact.", 640, least=1),
        _pixels("height", "Exact height", "Only where the size is to be exact.", 640, least=1),
    ),
)

LETTERBOX = Transform(
    name="letterbox",
    title="Letterbox",
    family=Family.SIZE,
    summary="Fits the whole picture into a frame, without changing its shape, and paints the bars that are left on two sides.",
    labels_summary=_SCALED + " What an earlier step moved out of the picture stays gone. Masks are 0 in the bars.",
    act=_letterbox,
    parameters=(
        _pixels("width", "Width", "Of the frame.", 640, least=1),
        _pixels("height", "Height", "Of the frame.", 640, least=1),
        _pixels(
            "stride",
            "Stride",
            "0: the frame has exactly this size. Otherwise the bars are only as wide as it takes for width and height to be multiples of "
            "this, as networks want that halve pictures several times (32 is usual).",
            0,
            most=1024,
        ),
        Parameter("enlarge", "Enlarge", "Whether a picture that is smaller than the frame is enlarged to fit.", Kind.BOOLEAN, default=True),
        Parameter(
            "colour",
            "Colour of the bars",
            "Where the picture has transparency and the pipeline fills with none, the bars are transparent.",
            Kind.COLOUR,
            default=(114, 114, 114),
            minimum=0,
            maximum=255,
            step=1,
        ),
    ),
    source="Redmon and Farhadi, YOLOv3: An Incremental Improvement, 2018; stride and grey as in YOLOv5 (Jocher, 2020)",
)

PAD = Transform(
    name="pad",
    title="Pad",
    family=Family.SIZE,
    summary="Adds borders, filled as the pipeline says: by pixels on each side, up to a smallest size, and up to a multiple. What these "
    "two add is shared between both sides. As it stands it makes both sides multiples of 32.",
    labels_summary="Boxes, polygons and keypoints move with the picture; masks are 0 in the borders. What an earlier step moved out of the "
    "frame comes back in the borders.",
    act=_pad,
    parameters=(
        *(
            _pixels(name, name.capitalize(), "How wide the border on this side is.", (0, 0), ranged=True)
            for name in ("left", "top", "right", "bottom")
        ),
        _pixels("min_width", "Smallest width", "A narrower result gets further borders on the left and right; 0 asks for none.", 0),
        _pixels("min_height", "Smallest height", "A lower result gets further borders at the top and bottom; 0 asks for none.", 0),
        _pixels(
            "multiple", "Multiple of", "Width and height become a multiple of this; 1 leaves them as they are.", 32, least=1, most=1024
        ),
    ),
)

TRANSFORMS = (RANDOM_CROP, CENTRE_CROP, CROP_AROUND_BOXES, RESIZE, LETTERBOX, PAD)
