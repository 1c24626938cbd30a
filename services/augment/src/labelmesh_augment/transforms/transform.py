"""What a transform is: its parameters, how they are drawn, and the effect that they have."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.effects import Effect

# A drawn parameter: number, text, boolean, or a list of those; as JSON has it.
Value = Any
Values = Mapping[str, Value]


class Family(Enum):
    """Numbers as in the contract."""

    GEOMETRY = 1
    SIZE = 2
    COLOUR = 3
    QUALITY = 4
    ERASING = 5
    DISTORTION = 6
    WEATHER = 7
    MIXING = 8
    COMPOSITION = 9


class Kind(Enum):
    """Of a parameter's value; numbers as in the contract."""

    NUMBER = 1
    INTEGER = 2
    BOOLEAN = 3
    CHOICE = 4
    # (red, green, blue), 0 to 255.
    COLOUR = 5
    # 32 hex digits of `Draws.key`. Only in recipes (`Transform.drawn`), so the contract has no number for it.
    KEY = 100


@dataclass(frozen=True, slots=True)
class Parameter:
    """One setting. A `ranged` one can be (low, high), out of which each picture draws its own value; its default is such a pair."""

    name: str
    title: str
    summary: str
    kind: Kind
    default: Value
    minimum: float = 0.0
    maximum: float = 0.0
    step: float = 0.0
    unit: str = ""
    ranged: bool = False
    choices: tuple[str, ...] = ()
    logarithmic: bool = False
    # Only in recipes: instead of one value, a list of none to this many.
    many: int = 0


class Draws(Protocol):
    """Random numbers of one step of one result (see `pipelines.random`)."""

    def uniform(self, low: float, high: float) -> float:
        """Evenly from low to high."""

    def integer(self, low: int, high: int) -> int:
        """Evenly from low to high, both included."""

    def chance(self, probability: float) -> bool: ...

    def pick(self, weights: Sequence[float]) -> int:
        """An index, as often as its weight says."""

    def key(self) -> str:
        """32 hex digits for `noise`, out of which any amount of noise can be made again."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What a step finds when its parameters are drawn."""

    size: Size
    # Bounds of the boxes at this point: (boxes, 4), x0, y0, x1, y1, cut at the frame.
    boxes: NDArray[np.float64]
    # Of the further pictures.
    further: tuple[Size, ...] = ()


# Settings of a step -> what was drawn. Ranged settings come as pairs, everything filled in.
Draw = Callable[[Values, Draws, Scene], Values]
# What was drawn, the size of the frame and those of the further pictures -> the effects in order; none means nothing to do.
Act = Callable[[Values, Size, Sequence[Size]], Sequence[Effect]]


def draw_number(parameter: Parameter, value: tuple[float, float], draws: Draws) -> float:
    """Evenly out of the range; by factors where it is `logarithmic`, so that half as much comes as often as twice as much."""
    low, high = float(value[0]), float(value[1])
    if not parameter.logarithmic or low <= 0:
        return draws.uniform(low, high)
    # Rounding must not lead past the ends.
    return min(max(math.exp(draws.uniform(math.log(low), math.log(high))), low), high)


def draw_integer(parameter: Parameter, value: tuple[int, int], draws: Draws) -> int:
    """As `draw_number`; both ends are included."""
    low, high = int(value[0]), int(value[1])
    return round(draw_number(parameter, (low, high), draws)) if parameter.logarithmic and low > 0 else draws.integer(low, high)


def draw_each(parameters: Sequence[Parameter]) -> Draw:
    """Draws every ranged parameter by itself (`draw_number`, `draw_integer`), in their order, and takes the others as they are."""

    def draw(settings: Values, draws: Draws, scene: Scene) -> Values:
        drawn: dict[str, Value] = {}
        for parameter in parameters:
            value = settings[parameter.name]
            if not parameter.ranged:
                drawn[parameter.name] = value
            elif parameter.kind is Kind.INTEGER:
                drawn[parameter.name] = draw_integer(parameter, value, draws)
            else:
                drawn[parameter.name] = draw_number(parameter, value, draws)
        return drawn

    return draw


@dataclass(frozen=True, slots=True, eq=False)
class Transform:
    """Something that can be done to a picture.

    `act` makes the effect from what was drawn; it must bear any drawn values within the parameters' bounds and any frame from 1x1 on.
    Values that `draw` adds (keys of noise, places of holes) are listed in `drawn` with their bounds, so that a recipe can be checked:
    a recipe comes from outside like everything else.
    """

    name: str
    title: str
    family: Family
    summary: str
    labels_summary: str
    act: Act
    parameters: tuple[Parameter, ...] = ()
    source: str = ""
    # None: `draw_each` of the parameters.
    draw: Draw | None = None
    # Further values of a recipe's step. Where it is given, the recipe has these alone; else those of `parameters`, each one value.
    drawn: tuple[Parameter, ...] | None = None
    further_pictures: int = 0
    # What is wrong with settings that are each within bounds: (parameter, description).
    check: Callable[[Values], Sequence[tuple[str, str]]] = field(default=lambda settings: ())
    # The same for the values of a recipe's step, e.g. lists that should be of one length.
    check_drawn: Callable[[Values], Sequence[tuple[str, str]]] = field(default=lambda drawn: ())
