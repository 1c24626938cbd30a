"""What was drawn, for people to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labelmesh_augment.pipelines.pipeline import Recipe
from labelmesh_augment.pipelines.validation import drawn_parameters
from labelmesh_augment.transforms.catalogue import CATALOGUE
from labelmesh_augment.transforms.transform import Kind, Parameter


@dataclass(frozen=True, slots=True)
class Told:
    """A step: its name, what it does, and its values as (name, value)."""

    title: str
    summary: str
    values: tuple[tuple[str, str], ...]


def told(recipe: Recipe) -> tuple[Told, ...]:
    """The steps of a recipe that this service drew."""
    return tuple(_step(step.transform, dict(step.parameters)) for step in recipe.steps)


def _step(name: str, values: dict[str, Any]) -> Told:
    transform = CATALOGUE[name]
    # Keys of noise say nothing to anybody.
    shown = [parameter for parameter in drawn_parameters(transform) if parameter.kind is not Kind.KEY and parameter.name in values]
    words = [(parameter.title, _value(parameter, values[parameter.name])) for parameter in shown]
    return Told(transform.title, transform.summary, tuple(words))


def _value(parameter: Parameter, value: Any) -> str:
    if parameter.kind is Kind.COLOUR:
        return "#" + "".join(f"{int(part):02x}" for part in value)
    values = list(value) if isinstance(value, list | tuple) else [value]
    if not values:
        return "none"
    unit = parameter.unit.removeprefix("share ")
    times = 100 if unit.startswith("of ") else 1
    unit = f"% {unit}" if unit.startswith("of ") else unit
    words = ", ".join(_single(each, times) for each in values)
    return words if not unit else f"{words}{'' if unit == '°' else ' '}{unit}"


def _single(value: Any, times: int) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _number(times * value) if isinstance(value, int | float) else str(value)


def _number(value: float) -> str:
    """Three digits, without an exponent, and with a real minus sign."""
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    text = f"{float(text):f}".rstrip("0").rstrip(".") if "e" in text else text
    return "0" if text in ("-0", "") else text.replace("-", "\N{MINUS SIGN}")
