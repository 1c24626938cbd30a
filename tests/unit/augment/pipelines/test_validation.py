"""A pipeline, or a recipe, is told everything that is wrong with it at once, in words that say what would be right."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelmesh_augment.geometry.labels import LabelRules
from labelmesh_augment.pipelines.pipeline import DrawnStep, Fill, Format, Output, Pipeline, Recipe, Step
from labelmesh_augment.pipelines.validation import check, check_recipe, normalised
from labelmesh_augment.transforms.catalogue import CATALOGUE
from labelmesh_augment.transforms.transform import Family
from labelmesh_chassis.errors import InvalidArgument


def said(pipeline: Pipeline, **more: Any) -> dict[str, str]:
    """Errors by field."""
    return {finding.field: finding.description for finding in check(pipeline, **more).findings if not finding.warning}


def warned(pipeline: Pipeline, **more: Any) -> dict[str, str]:
    return {finding.field: finding.description for finding in check(pipeline, **more).findings if finding.warning}


def one(name: str, probability: float = 1.0, **parameters: Any) -> Pipeline:
    return Pipeline((Step(name, probability, parameters),))


def test_everything_that_is_wrong_is_said_at_once() -> None:
    steps = (
        Step("rotat"),
        Step("rotate", 1.5, {"angle": [20, -20], "anlge": 3}),
        Step("one_of"),
        Step("horizontal_flip", steps=(Step("vertical_flip"),)),
        Step("sequence", steps=(Step("shear", parameters={"x": "far"}),)),
    )
    pipeline = Pipeline(
        steps,
        Fill(colour=(0, 0, 300)),
        LabelRules(2.0, -1.0, (("left", "right"), ("left", "left"))),
        Output(Format.JPEG, 101),
    )
    assert said(pipeline) == {
        "steps[0].transform": "There is no transform 'rotat'. Did you mean rotate?",
        "steps[1].probability": "1.5 is out of bounds; it can be 0 to 1.",
        "steps[1].parameters.anlge": "rotate has no parameter 'anlge'. Did you mean angle?",
        "steps[1].parameters.angle": "The range [20, -20] is upside down; write [-20, 20].",
        "steps[2].steps": "one_of needs at least one step to hold.",
        "steps[3].steps": "horizontal_flip holds no steps; one_of, some_of and sequence do.",
        "steps[4].steps[0].parameters.x": "'far' is not a number or a range [low, high].",
        "fill_colour": "A colour is three whole numbers from 0 to 255, [red, green, blue], or left out for black.",
        "labels.min_visible_share": "2 is out of bounds; it can be 0 to 1.",
        "labels.min_area": "-1 is out of bounds; it can be 0 to 1000000000 square pixels.",
        "labels.mirror_pairs[1]": "'left' stands in pair 0, too; a name has one partner.",
        "output.quality": "101 is out of bounds; it can be 1 to 100, or 0 for that of the input.",
    }


@pytest.mark.parametrize(
    ("name", "parameter", "given", "told"),
    [
        ("rotate", "angle", 181, "181 is out of bounds; it can be -180 to 180 °."),
        ("rotate", "angle", [-181, 5], "-181 is out of bounds; it can be -180 to 180 °."),
        ("rotate", "angle", [1, 2, 3], "A range is two numbers, [low, high]; these are 3."),
        ("rotate", "angle", float("nan"), "nan is not a number or a range [low, high]."),
        ("rotate", "angle", [0, float("inf")], "inf is not a number or a range [low, high]."),
        ("rotate", "angle", True, "True is not a number or a range [low, high]."),
        ("rotate", "angle", {"low": 3}, "{'low': 3} is not a number or a range [low, high]."),
        ("rotate", "expand", 1, "1 is neither true nor false."),
        ("quarter_turn", "turns", 1.5, "1.5 is not a whole number."),
        ("resize", "mode", "Exact", "'Exact' is not one of the choices longest, shortest, exact. Did you mean exact?"),
        ("resize", "mode", 7, "7 is not one of the choices longest, shortest, exact."),
        ("letterbox", "colour", [1, 2], "[1, 2] is not a colour; it is three numbers, [red, green, blue]."),
        ("letterbox", "colour", [1, 2, 256], "256 is not a whole number from 0 to 255, as red, green and blue are."),
    ],
)
def test_a_wrong_value_is_told_what_it_can_be(name: str, parameter: str, given: Any, told: str) -> None:
    assert said(one(name, **{parameter: given})) == {f"steps[0].parameters.{parameter}": told}


def test_what_is_left_out_has_its_default_and_a_value_becomes_a_range() -> None:
    filled = normalised(Pipeline((Step("rotate", 0.5, {"angle": 7}), Step("shear")), version=0))
    assert filled.version == 1
    assert filled.steps[0] == Step("rotate", 0.5, {"angle": (7.0, 7.0), "expand": False})
    assert filled.steps[1].parameters == {"x": (-10, 10), "y": (-10, 10)}


def test_whole_numbers_that_came_as_fractions_are_whole_again() -> None:
    turned = normalised(one("quarter_turn", turns=[1.0, 2.0])).steps[0].parameters["turns"]
    assert turned == (1, 2) and all(type(end) is int for end in turned)


@pytest.mark.parametrize("name", [name for name, transform in CATALOGUE.items() if transform.family is not Family.COMPOSITION])
def test_every_transform_works_with_nothing_but_its_name(name: str) -> None:
    pipeline = normalised(one(name))
    assert set(pipeline.steps[0].parameters) == {parameter.name for parameter in CATALOGUE[name].parameters}
    assert normalised(pipeline) == pipeline


def test_a_hundred_steps_are_allowed_and_no_more() -> None:
    held = Step("sequence", steps=(Step("rotate"),) * 99)
    assert check(Pipeline((held,))).valid
    assert "101 steps" in said(Pipeline((held, Step("rotate"))))["steps"]


def test_four_levels_are_allowed_and_no_more() -> None:
    nested = Step("rotate")
    for _ in range(3):
        nested = Step("sequence", steps=(nested,))
    assert check(Pipeline((nested,))).valid
    deeper = Pipeline((Step("sequence", steps=(nested,)),))
    assert said(deeper) == {"steps[0].steps[0].steps[0].steps[0].steps[0]": "Steps lie in one another more than 4 levels deep."}


def test_a_very_deep_pipeline_is_refused_without_going_down() -> None:
    nested = Step("rotate")
    for _ in range(5_000):
        nested = Step("sequence", steps=(nested,))
    found = check(Pipeline((nested,))).findings
    # Taken apart by hand: letting go of it all at once would go as deep as the interpreter lets it.
    while nested.steps:
        nested = nested.steps[0]
    assert len(found) == 1


def test_a_version_that_is_not_known_is_refused() -> None:
    assert said(Pipeline(version=2)) == {"version": "There is no version 2; the newest is 1."}


def test_findings_have_an_end() -> None:
    steps = tuple(Step("nothing", parameters={str(number): 1 for number in range(50)}) for _ in range(90))
    assert len(check(Pipeline((*steps, Step("rotate", parameters={str(number): 1 for number in range(5000)})))).findings) <= 100


def test_choices_that_can_never_be_made_are_errors() -> None:
    assert "above 0" in said(Pipeline((Step("one_of", steps=(Step("rotate", 0.0),)),)))["steps[0].steps"]


def test_what_may_not_be_meant_is_a_warning() -> None:
    steps = (Step("rotate", 0.0), Step("one_of", steps=(Step("rotate", 0.0), Step("shear"))))
    pipeline = Pipeline(steps, output=Output(Format.PNG, 80))
    assert check(pipeline).valid
    assert warned(pipeline) == {
        "steps[0].probability": "Its probability is 0, so it is never done.",
        "steps[1].steps[0].probability": "Its weight is 0, so it is never chosen.",
        "output.quality": "PNG is written without loss; the quality makes no difference.",
    }


def test_an_invalid_pipeline_raises_with_a_violation_for_each_finding() -> None:
    with pytest.raises(InvalidArgument, match=r"steps\[0\].transform.*and 1 more") as raised:
        normalised(Pipeline((Step("nothing"), Step("rotate", 0.0), Step("rotate", 7.0))), field="pipeline")
    assert raised.value.reason == "PIPELINE_INVALID"
    assert [violation.field for violation in raised.value.violations] == ["pipeline.steps[0].transform", "pipeline.steps[2].probability"]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-(10**400), 10**400) | st.text(max_size=8) | st.sampled_from(sorted(CATALOGUE)),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=8), values, max_size=4),
    max_leaves=4,
)


@settings(max_examples=50, derandomize=True, deadline=None)
@given(st.sampled_from(sorted(CATALOGUE)), st.data())
def test_no_value_of_a_parameter_breaks_validation(name: str, data: st.DataObject) -> None:
    names = [parameter.name for parameter in CATALOGUE[name].parameters]
    parameters = data.draw(st.dictionaries(st.sampled_from([*names, "other"]), JSON, max_size=4))
    checked = check(Pipeline((Step(name, 1.0, parameters),)))
    if checked.valid:
        json.dumps([dict(step.parameters) for step in checked.pipeline.steps])


def recipe(name: str, **parameters: Any) -> Recipe:
    return Recipe((DrawnStep(name, parameters, (0,)),))


@pytest.mark.parametrize(
    ("given", "field", "told"),
    [
        (recipe("rotate", angle=999.0, expand=False), "recipe.steps[0].parameters.angle", "out of bounds"),
        (recipe("rotate", angle=(1.0, 2.0), expand=False), "recipe.steps[0].parameters.angle", "not a number"),
        (recipe("rotate", angle=1.0), "recipe.steps[0].parameters.expand", "missing"),
        (recipe("rotate", angle=1.0, expand=False, more=1), "recipe.steps[0].parameters.more", "has no 'more'"),
        (recipe("one_of"), "recipe.steps[0].transform", "is drawn"),
        (recipe("nothing"), "recipe.steps[0].transform", "no transform"),
        (recipe("elastic", strength=0.5, cells=4, key="xyz"), "recipe.steps[0].parameters.key", "32 hex digits"),
        (recipe("elastic", strength=0.5, cells=4.5, key="0" * 32), "recipe.steps[0].parameters.cells", "whole number"),
        (Recipe((DrawnStep("horizontal_flip"),) * 201), "recipe.steps", "at most 200"),
        (Recipe(fill=Fill(colour=(1, 2, -3))), "recipe.fill_colour", "three whole numbers"),
        (Recipe(labels=LabelRules(min_area=float("inf"))), "recipe.labels.min_area", "out of bounds"),
    ],
)
def test_a_recipe_with_a_value_out_of_bounds_is_refused(given: Recipe, field: str, told: str) -> None:
    with pytest.raises(InvalidArgument, match=told) as raised:
        check_recipe(given)
    assert (raised.value.reason, raised.value.violations[0].field) == ("PIPELINE_INVALID", field)


def test_a_recipe_that_travelled_as_json_has_its_types_again() -> None:
    travelled = json.loads(json.dumps({"strength": 0.5, "cells": 4.0, "key": "0f" * 16}))
    parameters = check_recipe(recipe("elastic", **travelled)).steps[0].parameters
    assert parameters == {"strength": 0.5, "cells": 4, "key": "0f" * 16}
    assert type(parameters["cells"]) is int
