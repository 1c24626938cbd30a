"""Movements of the whole frame: flips, turns, shears, zooms, shifts and tilts.

Each is one matrix. Angles are degrees, clockwise on the screen, as the rotation of boxes is; y grows downwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.effects import Effect, Warp
from labelmesh_augment.transforms.matrices import MAX_TILT, about_centre, matrix, scaling, shift, slant, tilt, turn
from labelmesh_augment.transforms.sizing import result_size
from labelmesh_augment.transforms.transform import Draws, Family, Kind, Parameter, Scene, Transform, Value, Values

_CORNERS = ("top_left", "top_right", "bottom_right", "bottom_left")

_MIRRORED = (
    "Boxes, polygons, keypoints and masks are mirrored exactly; names of mirror pairs (left_eye and right_eye) change places, and so do "
    "labels of boxes and polygons that are named there."
)
_MOVED = (
    "A box becomes the smallest upright rectangle around what is visible of it, moved; an oriented one the smallest at any angle. Polygons "
    "are moved and cut at the frame. Keypoints that leave it are kept as outside. Masks move without mixing values; 0 comes in."
)


def turned_size(size: Size, degrees: float) -> Size:
    """Of the smallest upright frame that holds all of a turned one. Raises FailedPrecondition (RESULT_TOO_LARGE)."""
    reach = np.abs(turn(degrees)[:2, :2]) @ np.array([size.width, size.height], dtype=np.float64)
    # What rounding adds must not cost a row of pixels.
    return result_size(math.ceil(reach[0] - 1e-6), math.ceil(reach[1] - 1e-6))


def _horizontal_flip(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    return (Warp(matrix([[-1, 0, size.width], [0, 1, 0], [0, 0, 1]]), size),)


def _vertical_flip(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    return (Warp(matrix([[1, 0, 0], [0, -1, size.height], [0, 0, 1]]), size),)


def _quarter_turn(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    turns = int(drawn["turns"]) % 4
    after = size if turns % 2 == 0 else Size(size.height, size.width)
    return (Warp(about_centre(turn(90 * turns), size, after), after),)


def _rotate(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    angle = float(drawn["angle"])
    after = turned_size(size, angle) if drawn["expand"] else size
    return (Warp(about_centre(turn(angle), size, after), after),)


def _shear(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    return (Warp(about_centre(slant(float(drawn["x"]), float(drawn["y"])), size), size),)


def _zoom(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    factor = float(drawn["factor"])
    return (Warp(about_centre(scaling(factor, factor), size), size),)


def _translate(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    # By whole pixels: what is only moved stays as sharp as it is.
    return (Warp(shift(round(float(drawn["x"]) * size.width), round(float(drawn["y"]) * size.height)), size),)


def _draw_perspective(settings: Values, draws: Draws, scene: Scene) -> Values:
    strength = draws.uniform(*settings["strength"])
    drawn: dict[str, Value] = {}
    for corner in _CORNERS:
        drawn[f"{corner}_x"] = draws.uniform(-strength, strength)
        drawn[f"{corner}_y"] = draws.uniform(-strength, strength)
    return drawn


def _perspective(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    return (Warp(tilt([(float(drawn[f"{corner}_x"]), float(drawn[f"{corner}_y"])) for corner in _CORNERS], size), size),)


def _affine(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    zoom = float(drawn["zoom"])
    movement = turn(float(drawn["angle"])) @ slant(float(drawn["shear_x"]), float(drawn["shear_y"])) @ scaling(zoom, zoom)
    moved = shift(float(drawn["x"]) * size.width, float(drawn["y"]) * size.height)
    return (Warp(moved @ about_centre(movement, size), size),)


def _angle(default: tuple[float, float]) -> Parameter:
    return Parameter(
        "angle",
        "Angle",
        "How far the picture is turned around its middle; above 0 clockwise.",
        Kind.NUMBER,
        default=default,
        minimum=-180,
        maximum=180,
        step=1,
        unit="°",
        ranged=True,
    )


def _zoom_factor(name: str, title: str, default: tuple[float, float]) -> Parameter:
    return Parameter(
        name,
        title,
        "How large things become: 2 shows the middle half of each side at twice the size, 0.5 the whole picture at half its size.",
        Kind.NUMBER,
        default=default,
        minimum=0.1,
        maximum=10,
        step=0.01,
        unit="×",
        ranged=True,
        logarithmic=True,
    )


def _slant(name: str, title: str, axis: str, default: tuple[float, float]) -> Parameter:
    return Parameter(
        name,
        title,
        f"By which angle {axis}; the middle stays where it is.",
        Kind.NUMBER,
        default=default,
        minimum=-60,
        maximum=60,
        step=1,
        unit="°",
        ranged=True,
    )


def _shift(name: str, title: str, summary: str, unit: str, default: tuple[float, float]) -> Parameter:
    return Parameter(name, title, summary, Kind.NUMBER, default=default, minimum=-1, maximum=1, step=0.01, unit=unit, ranged=True)


def _corner(name: str, axis: str) -> Parameter:
    words = name.replace("_", " ")
    side = "width" if axis == "x" else "height"
    return Parameter(
        f"{name}_{axis}",
        f"{words.capitalize()}, {axis}",
        f"How far the {words} corner moves {'to the right' if axis == 'x' else 'down'}.",
        Kind.NUMBER,
        default=0.0,
        minimum=-MAX_TILT,
        maximum=MAX_TILT,
        step=0.01,
        unit=f"of the {side}",
    )


_X_SLANT = "upright lines lean; above 0 what is at the bottom moves to the right"
_Y_SLANT = "level lines lean; above 0 what is on the right moves down"
_X_SHIFT = "How far the picture moves; above 0 to the right."
_Y_SHIFT = "How far the picture moves; above 0 down."

_DATA_AUGMENTATION = "Simard, Steinkraus and Platt, Best Practices for Convolutional Neural Networks, ICDAR 2003"

HORIZONTAL_FLIP = Transform(
    name="horizontal_flip",
    title="Flip left and right",
    family=Family.GEOMETRY,
    summary="Mirrors the picture: what was on the left is on the right. No pixel changes its value.",
    labels_summary=_MIRRORED,
    act=_horizontal_flip,
    source="Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional Neural Networks, NIPS 2012",
)

VERTICAL_FLIP = Transform(
    name="vertical_flip",
    title="Flip top and bottom",
    family=Family.GEOMETRY,
    summary="Mirrors the picture: what was at the top is at the bottom. For pictures without a way up, such as those from above or through "
    "a microscope. No pixel changes its value.",
    labels_summary=_MIRRORED,
    act=_vertical_flip,
)

QUARTER_TURN = Transform(
    name="quarter_turn",
    title="Quarter turns",
    family=Family.GEOMETRY,
    summary="Turns the picture by 90°, 180° or 270°, the frame with it. No pixel changes its value.",
    labels_summary="Boxes, polygons, keypoints and masks are turned exactly; nothing is lost.",
    act=_quarter_turn,
    parameters=(
        Parameter(
            "turns",
            "Turns",
            "How many quarter turns clockwise.",
            Kind.INTEGER,
            default=(1, 3),
            minimum=1,
            maximum=3,
            step=1,
            unit="quarter turns",
            ranged=True,
        ),
    ),
)

ROTATE = Transform(
    name="rotate",
    title="Rotate",
    family=Family.GEOMETRY,
    summary="Turns the picture around its middle.",
    labels_summary=_MOVED,
    act=_rotate,
    parameters=(
        _angle((-15, 15)),
        Parameter(
            "expand",
            "Larger frame",
            "Whether the frame grows until it holds the whole picture. Otherwise it stays as it is and the corners are cut off.",
            Kind.BOOLEAN,
            default=False,
        ),
    ),
    source=_DATA_AUGMENTATION,
)

SHEAR = Transform(
    name="shear",
    title="Shear",
    family=Family.GEOMETRY,
    summary="Slants the picture, as cursive slants upright letters. Along x first, then along y.",
    labels_summary=_MOVED,
    act=_shear,
    parameters=(_slant("x", "Along x", _X_SLANT, (-10, 10)), _slant("y", "Along y", _Y_SLANT, (-10, 10))),
    source=_DATA_AUGMENTATION,
)

ZOOM = Transform(
    name="zoom",
    title="Zoom",
    family=Family.GEOMETRY,
    summary="Brings the picture nearer or takes it farther away; the frame keeps its size.",
    labels_summary=_MOVED,
    act=_zoom,
    parameters=(_zoom_factor("factor", "Factor", (0.8, 1.25)),),
)

TRANSLATE = Transform(
    name="translate",
    title="Shift",
    family=Family.GEOMETRY,
    summary="Moves the picture within its frame, by whole pixels, so nothing gets blurred.",
    labels_summary=_MOVED,
    act=_translate,
    parameters=(
        _shift("x", "To the right", _X_SHIFT, "of the width", (-0.1, 0.1)),
        _shift("y", "Down", _Y_SHIFT, "of the height", (-0.1, 0.1)),
    ),
    source=_DATA_AUGMENTATION,
)

PERSPECTIVE = Transform(
    name="perspective",
    title="Perspective",
    family=Family.GEOMETRY,
    summary="Tilts the picture as if it were seen from another place: each of its corners moves by itself.",
    labels_summary=_MOVED,
    act=_perspective,
    parameters=(
        Parameter(
            "strength",
            "Strength",
            "How far each corner moves at most, either way along both sides.",
            Kind.NUMBER,
            default=(0.02, 0.1),
            minimum=0,
            maximum=MAX_TILT,
            step=0.01,
            unit="of the sides",
            ranged=True,
        ),
    ),
    source="Heckbert, Fundamentals of Texture Mapping and Image Warping, 1989",
    draw=_draw_perspective,
    drawn=tuple(_corner(corner, axis) for corner in _CORNERS for axis in "xy"),
)

AFFINE = Transform(
    name="affine",
    title="Zoom, shear, rotate and shift",
    family=Family.GEOMETRY,
    summary="All of these in one step, around the middle of the picture: zoomed first, then sheared, rotated and shifted.",
    labels_summary=_MOVED,
    act=_affine,
    parameters=(
        _angle((-10, 10)),
        _zoom_factor("zoom", "Zoom", (0.9, 1.1)),
        _slant("shear_x", "Shear along x", _X_SLANT, (-5, 5)),
        _slant("shear_y", "Shear along y", _Y_SLANT, (-5, 5)),
        _shift("x", "To the right", _X_SHIFT, "of the width", (-0.05, 0.05)),
        _shift("y", "Down", _Y_SHIFT, "of the height", (-0.05, 0.05)),
    ),
    source=_DATA_AUGMENTATION,
)

TRANSFORMS = (HORIZONTAL_FLIP, VERTICAL_FLIP, QUARTER_TURN, ROTATE, SHEAR, ZOOM, TRANSLATE, PERSPECTIVE, AFFINE)
