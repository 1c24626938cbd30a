"""What lenses, sensors and files do to a picture: blur, noise, compression, few pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.blurring import gaussian_blurred, motion_blurred, sharpened
from labelmesh_augment.transforms.colour import LABELS_STAY
from labelmesh_augment.transforms.effects import Effect, PixelStep
from labelmesh_augment.transforms.noise import with_gaussian_noise, with_salt_and_pepper, with_sensor_noise
from labelmesh_augment.transforms.transform import Draw, Draws, Family, Kind, Parameter, Scene, Transform, Values, draw_each

KEY = Parameter("key", "Key", "What the random numbers of all pixels are made of.", Kind.KEY, "")

_RESTORING = {"blocks": cv2.INTER_NEAREST, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}


def draw_with_key(parameters: Sequence[Parameter]) -> Draw:
    """Each parameter, and a key of noise as `key`."""
    each = draw_each(parameters)

    def draw(settings: Values, draws: Draws, scene: Scene) -> Values:
        return {**each(settings, draws, scene), "key": draws.key()}

    return draw


def recompressed(colour: NDArray[Any], quality: int) -> NDArray[Any]:
    """Written as a JPEG file of this quality (1 to 100, libjpeg's scale) and read again. 16 bits become 8 on the way."""
    if colour.dtype == np.uint16:
        eight = np.rint(np.arange(65536) / 257.0).astype(np.uint8)
        small = recompressed(cv2.LUT(np.ascontiguousarray(colour), eight).reshape(colour.shape), quality)
        return cv2.LUT(small, (np.arange(256) * 257).astype(np.uint16)).reshape(colour.shape)
    done, file = cv2.imencode(".jpg", np.ascontiguousarray(colour), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError("The picture could not be written as JPEG.")
    read = cv2.imdecode(file, cv2.IMREAD_GRAYSCALE if colour.ndim == 2 else cv2.IMREAD_COLOR)
    if read is None:
        raise ValueError("The picture could not be read as JPEG.")
    return read.reshape(colour.shape)


def downscaled(colour: NDArray[Any], scale: float, restoring: str) -> NDArray[Any]:
    """Made smaller by averaging, at least 1 pixel a side, and as large as before again: "blocks", "linear" or "cubic"."""
    height, width = colour.shape[:2]
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    colour = np.ascontiguousarray(colour)
    if small == (width, height):
        return colour.copy()
    reduced = cv2.resize(colour, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(reduced, (width, height), interpolation=_RESTORING[restoring]).reshape(colour.shape)


def _gaussian_blur(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    sigma = float(drawn["sigma"])
    return (PixelStep(lambda colour: gaussian_blurred(colour, sigma)),) if sigma > 0.0 else ()


def _motion_blur(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    length, angle = float(drawn["length"]), float(drawn["angle"])
    return (PixelStep(lambda colour: motion_blurred(colour, length, angle)),) if length > 0.0 else ()


def _sharpen(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    amount, radius = float(drawn["amount"]), float(drawn["radius"])
    return (PixelStep(lambda colour: sharpened(colour, amount, radius)),) if amount > 0.0 else ()


def _gaussian_noise(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    sigma, per_channel, key = float(drawn["sigma"]), bool(drawn["per_channel"]), str(drawn["key"])
    if sigma <= 0.0:
        return ()
    return (PixelStep(lambda colour: with_gaussian_noise(colour, key, sigma, per_channel), keeps_gray=not per_channel),)


def _salt_and_pepper(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    amount, salt, key = float(drawn["amount"]), float(drawn["salt"]), str(drawn["key"])
    return (PixelStep(lambda colour: with_salt_and_pepper(colour, key, amount, salt)),) if amount > 0.0 else ()


def _iso_noise(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    iso, colour_share, key = float(drawn["iso"]), float(drawn["colour"]), str(drawn["key"])
    return (PixelStep(lambda colour: with_sensor_noise(colour, key, iso, colour_share), keeps_gray=colour_share <= 0.0),)


def _jpeg_quality(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    quality = int(drawn["quality"])
    return (PixelStep(lambda colour: recompressed(colour, quality)),)


def _downscale(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    scale, restoring = float(drawn["scale"]), str(drawn["restoring"])
    return (PixelStep(lambda colour: downscaled(colour, scale, restoring)),) if scale < 1.0 else ()


_GAUSSIAN_NOISE = (
    Parameter(
        "sigma",
        "Strength",
        "Standard deviation of what is added to each value: 0 adds nothing, 0.05 is easily seen, 0.2 is strong.",
        Kind.NUMBER,
        (0.01, 0.06),
        0.0,
        0.5,
        0.005,
        "of full scale",
        ranged=True,
    ),
    Parameter(
        "per_channel",
        "Coloured",
        "Whether red, green and blue get noise of their own, so that it has colours; otherwise all the same. Grey pictures stay grey.",
        Kind.BOOLEAN,
        True,
    ),
)
_SALT_AND_PEPPER = (
    Parameter(
        "amount",
        "Amount",
        "Which share of the pixels is struck: 0 none, 0.01 one in a hundred.",
        Kind.NUMBER,
        (0.005, 0.03),
        0.0,
        1.0,
        0.005,
        "of the pixels",
        ranged=True,
    ),
    Parameter(
        "salt",
        "Salt",
        "Which share of those becomes white: 0 makes all of them black, 1 all of them white.",
        Kind.NUMBER,
        (0.5, 0.5),
        0.0,
        1.0,
        0.05,
        "of the pixels struck",
        ranged=True,
    ),
)
_ISO_NOISE = (
    Parameter(
        "iso",
        "Sensitivity",
        "The ISO setting of a small sensor, without any noise reduction: 100 is clean, 1600 an evening, 12800 a night.",
        Kind.NUMBER,
        (400.0, 6400.0),
        100.0,
        102400.0,
        100.0,
        "ISO",
        ranged=True,
        logarithmic=True,
    ),
    Parameter(
        "colour",
        "Colour noise",
        "How much of the noise is coloured: 0 changes only how bright pixels are, 1 gives red, green and blue noise of their own.",
        Kind.NUMBER,
        (0.3, 0.7),
        0.0,
        1.0,
        0.05,
        "of the variance",
        ranged=True,
    ),
)

TRANSFORMS: tuple[Transform, ...] = (
    Transform(
        name="gaussian_blur",
        title="Gaussian blur",
        family=Family.QUALITY,
        summary="Softens the picture evenly, much as a lens does that is out of focus.",
        labels_summary=LABELS_STAY,
        act=_gaussian_blur,
        parameters=(
            Parameter(
                "sigma",
                "Radius",
                "Standard deviation of the blur: 0 changes nothing, 1 is soft, 5 leaves only coarse shapes in a picture of 500 pixels.",
                Kind.NUMBER,
                (0.3, 2.0),
                0.0,
                50.0,
                0.1,
                "px",
                ranged=True,
            ),
        ),
    ),
    Transform(
        name="motion_blur",
        title="Motion blur",
        family=Family.QUALITY,
        summary="Smears the picture along a straight line, as when the camera moves while the shutter is open.",
        labels_summary=LABELS_STAY,
        act=_motion_blur,
        parameters=(
            Parameter(
                "length",
                "Length",
                "How far everything moves while the shutter is open. 0 changes nothing.",
                Kind.NUMBER,
                (3.0, 12.0),
                0.0,
                200.0,
                0.5,
                "px",
                ranged=True,
            ),
            Parameter(
                "angle",
                "Direction",
                "0 is from side to side, 90 up and down; angles between lead from the upper left to the lower right, up to 180.",
                Kind.NUMBER,
                (0.0, 180.0),
                0.0,
                180.0,
                1.0,
                "°",
                ranged=True,
            ),
        ),
    ),
    Transform(
        name="sharpen",
        title="Sharpen",
        family=Family.QUALITY,
        summary="Makes edges stronger with an unsharp mask: what a blur would take away is added instead.",
        labels_summary=LABELS_STAY,
        act=_sharpen,
        parameters=(
            Parameter(
                "amount",
                "Amount",
                "How much is added: 0 changes nothing, 1 adds the whole difference from the blurred picture, 5 makes halos.",
                Kind.NUMBER,
                (0.3, 1.2),
                0.0,
                5.0,
                0.05,
                "×",
                ranged=True,
            ),
            Parameter(
                "radius",
                "Radius",
                "Sigma of that blur, and with it the width of the edges that are made stronger.",
                Kind.NUMBER,
                (1.0, 1.0),
                0.3,
                10.0,
                0.1,
                "px",
                ranged=True,
            ),
        ),
    ),
    Transform(
        name="gaussian_noise",
        title="Gaussian noise",
        family=Family.QUALITY,
        summary="Adds normally distributed noise, equally strong everywhere. What leaves the scale is cut off.",
        labels_summary=LABELS_STAY,
        act=_gaussian_noise,
        parameters=_GAUSSIAN_NOISE,
        draw=draw_with_key(_GAUSSIAN_NOISE),
        drawn=(*_GAUSSIAN_NOISE, KEY),
    ),
    Transform(
        name="salt_and_pepper",
        title="Salt and pepper",
        family=Family.QUALITY,
        summary="Makes single pixels white or black, as broken ones of a sensor or lost ones of a transmission are.",
        labels_summary=LABELS_STAY,
        act=_salt_and_pepper,
        parameters=_SALT_AND_PEPPER,
        draw=draw_with_key(_SALT_AND_PEPPER),
        drawn=(*_SALT_AND_PEPPER, KEY),
    ),
    Transform(
        name="iso_noise",
        title="ISO noise",
        family=Family.QUALITY,
        summary="Adds what a sensor adds in too little light: noise of the light itself, and of reading it out.",
        labels_summary=LABELS_STAY,
        act=_iso_noise,
        parameters=_ISO_NOISE,
        draw=draw_with_key(_ISO_NOISE),
        drawn=(*_ISO_NOISE, KEY),
        source="A. Foi et al., Practical Poissonian-Gaussian noise modeling and fitting for single-image raw-data, IEEE TIP 2008;"
        " 10,000 electrons full well at ISO 100, 2 electrons read noise, light as the square of the stored value",
    ),
    Transform(
        name="jpeg_quality",
        title="JPEG quality",
        family=Family.QUALITY,
        summary="Compresses the picture as a JPEG file and reads it again, with what that leaves. Of 16 bits, 8 are left.",
        labels_summary=LABELS_STAY,
        act=_jpeg_quality,
        parameters=(
            Parameter(
                "quality",
                "Quality",
                "On the scale of libjpeg: 95 is hardly seen, 50 shows blocks, 10 is a ruin.",
                Kind.INTEGER,
                (40, 90),
                1,
                100,
                1,
                ranged=True,
            ),
        ),
        source="ITU-T T.81 (JPEG), with the quality scale of libjpeg and colour at half the resolution",
    ),
    Transform(
        name="downscale",
        title="Downscale",
        family=Family.QUALITY,
        summary="Takes detail away: makes the picture smaller, and as large as before again.",
        labels_summary=LABELS_STAY,
        act=_downscale,
        parameters=(
            Parameter(
                "scale",
                "Scale",
                "How long the sides are in between: 1 changes nothing, 0.5 leaves a quarter of the pixels.",
                Kind.NUMBER,
                (0.3, 0.8),
                0.02,
                1.0,
                0.01,
                "of each side",
                ranged=True,
            ),
            Parameter(
                "restoring",
                "Enlarging",
                '"blocks" shows the coarse pixels as squares, "linear" blurs between them, "cubic" is a little sharper.',
                Kind.CHOICE,
                "linear",
                choices=("blocks", "linear", "cubic"),
            ),
        ),
    ),
)
