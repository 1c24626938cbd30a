"""Steps that hypothesis makes out of what the catalogue says of its transforms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from labelmesh_augment.pipelines.pipeline import Pipeline, Step
from labelmesh_augment.pipelines.validation import check
from labelmesh_augment.transforms.catalogue import CATALOGUE
from labelmesh_augment.transforms.transform import Family, Kind, Parameter, Transform

MOVING = [transform for transform in CATALOGUE.values() if transform.family in (Family.GEOMETRY, Family.SIZE, Family.DISTORTION)]
SINGLE = [transform for transform in CATALOGUE.values() if transform.family is not Family.COMPOSITION]
# Pixels: results stay small enough for many of them.
MOST_PIXELS, FEW_PIXELS = 240, 30


def setting(parameter: Parameter) -> st.SearchStrategy[Any]:
    """Any value of a parameter, in the middle of its range as well as at its ends."""
    match parameter.kind:
        case Kind.BOOLEAN:
            return st.booleans()
        case Kind.CHOICE:
            return st.sampled_from(parameter.choices)
        case Kind.COLOUR:
            return st.just((0, 0, 0))  # So that nothing is bright that a test did not paint.
        case Kind.INTEGER:
            most = min(int(parameter.maximum), MOST_PIXELS) if parameter.maximum > 1000 else int(parameter.maximum)
            whole = st.integers(int(parameter.minimum), most)
            return _range(whole) if parameter.ranged else whole
        case Kind.NUMBER:
            number = st.floats(parameter.minimum, parameter.maximum)
            return _range(number) if parameter.ranged else number
        case Kind.KEY:
            raise AssertionError("Nobody sets a key.")


def step(transform: Transform) -> st.SearchStrategy[Step]:
    """A step with some parameters set and the others left out; black wherever it paints."""
    colours = {parameter.name: setting(parameter) for parameter in transform.parameters if parameter.kind is Kind.COLOUR}
    others = {parameter.name: setting(parameter) for parameter in transform.parameters if parameter.kind is not Kind.COLOUR}
    settings = st.fixed_dictionaries(colours, optional=others)
    return settings.map(lambda parameters: Step(transform.name, 1.0, parameters)).filter(_sound)


def chain(transforms: Sequence[Transform], most: int) -> st.SearchStrategy[tuple[Step, ...]]:
    return st.lists(st.sampled_from(transforms).flatmap(step), min_size=2, max_size=most).map(tuple)


def extremes(transform: Transform) -> list[Step]:
    """Its defaults, all parameters at their lowest, all at their highest, and every choice once; with results of few pixels."""
    few = dict.fromkeys((parameter.name for parameter in transform.parameters if parameter.maximum > 1000), FEW_PIXELS)
    steps = [Step(transform.name, 1.0, few)]
    for lowest in (True, False):
        steps.append(Step(transform.name, 1.0, {parameter.name: _end(parameter, lowest) for parameter in transform.parameters}))
    for parameter in transform.parameters:
        steps += [Step(transform.name, 1.0, {**few, parameter.name: choice}) for choice in parameter.choices]
    return [extreme for extreme in steps if _sound(extreme)]


def _end(parameter: Parameter, lowest: bool) -> Any:
    match parameter.kind:
        case Kind.BOOLEAN:
            return not lowest
        case Kind.CHOICE:
            return parameter.choices[0 if lowest else -1]
        case Kind.COLOUR:
            return (0, 0, 0) if lowest else (255, 255, 255)
        case Kind.INTEGER if parameter.maximum > 1000:
            return int(max(parameter.minimum, 1)) if lowest else FEW_PIXELS
        case _:
            value = parameter.minimum if lowest else parameter.maximum
            return int(value) if parameter.kind is Kind.INTEGER else value


def _range(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(values, values).map(lambda ends: tuple(sorted(ends)))


def _sound(made: Step) -> bool:
    return check(Pipeline((made,))).valid
