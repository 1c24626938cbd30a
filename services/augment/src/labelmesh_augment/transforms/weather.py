"""What lies between a camera and what it looks at: shadows, fog, rain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.blurring import gaussian_blurred, motion_blurred
from labelmesh_augment.transforms.clouds import Shares, billows, coarse_size, laid_over
from labelmesh_augment.transforms.colour import LABELS_STAY
from labelmesh_augment.transforms.effects import Effect, PixelStep, Tones
from labelmesh_augment.transforms.noise import Stream
from labelmesh_augment.transforms.quality import KEY, draw_with_key
from labelmesh_augment.transforms.transform import Family, Kind, Parameter, Transform, Values

# Pixels along the longer side, in which shadows and drops are drawn before they are laid over the picture.
_SHADE_SIDE = 512
_FOG_SIDE = 160
_RAIN_SIDE = 1024

# Spots of light for each that is asked for.
_SPOTS = 150
# How much farther away the horizon is than the ground at the lower border.
_HORIZON = 10.0
# Of display values to light.
_DISPLAY_GAMMA = 2.2
# How much redder or bluer than the light of the sun is the blue sky's, at full tint.
_SKY = (-0.25, -0.05, 0.3)

# What everything far away comes to under clouds, 0 to 1.
_CLOUDED = 0.5
_DROPS = (208.0, 213.0, 220.0)
# Of drops far away, between, and near: how many in all at most, and how long, how wide and how opaque in comparison with those near.
_DISTANCES = ((1400, 0.35, 0.3, 0.45), (500, 0.6, 0.55, 0.7), (130, 1.0, 1.0, 1.0))
# Width of drops that are near, of the longer side.
_DROP_WIDTH = 1.0 / 350.0


def _numbers(stream: Stream, *shape: int) -> NDArray[np.float64]:
    return (stream.values(*shape).astype(np.float64) + 0.5) / 65536.0


def bands(size: Size, stream: Stream, count: int, softness: float) -> Shares:
    """Straight shadows across a frame of `size`, as trunks, poles and walls throw them, side by side as the sun is one: 0 lit, 1 in shade.
    Each is between 1/25 and 1/3 of the longer side wide, and `softness` of it blurred at the edge."""
    side = max(size.width, size.height)
    x = ((np.arange(size.width) + 0.5 - size.width / 2.0) / side).astype(np.float32)
    y = ((np.arange(size.height) + 0.5 - size.height / 2.0) / side).astype(np.float32)[:, np.newaxis]
    direction = float(_numbers(stream, 1)[0]) * math.pi
    edge = max(softness, 1.0 / side)
    shade: Shares = np.zeros((size.height, size.width), np.float32)
    for place, width, turn in _numbers(stream, count, 3):
        angle = direction + (turn - 0.5) * 0.2
        half = 0.02 + 0.15 * width**2
        distance = np.abs(np.float32(math.cos(angle)) * x + np.float32(math.sin(angle)) * y - np.float32((place - 0.5) * 0.9))
        np.maximum(shade, np.clip((np.float32(half) - distance) * np.float32(1.0 / edge) + np.float32(0.5), 0.0, 1.0), out=shade)
    return shade


def leaves(size: Size, stream: Stream, count: int, softness: float) -> Shares:
    """The shade of a tree: 0 lit, 1 in shade. Light comes through gaps as round spots, images of the sun.

    The higher `count`, the more and the smaller they are; `softness` of the longer side is their edge.
    """
    side = max(size.width, size.height)
    x, y, large, tall = _numbers(stream, _SPOTS * count, 4).T
    # Twice as often where branches are thin.
    thin = billows(stream, Size(32, 32), 4, 4, 2)[(y * 32).astype(int), (x * 32).astype(int)] > 0.0
    radius = side * 0.05 / math.sqrt(count) * (0.25 + 0.75 * large**2) * np.where(thin, 1.0, 0.6)
    places = np.rint(16 * np.stack([x * size.width, y * size.height, radius, radius * (0.6 + 0.4 * tall)], axis=1)).astype(int)
    shade: NDArray[np.uint8] = np.full((size.height, size.width), 255, np.uint8)
    for across, down, wide, high in places.tolist():
        outline = np.array(cv2.ellipse2Poly((across, down), (max(wide, 8), max(high, 8)), 0, 0, 360, 15), np.int32)
        cv2.fillConvexPoly(shade, outline, 0, cv2.LINE_AA, 4)
    return gaussian_blurred(shade, softness * side / 2.0).astype(np.float32) * np.float32(1.0 / 255.0)


def _shade(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    strength, tint, softness = float(drawn["strength"]), float(drawn["tint"]), float(drawn["softness"])
    shapes, count, key = (bands if drawn["shape"] == "bands" else leaves), int(drawn["count"]), str(drawn["key"])
    light = [(1.0 - strength) * (1.0 + tint * sky) for sky in _SKY]
    taken = [1.0 - min(part, 1.0) ** (1.0 / _DISPLAY_GAMMA) for part in light]

    def change(colour: NDArray[Any]) -> NDArray[Any]:
        coarse = coarse_size(Size(colour.shape[1], colour.shape[0]), _SHADE_SIDE)
        return laid_over(colour, shapes(coarse, Stream(key), count, softness), (0.0, 0.0, 0.0), taken)

    return (PixelStep(change, keeps_gray=tint <= 0.0),) if strength > 0.0 else ()


def veil(size: Size, stream: Stream, density: float, depth: float, horizon: float, patches: float) -> Shares:
    """How much of what is seen is fog, 0 to 1: Koschmieder's law over a plain that reaches up to the `horizon` (of the height)."""
    down = (np.arange(size.height) + 0.5) / size.height
    near = np.clip((down - horizon) / max(1.0 - horizon, 1e-6), 0.0, 1.0)
    distance = 1.0 - depth * (1.0 - 1.0 / (1.0 + (_HORIZON - 1.0) * near))
    thickness = -math.log(1.0 - density) * distance[:, np.newaxis].astype(np.float32)
    if patches > 0.0:
        thickness = thickness * np.exp(np.float32(patches) * billows(stream, size, 2, 4, 4))
    return np.asarray(1.0 - np.exp(-np.broadcast_to(thickness, (size.height, size.width))), np.float32)


def _fog(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    density, depth, horizon = float(drawn["density"]), float(drawn["depth"]), float(drawn["horizon"])
    patches, key = float(drawn["patches"]), str(drawn["key"])
    colour_of_fog = [float(channel) for channel in drawn["colour"]]

    def change(colour: NDArray[Any]) -> NDArray[Any]:
        coarse = coarse_size(Size(colour.shape[1], colour.shape[0]), _FOG_SIDE)
        return laid_over(colour, veil(coarse, Stream(key), density, depth, horizon, patches), colour_of_fog)

    return (PixelStep(change, keeps_gray=len(set(colour_of_fog)) == 1),) if density > 0.0 else ()


def streaks(size: Size, stream: Stream, amount: float, length: float, angle: float) -> NDArray[np.uint8]:
    """(height, width), 0 to 255: drops as they fall while the shutter is open, `length` of the longer side near by, `angle` degrees from
    upright. S. K. Garg, S. K. Nayar, Photorealistic rendering of rain streaks, 2006, with plain lines for their measured drops."""
    side = max(size.width, size.height)
    drawn: NDArray[np.uint8] = np.zeros((size.height, size.width), np.uint8)
    for most, longer, wider, denser in _DISTANCES:
        x, y, drop, turn = _numbers(stream, round(most * amount), 4).T
        width = max(side * _DROP_WIDTH * wider, 0.05)
        leaning = np.radians(angle + (turn - 0.5) * 6.0)
        half = length * longer * side * (0.35 + 0.3 * drop)
        across, down = np.sin(leaning) * half, np.cos(leaning) * half
        # Drops begin outside as well.
        middle_x = x * (size.width + 2 * np.abs(across)) - np.abs(across)
        middle_y = y * (size.height + 2 * down) - down
        # OpenCV's lines end on sixteenths of a pixel.
        ends = np.rint(16 * np.stack([middle_x + across, middle_y - down, middle_x - across, middle_y + down], axis=1)).astype(int)
        values = 255.0 * denser * (0.4 + 0.6 * drop) * min(width, 1.0) ** 0.5
        for (x0, y0, x1, y1), value in zip(ends.tolist(), values.tolist(), strict=True):
            cv2.line(drawn, (x0, y0), (x1, y1), value, max(1, round(width)), cv2.LINE_AA, 4)
    return np.asarray(motion_blurred(drawn, min(0.3 * length * side, 60.0), 90.0 + angle), np.uint8)


def _rain(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    amount, length, angle = float(drawn["amount"]), float(drawn["length"]), float(drawn["angle"])
    opacity, haze, key = float(drawn["opacity"]), float(drawn["haze"]), str(drawn["key"])

    def change(colour: NDArray[Any]) -> NDArray[Any]:
        coarse = coarse_size(Size(colour.shape[1], colour.shape[0]), _RAIN_SIDE)
        drops = streaks(coarse, Stream(key), amount, length, angle).astype(np.float32)
        return laid_over(colour, drops * np.float32(opacity / 255.0), _DROPS)

    effects: list[Effect] = []
    if haze > 0.0:
        effects.append(Tones((lambda values: values + (_CLOUDED - values) * haze,)))
    if amount > 0.0 and opacity > 0.0:
        effects.append(PixelStep(change, keeps_gray=False))
    return effects


def _ranged(name: str, title: str, summary: str, default: tuple[float, float], bounds: tuple[float, float, float], unit: str) -> Parameter:
    """`bounds`: minimum, maximum and step."""
    return Parameter(name, title, summary, Kind.NUMBER, default, *bounds, unit, ranged=True)


_SHADE = (
    _ranged("strength", "Strength", "How much of the light is taken: 0 none, 1 all of it.", (0.35, 0.65), (0.0, 1.0, 0.01), "of the light"),
    Parameter(
        "shape",
        "Shape",
        '"bands" are shadows of trunks, poles and walls, "leaves" is the shade under a tree with spots of light.',
        Kind.CHOICE,
        "bands",
        choices=("bands", "leaves"),
    ),
    Parameter(
        "count",
        "How many",
        "How many bands there are; with leaves, how many and how fine the spots of light are.",
        Kind.INTEGER,
        (1, 3),
        1,
        12,
        1,
        ranged=True,
    ),
    _ranged(
        "softness",
        "Softness",
        "How wide the edge between light and shade is: the farther away what throws the shadow, the softer.",
        (0.005, 0.03),
        (0.0, 0.3, 0.005),
        "of the longer side",
    ),
    _ranged("tint", "Blue", "How bluish shadows are, as under a clear sky: 0 not at all, 1 strongly.", (0.0, 0.4), (0.0, 1.0, 0.05), ""),
)
_FOG = (
    _ranged(
        "density",
        "Density",
        "How much of what is farthest away has gone: 0 nothing, 0.5 half of its contrast, 0.98 nearly all.",
        (0.35, 0.7),
        (0.0, 0.98, 0.01),
        "of the contrast",
    ),
    _ranged(
        "depth",
        "Depth",
        "How much thinner fog is near the lower border, as over a plain: 0 is even everywhere, 1 leaves the foreground clear.",
        (0.3, 0.9),
        (0.0, 1.0, 0.05),
        "",
    ),
    _ranged("horizon", "Horizon", "How far down the farthest is, where the plain begins.", (0.25, 0.45), (0.0, 1.0, 0.01), "of the height"),
    _ranged("patches", "Patches", "How uneven fog is: 0 even, 1 in thick and thin swathes.", (0.2, 0.6), (0.0, 1.0, 0.05), ""),
    Parameter("colour", "Colour", "Of the fog itself: light grey by day. Grey pictures take its luma.", Kind.COLOUR, (220, 224, 228)),
)
_RAIN = (
    _ranged("amount", "Amount", "How many drops there are: 0 none, 0.2 a drizzle, 1 a downpour.", (0.2, 0.6), (0.0, 1.0, 0.01), ""),
    _ranged(
        "length",
        "Length",
        "How long the streaks of drops near by are: longer when the shutter is open longer.",
        (0.05, 0.12),
        (0.005, 0.4, 0.005),
        "of the longer side",
    ),
    _ranged(
        "angle",
        "Slant",
        "0 falls straight down; above 0, drops come from the right.",
        (-12.0, 12.0),
        (-60.0, 60.0, 1.0),
        "°",
    ),
    _ranged("opacity", "Opacity", "How much of what is behind it a drop hides.", (0.3, 0.55), (0.0, 1.0, 0.01), "of the light"),
    _ranged(
        "haze", "Haze", "How grey everything gets, because there are drops all the way.", (0.1, 0.3), (0.0, 0.9, 0.01), "of the contrast"
    ),
)

TRANSFORMS: tuple[Transform, ...] = (
    Transform(
        name="shade",
        title="Shade",
        family=Family.WEATHER,
        summary="Throws shadows over the picture, with soft edges.",
        labels_summary=LABELS_STAY,
        act=_shade,
        parameters=_SHADE,
        source="Light is taken as the 2.2nd power of the stored value",
        draw=draw_with_key(_SHADE),
        drawn=(*_SHADE, KEY),
    ),
    Transform(
        name="fog",
        title="Fog",
        family=Family.WEATHER,
        summary="Lets fog take contrast and colour away, more of it the farther up in the picture.",
        labels_summary=LABELS_STAY,
        act=_fog,
        parameters=_FOG,
        source="H. Koschmieder, Theorie der horizontalen Sichtweite, 1924; C. Sakaridis et al., Semantic Foggy Scene Understanding with"
        " Synthetic Data, IJCV 2018",
        draw=draw_with_key(_FOG),
        drawn=(*_FOG, KEY),
    ),
    Transform(
        name="rain",
        title="Rain",
        family=Family.WEATHER,
        summary="Lets it rain: bright streaks, many faint ones far away and few strong ones near by, and a grey veil.",
        labels_summary=LABELS_STAY,
        act=_rain,
        parameters=_RAIN,
        source="After K. Garg, S. K. Nayar, Photorealistic Rendering of Rain Streaks, SIGGRAPH 2006",
        draw=draw_with_key(_RAIN),
        drawn=(*_RAIN, KEY),
    ),
)
