"""Several pictures put together: mixup, CutMix, mosaic. Without a further picture they do nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.effects import Effect, Layer, Mix
from labelmesh_augment.transforms.matrices import scaling, shift
from labelmesh_augment.transforms.sizing import MAX_SIDE, pixels, result_size
from labelmesh_augment.transforms.transform import Draws, Family, Kind, Parameter, Scene, Transform, Values, draw_number

# Further pictures that a call can have.
MAX_FURTHER = 8
_CELLS = 4

# x0, y0, x1, y1 in whole pixels.
Region = tuple[int, int, int, int]


def symmetric_beta(alpha: float, draws: Draws) -> float:
    """Out of Beta(alpha, alpha), 0 to 1: near the ends for a small alpha, evenly for 1, near the middle for a large one.

    R. W. Bailey's polar method for Student's t with 2 alpha degrees of freedom (Mathematics of Computation 62, 1994), and t as beta.
    """
    even, angle = max(draws.uniform(0.0, 1.0), 1e-16), draws.uniform(0.0, 2 * math.pi)
    along = math.cos(angle)
    # even ** (-1 / alpha) - 1, which is beyond what a float can hold for a small alpha.
    grown = math.expm1(min(-math.log(even) / alpha, 700.0))
    spread = grown * along * along
    return 0.5 + math.copysign(math.sqrt(spread / (1.0 + spread)) / 2, along)


def fitted(source: Size, region: Region, fit: str, place: tuple[float, float] = (0.5, 0.5)) -> tuple[NDArray[np.float64], Region]:
    """How a picture of size `source` is brought into a region, and the part of the region that it covers.

    `place`: where it lies when it leaves two sides free, 0 (left, top) to 1 (right, bottom).
    """
    x0, y0, x1, y1 = region
    width, height = x1 - x0, y1 - y0
    across, down = width / source.width, height / source.height
    if fit == "contain":
        factor = min(across, down)
        inner_width = min(max(round(source.width * factor), 1), width)
        inner_height = min(max(round(source.height * factor), 1), height)
        x0, y0 = x0 + math.floor((width - inner_width) * place[0]), y0 + math.floor((height - inner_height) * place[1])
        return fitted(source, (x0, y0, x0 + inner_width, y0 + inner_height), "stretch")
    if fit == "cover":
        factor = max(across, down)
        left, top = (width - source.width * factor) / 2, (height - source.height * factor) / 2
        return shift(x0 + left, y0 + top) @ scaling(factor, factor), region
    return shift(x0, y0) @ scaling(across, down), region


def _partner(drawn: Values, further: Sequence[Size]) -> int:
    """The source of the further picture that was drawn; one of those there are, whatever the recipe says."""
    return (int(drawn["partner"]) - 1) % len(further) + 1


def _draw_partner(draws: Draws, scene: Scene) -> int:
    return draws.integer(1, max(len(scene.further), 1))


def _own(size: Size) -> Layer:
    return Layer(0, np.eye(3), (0, 0, size.width, size.height))


def _draw_mixup(settings: Values, draws: Draws, scene: Scene) -> Values:
    partner = _draw_partner(draws, scene)
    return {"partner": partner, "share": symmetric_beta(float(settings["alpha"]), draws), "fit": settings["fit"]}


def _mixup(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    if not further:
        return ()
    partner = _partner(drawn, further)
    matrix, region = fitted(further[partner - 1], (0, 0, size.width, size.height), str(drawn["fit"]))
    return (Mix((_own(size), Layer(partner, matrix, region, float(drawn["share"]))), size),)


def _draw_cutmix(settings: Values, draws: Draws, scene: Scene) -> Values:
    partner, size = _draw_partner(draws, scene), scene.size
    side = math.sqrt(symmetric_beta(float(settings["alpha"]), draws))
    # Around a point anywhere in the frame, and cut at its border, as in the paper.
    centre_x, centre_y = draws.uniform(0, size.width), draws.uniform(0, size.height)
    x0, x1 = (min(max(round(centre_x + end * side * size.width / 2), 0), size.width) for end in (-1, 1))
    y0, y1 = (min(max(round(centre_y + end * side * size.height / 2), 0), size.height) for end in (-1, 1))
    return {"partner": partner, "x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0, "fit": settings["fit"]}


def _cutmix(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    if not further:
        return ()
    x0, y0 = min(int(drawn["x"]), size.width), min(int(drawn["y"]), size.height)
    x1, y1 = min(x0 + int(drawn["width"]), size.width), min(y0 + int(drawn["height"]), size.height)
    if x0 >= x1 or y0 >= y1:
        return ()
    partner = _partner(drawn, further)
    matrix, covered = fitted(further[partner - 1], (0, 0, size.width, size.height), str(drawn["fit"]))
    region = (max(x0, covered[0]), max(y0, covered[1]), min(x1, covered[2]), min(y1, covered[3]))
    if region[0] >= region[2] or region[1] >= region[3]:
        return ()
    return (Mix((_own(size), Layer(partner, matrix, region)), size),)


def _draw_mosaic(settings: Values, draws: Draws, scene: Scene) -> Values:
    others = list(range(1, len(scene.further) + 1))
    taken = [0]
    while others and len(taken) < _CELLS:
        taken.append(others.pop(draws.integer(0, len(others) - 1)))
    waiting = [taken[cell % len(taken)] for cell in range(_CELLS)]
    order: list[int] = []
    while waiting:
        order.append(waiting.pop(draws.integer(0, len(waiting) - 1)))
    return {
        "centre_x": draw_number(_CENTRE_X, settings["centre_x"], draws),
        "centre_y": draw_number(_CENTRE_Y, settings["centre_y"], draws),
        "order": tuple(order),
        "fit": settings["fit"],
        "width": settings["width"],
        "height": settings["height"],
    }


def _mosaic(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    if not further:
        return ()
    sizes = (size, *further)
    after = result_size(int(drawn["width"]) or size.width, int(drawn["height"]) or size.height)
    middle_x, middle_y = round(float(drawn["centre_x"]) * after.width), round(float(drawn["centre_y"]) * after.height)
    cells = (
        (0, 0, middle_x, middle_y),
        (middle_x, 0, after.width, middle_y),
        (0, middle_y, middle_x, after.height),
        (middle_x, middle_y, after.width, after.height),
    )
    # What does not fill its cell lies at the point where the cells meet.
    places = ((1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.0, 0.0))
    layers: list[Layer] = []
    for number, cell, place in zip(drawn["order"], cells, places, strict=True):
        # In a frame of one pixel some cells have none.
        if cell[0] < cell[2] and cell[1] < cell[3]:
            source = int(number) % len(sizes)
            layers.append(Layer(source, *fitted(sizes[source], cell, str(drawn["fit"]), place)))
    return (Mix(tuple(layers), after),)


def _check_mosaic(settings: Values) -> Sequence[tuple[str, str]]:
    if bool(settings["width"]) == bool(settings["height"]):
        return ()
    empty, given = ("height", "width") if settings["width"] else ("width", "height")
    return ((empty, f"Give it as well as {given}, or set both to 0."),)


def _check_drawn_mosaic(drawn: Values) -> Sequence[tuple[str, str]]:
    if len(drawn["order"]) == _CELLS:
        return ()
    return (("order", f"It has {len(drawn['order'])} numbers; a mosaic has {_CELLS} cells."),)


def _alpha(default: float, more: str) -> Parameter:
    return Parameter(
        "alpha",
        "Evenness",
        "Alpha of the beta distribution that the share is drawn from: near 0 almost all is of one picture, 1 makes all equally likely, "
        f"{more}",
        Kind.NUMBER,
        default=default,
        minimum=0.1,
        maximum=64,
        step=0.1,
        logarithmic=True,
    )


def _fit(where: str) -> Parameter:
    return Parameter(
        "fit",
        "Fit",
        f"How a picture of another shape is brought into {where}. cover: it fills it, what is too much on two sides is cut off. contain: "
        "all of it is to be seen, and may leave two sides free. stretch: it changes its shape.",
        Kind.CHOICE,
        default="cover",
        choices=("cover", "contain", "stretch"),
    )


def _centre(name: str, title: str, side: str) -> Parameter:
    return Parameter(
        name,
        title,
        "Where the four cells meet.",
        Kind.NUMBER,
        default=(0.3, 0.7),
        minimum=0.1,
        maximum=0.9,
        step=0.01,
        unit=f"of the {side}",
        ranged=True,
    )


_PARTNER = Parameter(
    "partner", "Partner", "Which of the further pictures.", Kind.INTEGER, default=1, minimum=1, maximum=MAX_FURTHER, step=1
)
_CENTRE_X = _centre("centre_x", "Centre, x", "width")
_CENTRE_Y = _centre("centre_y", "Centre, y", "height")

MIXUP = Transform(
    name="mixup",
    title="Mixup",
    family=Family.MIXING,
    summary="Blends the picture with a further one, as if one shone through the other.",
    labels_summary="The labels of both pictures are kept, each with its picture's share as weight; those of the further picture follow it "
    "into the frame. Masks stay those of the first picture.",
    act=_mixup,
    parameters=(_alpha(0.4, "much more makes both pictures alike strong."), _fit("the frame")),
    source="Zhang, Cisse, Dauphin and Lopez-Paz, mixup: Beyond Empirical Risk Minimization, ICLR 2018",
    draw=_draw_mixup,
    drawn=(
        _PARTNER,
        Parameter("share", "Share", "How much of the further picture there is.", Kind.NUMBER, default=0.0, minimum=0, maximum=1, step=0.01),
        _fit("the frame"),
    ),
    further_pictures=1,
)

CUTMIX = Transform(
    name="cutmix",
    title="CutMix",
    family=Family.MIXING,
    summary="Puts a rectangle of a further picture over the picture, in the same place.",
    labels_summary="Boxes and polygons of the picture lose visible share where they are covered, covered keypoints become hidden. Labels "
    "of the further picture are cut at the rectangle. What has too little left is dropped by the label rules. Masks of the same id and "
    "label are put together as the pictures are.",
    act=_cutmix,
    parameters=(_alpha(1.0, "much more makes it half of the picture."), _fit("the frame")),
    source="Yun et al., CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features, ICCV 2019",
    draw=_draw_cutmix,
    drawn=(
        _PARTNER,
        pixels("x", "Left", "Where the rectangle begins.", 0, most=MAX_SIDE),
        pixels("y", "Top", "Where the rectangle begins.", 0, most=MAX_SIDE),
        pixels("width", "Width", "Of the rectangle.", 0, most=MAX_SIDE),
        pixels("height", "Height", "Of the rectangle.", 0, most=MAX_SIDE),
        _fit("the frame"),
    ),
    further_pictures=1,
)

MOSAIC = Transform(
    name="mosaic",
    title="Mosaic",
    family=Family.MIXING,
    summary="Puts the picture and up to three further ones into four cells around a random point, in a random order. With fewer than three "
    "they are repeated.",
    labels_summary="The labels of all four pictures, moved and scaled into their cells and cut at their borders; what has too little left "
    "is dropped by the label rules. Masks of the same id and label are put together as the pictures are.",
    act=_mosaic,
    parameters=(
        _CENTRE_X,
        _CENTRE_Y,
        _fit("its cell"),
        pixels("width", "Width", "Of the result; 0 is that of the picture.", 0),
        pixels("height", "Height", "Of the result; 0 is that of the picture.", 0),
    ),
    source="Bochkovskiy, Wang and Liao, YOLOv4: Optimal Speed and Accuracy of Object Detection, 2020",
    draw=_draw_mosaic,
    drawn=(
        replace(_CENTRE_X, ranged=False, default=0.5),
        replace(_CENTRE_Y, ranged=False, default=0.5),
        Parameter(
            "order",
            "Order",
            "Which picture is in each cell, row by row: 0 the picture itself, 1 the first further one.",
            Kind.INTEGER,
            default=0,
            minimum=0,
            maximum=MAX_FURTHER,
            step=1,
            many=_CELLS,
        ),
        _fit("its cell"),
        pixels("width", "Width", "Of the result; 0 is that of the picture.", 0),
        pixels("height", "Height", "Of the result; 0 is that of the picture.", 0),
    ),
    further_pictures=3,
    check=_check_mosaic,
    check_drawn=_check_drawn_mosaic,
)

TRANSFORMS = (MIXUP, CUTMIX, MOSAIC)
