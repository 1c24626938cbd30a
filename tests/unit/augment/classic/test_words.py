"""What was drawn, in words."""

from __future__ import annotations

import pytest
from labelmesh_augment.classic.typical import TYPICAL
from labelmesh_augment.classic.words import _number, _value, told
from labelmesh_augment.pipelines.pipeline import DrawnStep, Recipe
from labelmesh_augment.pipelines.validation import check
from labelmesh_augment.transforms.transform import Kind, Parameter


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (1, "1"),
        (0.12345, "0.123"),
        (-4.3436, "−4.34"),
        (12345.6, "12346"),
        (1e-7, "0"),
        (123.4, "123"),
        (0.001234, "0.00123"),
    ],
)
def test_numbers_have_three_digits_and_no_exponent(value: float, text: str) -> None:
    assert _number(value) == text


@pytest.mark.parametrize(
    ("kind", "unit", "value", "text"),
    [
        (Kind.NUMBER, "°", -12.5, "−12.5°"),
        (Kind.NUMBER, "share of the width", 0.05, "5 % of the width"),
        (Kind.NUMBER, "of full scale", -0.0979, "−9.79 % of full scale"),
        (Kind.NUMBER, "px", 3, "3 px"),
        (Kind.NUMBER, "", 2.5, "2.5"),
        (Kind.BOOLEAN, "", True, "yes"),
        (Kind.CHOICE, "", "linear", "linear"),
        (Kind.COLOUR, "", (255, 0, 128), "#ff0080"),
    ],
)
def test_values_have_their_units(kind: Kind, unit: str, value: object, text: str) -> None:
    assert _value(Parameter("p", "P", "", kind, 0, unit=unit), value) == text


def test_lists_are_told_one_after_the_other() -> None:
    parameter = Parameter("p", "P", "", Kind.NUMBER, 0, unit="px", many=5)
    assert _value(parameter, (1.0, 2.0)) == "1, 2 px"
    assert _value(parameter, ()) == "none"


def test_a_step_is_told_by_its_title_without_its_keys() -> None:
    values = {"sigma": 0.05, "per_channel": True, "key": "0" * 32}
    (step,) = told(Recipe((DrawnStep("gaussian_noise", values),)))
    assert step.title == "Gaussian noise"
    assert [value for _, value in step.values] == ["5 % of full scale", "yes"]


def test_what_is_done_where_nothing_is_said_is_a_right_pipeline() -> None:
    assert check(TYPICAL).findings == ()
