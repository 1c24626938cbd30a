"""Values of parameters as they come from outside, checked and brought into one form."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from labelmesh_augment.transforms.transform import Kind, Parameter, Value

_HEX = frozenset("0123456789abcdef")
# Beyond what any parameter can be; also tells what is not a number.
_INFINITE = 1e300
_SHOWN = reprlib.Repr()
_SHOWN.maxstring = 60


class Unfit(ValueError):
    """A value that a parameter cannot have; the text says what it can."""


def setting(parameter: Parameter, given: Any) -> Value:
    """What a step asks for, ranged values as (low, high); None is the default. Raises Unfit."""
    if given is None:
        return setting(parameter, parameter.default)
    if not parameter.ranged:
        return _single(parameter, given)
    if not isinstance(given, list | tuple):
        value = _single(parameter, given)
        return (value, value)
    if len(given) != 2:
        raise Unfit(f"A range is two numbers, [low, high]; these are {len(given)}.")
    low, high = (_single(parameter, end) for end in given)
    if low > high:
        raise Unfit(f"The range [{_text(low)}, {_text(high)}] is upside down; write [{_text(high)}, {_text(low)}].")
    return (low, high)


def drawn(parameter: Parameter, given: Any) -> Value:
    """What stands in a recipe: one value, or a tuple of them where there can be `many`. Raises Unfit."""
    if not parameter.many:
        return _single(parameter, given)
    if not isinstance(given, list | tuple):
        raise Unfit("It is a list.")
    if len(given) > parameter.many:
        raise Unfit(f"It has {len(given)} values; it can have at most {parameter.many}.")
    return tuple(_single(parameter, value) for value in given)


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """A sentence with the names that are most like it, or with all of them where there are few; empty otherwise."""
    shown = f"{name[:64]}"
    close = get_close_matches(shown.lower(), names, n=2, cutoff=0.75)
    if close:
        return f" Did you mean {' or '.join(close)}?"
    if names and len(names) <= 12:
        return f" There is {', '.join(names)}."
    return ""


def _single(parameter: Parameter, given: Any) -> Value:
    match parameter.kind:
        case Kind.NUMBER:
            return _number(parameter, given)
        case Kind.INTEGER:
            value = _number(parameter, given)
            if value != int(value):
                raise Unfit(f"{_text(value)} is not a whole number.")
            return int(value)
        case Kind.BOOLEAN:
            if not isinstance(given, bool):
                raise Unfit(f"{_shown(given)} is neither true nor false.")
            return given
        case Kind.CHOICE:
            return _choice(parameter, given)
        case Kind.COLOUR:
            return _colour(given)
        case Kind.KEY:
            if not isinstance(given, str) or len(given) != 32 or not _HEX.issuperset(given):
                raise Unfit("It is a key of 32 hex digits in lower case, as a recipe has it.")
            return given


def _number(parameter: Parameter, given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not abs(given) < _INFINITE:
        raise Unfit(f"{_shown(given)} is not a number{' or a range [low, high]' if parameter.ranged else ''}.")
    if not parameter.minimum <= given <= parameter.maximum:
        unit = f" {parameter.unit}" if parameter.unit else ""
        raise Unfit(f"{_text(given)} is out of bounds; it can be {_text(parameter.minimum)} to {_text(parameter.maximum)}{unit}.")
    return float(given)


def _choice(parameter: Parameter, given: Any) -> str:
    # A number may stand for a choice that is written as one.
    if isinstance(given, int | float) and not isinstance(given, bool) and abs(given) < _INFINITE and given == int(given):
        if str(int(given)) in parameter.choices:
            return str(int(given))
    elif isinstance(given, str) and given in parameter.choices:
        return given
    hint = did_you_mean(given, parameter.choices) if isinstance(given, str) else ""
    raise Unfit(f"{_shown(given)} is not one of the choices {', '.join(parameter.choices)}.{hint if 'Did' in hint else ''}")


def _colour(given: Any) -> tuple[int, int, int]:
    if not isinstance(given, list | tuple) or len(given) != 3:
        raise Unfit(f"{_shown(given)} is not a colour; it is three numbers, [red, green, blue].")
    values: list[int] = []
    for value in given:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 255 or value != int(value):
            raise Unfit(f"{_shown(value)} is not a whole number from 0 to 255, as red, green and blue are.")
        values.append(int(value))
    return (values[0], values[1], values[2])


def _text(value: float) -> str:
    """Short, and without an exponent for what people write."""
    return f"{value:.10g}"


def _shown(value: Any) -> str:
    return _SHOWN.repr(value)
