"""Colours as mathematics: curves of values from 0 to 1, and matrices of red, green, blue.

Luma is that of ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B of the values as they are stored, as JPEG has it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.transforms.effects import Curve, Tones

LUMA = np.array([0.299, 0.587, 0.114])

# Curves.


def straight(slope: float, offset: float) -> Tones:
    return Tones((lambda values: np.clip(values * slope + offset, 0.0, 1.0),), line=(slope, offset))


def brighter(shift: float) -> Tones:
    return straight(1.0, shift)


def contrasted(factor: float) -> Tones:
    """Around middle grey."""
    return straight(factor, 0.5 - 0.5 * factor)


def inverted() -> Tones:
    return straight(-1.0, 1.0)


def powered(gamma: float) -> Curve:
    return lambda values: np.power(values, gamma)


def posterized(bits: int) -> Curve:
    """2^bits values, from black to white, each standing for an equal part of the scale."""
    levels = 2**bits
    return lambda values: np.minimum(np.floor(values * levels), levels - 1) / (levels - 1)


def solarized(threshold: float) -> Curve:
    return lambda values: np.where(values > threshold, 1.0 - values, values)


# Matrices, (3, 3) for red, green, blue.


def saturating(factor: float) -> NDArray[np.float64]:
    """Moves every colour away from the grey of its luma, or towards it."""
    return factor * np.eye(3) + (1.0 - factor) * np.tile(LUMA, (3, 1))


def hue_turning(degrees: float) -> NDArray[np.float64]:
    """Turns colours around the axis of greys in the plane of BT.601's colour differences: luma stays, red becomes green after about 120."""
    angle = math.radians(degrees)
    # U and V of ITU-R BT.470: scaled colour differences B - Y and R - Y.
    to_yuv = np.stack([LUMA, 0.492 * (np.array([0.0, 0.0, 1.0]) - LUMA), 0.877 * (np.array([1.0, 0.0, 0.0]) - LUMA)])
    turn = np.array([[1.0, 0.0, 0.0], [0.0, math.cos(angle), -math.sin(angle)], [0.0, math.sin(angle), math.cos(angle)]])
    return np.linalg.solve(to_yuv, turn @ to_yuv)
