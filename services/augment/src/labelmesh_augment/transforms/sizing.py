"""Changing the size: resizing, letterboxing, padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from labelmesh_chassis.errors import FailedPrecondition
from numpy.typing import NDArray

from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.effects import Effect, PixelChange, PixelStep, Warp
from labelmesh_augment.transforms.matrices import scaling, shift
from labelmesh_augment.transforms.transform import Family, Kind, Parameter, Transform, Value, Values

# Of a result.
MAX_SIDE = 30_000
MAX_PIXELS = 100_000_000

_SCALED = "Boxes, polygons and keypoints are scaled exactly. Masks are scaled without mixing values."


def result_size(width: int, height: int) -> Size:
    """A size that a result can have: at least 1 each. Raises FailedPrecondition (RESULT_TOO_LARGE)."""
    width, height = max(width, 1), max(height, 1)
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise FailedPrecondition(
            "RESULT_TOO_LARGE",
            f"The result would be {width} x {height} pixels; its sides can have at most {MAX_SIDE:,} pixels and all of it {MAX_PIXELS:,}. "
            "Make it smaller, or make the picture smaller before this step.",
        )
    return Size(width, height)


def scaled(size: Size, factor: float) -> Size:
    """Rounded to whole pixels, at least 1. Raises FailedPrecondition (RESULT_TOO_LARGE)."""
    # A factor can be so large that the product is no whole number any more.
    return result_size(round(min(size.width * factor, 1e9)), round(min(size.height * factor, 1e9)))


def stretch(size: Size, after: Size) -> NDArray[np.float64]:
    """All of a frame onto all of another."""
    return scaling(after.width / size.width, after.height / size.height)


def _resize(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    if drawn["mode"] == "exact":
        after = result_size(int(drawn["width"]), int(drawn["height"]))
    else:
        side = max(size.width, size.height) if drawn["mode"] == "longest" else min(size.width, size.height)
        after = scaled(size, int(drawn["side"]) / side)
    return (Warp(stretch(size, after), after),)


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
    fitted = Warp(shift(x, y) @ stretch(size, inner), after)
    if inner == after:
        return (fitted,)
    # Cut first: what an earlier step moved out of the frame must not come back in the bars.
    colour = (int(drawn["colour"][0]), int(drawn["colour"][1]), int(drawn["colour"][2]))
    bars = PixelStep(_bars(x, y, inner, colour), keeps_gray=len(set(colour)) == 1)
    return (whole, fitted, bars)


def _bars(x: int, y: int, inner: Size, colour: tuple[int, int, int]) -> PixelChange:
    """Paints everything around a rectangle; on grey pixels with the luma of the colour."""
    red, green, blue = colour

    def paint(values: NDArray[Any]) -> NDArray[Any]:
        depth = 1 if values.dtype == np.uint8 else 257
        value = round(0.299 * red + 0.587 * green + 0.114 * blue) * depth if values.ndim == 2 else np.array([blue, green, red]) * depth
        painted = np.empty_like(values)
        painted[:] = value
        window = (slice(y, y + inner.height), slice(x, x + inner.width))
        painted[window] = values[window]
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


def pixels(
    name: str, title: str, summary: str, default: Value, *, least: int = 0, most: int | None = None, ranged: bool = False
) -> Parameter:
    """A setting in whole pixels, up to what a result can have; up to a third of it where 0 leaves it to others, as such a slider moves by
    sums."""
    most = most or (MAX_SIDE if least else MAX_SIDE // 3)
    logarithmic = least > 0
    return Parameter(name, title, summary, Kind.INTEGER, default, least, most, step=1, unit="px", ranged=ranged, logarithmic=logarithmic)


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
        pixels("side", "Side", "Of the longest or shortest side.", (640, 640), least=1, ranged=True),
        pixels("width", "Exact width", "Only where the size is to be exact.", 640, least=1),
        pixels("height", "Exact height", "Only where the size is to be exact.", 640, least=1),
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
        pixels("width", "Width", "Of the frame.", 640, least=1),
        pixels("height", "Height", "Of the frame.", 640, least=1),
        pixels(
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
    source="Redmon and Farhadi, YOLOv3: An Incremental Improvement, 2018 (its program); stride and grey: YOLOv5 (Jocher, 2020)",
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
            pixels(name, name.capitalize(), "How wide the border on this side is.", (0, 0), ranged=True)
            for name in ("left", "top", "right", "bottom")
        ),
        pixels("min_width", "Smallest width", "A narrower result gets further borders on the left and right; 0 asks for none.", 0),
        pixels("min_height", "Smallest height", "A lower result gets further borders at the top and bottom; 0 asks for none.", 0),
        pixels("multiple", "Multiple of", "Width and height become a multiple of this; 1 leaves them as they are.", 32, least=1, most=1024),
    ),
)

TRANSFORMS = (RESIZE, LETTERBOX, PAD)
