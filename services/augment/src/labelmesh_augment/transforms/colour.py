"""Colours: what can be said as a curve for every value, as a matrix for every pixel, or out of a histogram.

Curves and matrices are left to the pipeline, which puts neighbours together before it touches a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.effects import ColourMatrix, Effect, PixelStep, Tones
from labelmesh_augment.transforms.histograms import equalized, equalized_locally
from labelmesh_augment.transforms.tones import brighter, contrasted, hue_turning, inverted, posterized, powered, saturating, solarized
from labelmesh_augment.transforms.transform import Draws, Family, Kind, Parameter, Scene, Transform, Values

LABELS_STAY = "They stay as they are: nothing moves."

_BT_601 = "ITU-R BT.601-7"
_ANY = "any"
# Of red, green, blue afterwards, which channel it was before.
_ORDERS = ("rbg", "grb", "gbr", "brg", "bgr")


def _matrix(matrix: NDArray[np.float64]) -> ColourMatrix:
    return ColourMatrix(np.hstack([matrix, np.zeros((3, 1))]))


_WITHOUT_COLOURS = _matrix(saturating(0.0))

# Effects.


def _grayscale(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    return (_WITHOUT_COLOURS,)


def _brightness(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    shift = float(drawn["shift"])
    return (brighter(shift),) if shift != 0.0 else ()


def _contrast(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    factor = float(drawn["factor"])
    return (contrasted(factor),) if factor != 1.0 else ()


def _gamma(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    gamma = float(drawn["gamma"])
    return (Tones((powered(gamma),)),) if gamma != 1.0 else ()


def _saturation(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    factor = float(drawn["factor"])
    return (_matrix(saturating(factor)),) if factor != 1.0 else ()


def _hue(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    angle = float(drawn["angle"])
    return (_matrix(hue_turning(angle)),) if angle != 0.0 else ()


def _invert(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    return (inverted(),)


def _posterize(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    return (Tones((posterized(int(drawn["bits"])),)),)


def _solarize(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    threshold = float(drawn["threshold"])
    return (Tones((solarized(threshold),)),) if threshold < 1.0 else ()


def _equalize(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    each = drawn["channels"] == "each"
    return (PixelStep(lambda colour: equalized(colour, each)),)


def _clahe(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    limit, tiles = float(drawn["clip_limit"]), int(drawn["tiles"])
    return (PixelStep(lambda colour: equalized_locally(colour, limit, tiles)),)


def _draw_order(settings: Values, draws: Draws, scene: Scene) -> Values:
    order = settings["order"]
    return {"order": _ORDERS[draws.integer(0, len(_ORDERS) - 1)] if order == _ANY else order}


def _channel_shuffle(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    return (_matrix(np.eye(3)[["rgb".index(channel) for channel in drawn["order"]]]),)


def _colour_jitter(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    shift, contrast = float(drawn["brightness"]), float(drawn["contrast"])
    saturation, hue = float(drawn["saturation"]), float(drawn["hue"])
    effects: list[Effect] = []
    if shift != 0.0:
        effects.append(brighter(shift))
    if contrast != 1.0:
        effects.append(contrasted(contrast))
    if saturation != 1.0 or hue != 0.0:
        effects.append(_matrix(hue_turning(hue) @ saturating(saturation)))
    return effects


# Parameters.


def _shift(name: str, title: str, default: tuple[float, float]) -> Parameter:
    return Parameter(
        name,
        title,
        "Added to every value. 0 changes nothing, 1 makes everything white, -1 black.",
        Kind.NUMBER,
        default,
        -1.0,
        1.0,
        0.01,
        "of full scale",
        ranged=True,
    )


def _contrast_factor(name: str, title: str, default: tuple[float, float]) -> Parameter:
    return Parameter(
        name,
        title,
        "How far values move away from middle grey (above 1) or towards it (below 1). 1 changes nothing.",
        Kind.NUMBER,
        default,
        0.1,
        10.0,
        0.01,
        "×",
        ranged=True,
        logarithmic=True,
    )


def _saturation_factor(name: str, title: str, default: tuple[float, float]) -> Parameter:
    return Parameter(
        name,
        title,
        "How strong colours are: 0 leaves only grey, 1 changes nothing, 2 doubles them.",
        Kind.NUMBER,
        default,
        0.0,
        4.0,
        0.01,
        "×",
        ranged=True,
    )


def _hue_angle(name: str, title: str, default: tuple[float, float]) -> Parameter:
    return Parameter(
        name,
        title,
        "How far colours are turned around the colour circle. 0 changes nothing; 120 makes red green, green blue and blue red, roughly.",
        Kind.NUMBER,
        default,
        -180.0,
        180.0,
        1.0,
        "°",
        ranged=True,
    )


_ORDER = Parameter(
    "order",
    "Order",
    'What red, green and blue are made of: "bgr" takes red from blue and blue from red. "any" draws one of the other five.',
    Kind.CHOICE,
    _ANY,
    choices=(_ANY, *_ORDERS),
)

TRANSFORMS: tuple[Transform, ...] = (
    Transform(
        name="grayscale",
        title="Greyscale",
        family=Family.COLOUR,
        summary="Takes colour away: all three channels become the picture's luma. The file keeps its channels.",
        labels_summary=LABELS_STAY,
        act=_grayscale,
        source=_BT_601,
    ),
    Transform(
        name="brightness",
        title="Brightness",
        family=Family.COLOUR,
        summary="Makes everything brighter or darker by the same amount. What leaves the scale after neighbouring colour steps is cut off.",
        labels_summary=LABELS_STAY,
        act=_brightness,
        parameters=(_shift("shift", "Shift", (-0.2, 0.2)),),
    ),
    Transform(
        name="contrast",
        title="Contrast",
        family=Family.COLOUR,
        summary="Spreads values around middle grey, or brings them closer to it.",
        labels_summary=LABELS_STAY,
        act=_contrast,
        parameters=(_contrast_factor("factor", "Factor", (0.75, 1.33)),),
    ),
    Transform(
        name="saturation",
        title="Saturation",
        family=Family.COLOUR,
        summary="Makes colours stronger or paler, at the same luma.",
        labels_summary=LABELS_STAY,
        act=_saturation,
        parameters=(_saturation_factor("factor", "Factor", (0.6, 1.4)),),
        source=f"{_BT_601}; P. Haeberli, Matrix operations for image processing, 1993",
    ),
    Transform(
        name="hue",
        title="Hue",
        family=Family.COLOUR,
        summary="Turns all colours around the colour circle, at the same luma. Greys stay.",
        labels_summary=LABELS_STAY,
        act=_hue,
        parameters=(_hue_angle("angle", "Angle", (-15.0, 15.0)),),
        source=f"A turn in the plane of the colour differences of {_BT_601}; P. Haeberli, Matrix operations for image processing, 1993",
    ),
    Transform(
        name="gamma",
        title="Gamma",
        family=Family.COLOUR,
        summary="Brightens or darkens the middle; black stays black and white stays white.",
        labels_summary=LABELS_STAY,
        act=_gamma,
        parameters=(
            Parameter(
                "gamma",
                "Exponent",
                "Values from 0 to 1 are raised to it: below 1 brightens, above 1 darkens, 1 changes nothing.",
                Kind.NUMBER,
                (0.7, 1.43),
                0.1,
                10.0,
                0.01,
                ranged=True,
                logarithmic=True,
            ),
        ),
    ),
    Transform(
        name="equalize",
        title="Equalise",
        family=Family.COLOUR,
        summary="Spreads values so that all of them are about equally frequent, over the whole picture.",
        labels_summary=LABELS_STAY,
        act=_equalize,
        parameters=(
            Parameter(
                "channels",
                "Channels",
                '"luma" changes how bright things are and keeps their colours; "each" does red, green and blue separately, which also takes'
                " away a tint of the whole picture.",
                Kind.CHOICE,
                "luma",
                choices=("luma", "each"),
            ),
        ),
        source="R. C. Gonzalez, R. E. Woods, Digital Image Processing, histogram equalisation",
    ),
    Transform(
        name="clahe",
        title="Local equalisation (CLAHE)",
        family=Family.COLOUR,
        summary="Brings out detail everywhere: equalises the luma of each part on its own, without making noise much stronger.",
        labels_summary=LABELS_STAY,
        act=_clahe,
        parameters=(
            Parameter(
                "clip_limit",
                "Clip limit",
                "How much contrast may grow, at most: 1 changes little, 2 to 4 is usual, 40 is almost without a limit.",
                Kind.NUMBER,
                (1.0, 3.0),
                1.0,
                40.0,
                0.1,
                "×",
                ranged=True,
                logarithmic=True,
            ),
            Parameter(
                "tiles",
                "Parts",
                "How many parts the picture has along each side. More parts see smaller detail.",
                Kind.INTEGER,
                (8, 8),
                1,
                32,
                1,
                ranged=True,
            ),
        ),
        source="K. Zuiderveld, Contrast Limited Adaptive Histogram Equalization, Graphics Gems IV, 1994",
    ),
    Transform(
        name="channel_shuffle",
        title="Channel shuffle",
        family=Family.COLOUR,
        summary="Red, green and blue change places. Greys stay.",
        labels_summary=LABELS_STAY,
        act=_channel_shuffle,
        parameters=(_ORDER,),
        draw=_draw_order,
        drawn=(Parameter("order", "Order", "What red, green and blue were made of.", Kind.CHOICE, _ORDERS[-1], choices=_ORDERS),),
    ),
    Transform(
        name="invert",
        title="Invert",
        family=Family.COLOUR,
        summary="Makes a negative: black becomes white, and each colour its opposite.",
        labels_summary=LABELS_STAY,
        act=_invert,
    ),
    Transform(
        name="posterize",
        title="Posterise",
        family=Family.COLOUR,
        summary="Leaves only a few values of each channel, evenly spread from black to white.",
        labels_summary=LABELS_STAY,
        act=_posterize,
        parameters=(
            Parameter(
                "bits",
                "Bits",
                "How many bits each channel has left: 1 leaves 2 values, 4 leaves 16. 8 changes nothing in pictures of 8 bit.",
                Kind.INTEGER,
                (3, 6),
                1,
                8,
                1,
                "bit",
                ranged=True,
            ),
        ),
        source="E. D. Cubuk et al., AutoAugment, CVPR 2019",
    ),
    Transform(
        name="solarize",
        title="Solarise",
        family=Family.COLOUR,
        summary="Inverts what is brighter than a threshold, as film does that saw far too much light.",
        labels_summary=LABELS_STAY,
        act=_solarize,
        parameters=(
            Parameter(
                "threshold",
                "Threshold",
                "Values above it are inverted: 0 makes a negative, 1 changes nothing.",
                Kind.NUMBER,
                (0.5, 0.9),
                0.0,
                1.0,
                0.01,
                "of full scale",
                ranged=True,
            ),
        ),
        source="E. D. Cubuk et al., AutoAugment, CVPR 2019",
    ),
    Transform(
        name="colour_jitter",
        title="Colour jitter",
        family=Family.COLOUR,
        summary="Brightness, contrast, saturation and hue in one step, in this order, each drawn by itself.",
        labels_summary=LABELS_STAY,
        act=_colour_jitter,
        parameters=(
            _shift("brightness", "Brightness", (-0.1, 0.1)),
            _contrast_factor("contrast", "Contrast", (0.85, 1.18)),
            _saturation_factor("saturation", "Saturation", (0.8, 1.2)),
            _hue_angle("hue", "Hue", (-8.0, 8.0)),
        ),
        source="A. Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks, 2012, and what grew out of it",
    ),
)
