"""Which steps are done, and with what, depends on the seed, the file, the copy and the place of a step, and is as likely as it says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from labelmesh_augment.geometry.labels import Box, Labels
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.pipelines.drawing import draw
from labelmesh_augment.pipelines.pipeline import Pipeline, Recipe, Step
from labelmesh_augment.pipelines.random import Origin
from labelmesh_augment.pipelines.stages import Staging
from labelmesh_augment.pipelines.validation import check_recipe, normalised
from labelmesh_augment.transforms.catalogue import CATALOGUE
from labelmesh_augment.transforms.transform import Family
from labelmesh_chassis.errors import FailedPrecondition

SHA = "ab" * 32
FRAME, NOTHING = Size(64, 48), Labels()
SINGLE = [name for name, transform in CATALOGUE.items() if transform.family is not Family.COMPOSITION]


def drawn(
    steps: Sequence[Step], copy: int = 0, *, size: Size = FRAME, labels: Labels = NOTHING, further: Sequence[tuple[Size, Labels]] = ()
) -> Recipe:
    staging = Staging(size, 1, [other for other, _ in further])
    return draw(normalised(Pipeline(tuple(steps))), Origin(7, SHA, copy), staging, labels, further)


def step(name: str, probability: float = 1.0, *steps: Step, **parameters: Any) -> Step:
    return Step(name, probability, parameters, steps)


def names(recipe: Recipe) -> tuple[str, ...]:
    return tuple(made.transform for made in recipe.steps)


def assert_as_often(counted: Counter[Any], expected: dict[Any, float], limit: float) -> None:
    """Pearson's chi-square; `limit` is what one of a thousand fair draws exceeds."""
    total = sum(counted.values())
    assert set(counted) <= set(expected)
    assert sum((counted[key] - total * share) ** 2 / (total * share) for key, share in expected.items()) < limit


def test_the_same_is_drawn_again() -> None:
    steps = [step("rotate"), step("one_of", 0.5, step("shear"), step("gaussian_noise")), step("random_crop")]
    assert [drawn(steps, copy) for copy in range(20)] == [drawn(steps, copy) for copy in range(20)]


def test_copies_are_drawn_each_for_itself() -> None:
    angles = {drawn([step("rotate")], copy).steps[0].parameters["angle"] for copy in range(100)}
    assert len(angles) == 100


def test_a_step_draws_the_same_whatever_the_others_are() -> None:
    alone = drawn([step("horizontal_flip"), step("rotate")]).steps[1]
    beside = drawn([step("gamma", 0.5), step("rotate"), step("shear")])
    assert next(made for made in beside.steps if made.transform == "rotate") == alone


def test_a_step_draws_the_same_whatever_its_probability_is() -> None:
    certain = drawn([step("rotate")], 3).steps
    likely = next(recipe.steps for copy in (3,) for recipe in [drawn([step("rotate", 0.999)], copy)])
    assert certain == likely


def test_a_step_is_done_as_often_as_its_probability_says() -> None:
    counted = Counter(bool(drawn([step("horizontal_flip", 0.3)], copy).steps) for copy in range(2000))
    assert_as_often(counted, {True: 0.3, False: 0.7}, 10.8)


def test_steps_are_left_out_independently_of_each_other() -> None:
    counted = Counter(names(drawn([step("horizontal_flip", 0.5), step("vertical_flip", 0.5)], copy)) for copy in range(2000))
    both = ("horizontal_flip", "vertical_flip")
    assert_as_often(counted, {(): 0.25, both[:1]: 0.25, both[1:]: 0.25, both: 0.25}, 16.3)


def test_one_of_does_one_by_its_weights() -> None:
    choice = step("one_of", 1.0, step("horizontal_flip", 0.2), step("vertical_flip", 0.6), step("invert", 0.0), step("grayscale", 0.2))
    counted = Counter(names(drawn([choice], copy)) for copy in range(2000))
    assert_as_often(counted, {("horizontal_flip",): 0.2, ("vertical_flip",): 0.6, ("grayscale",): 0.2}, 13.8)


def test_some_of_does_as_many_as_asked_none_twice_and_in_their_order() -> None:
    held = [step("horizontal_flip"), step("vertical_flip"), step("invert")]
    counted = Counter(names(drawn([step("some_of", 1.0, *held, count=2)], copy)) for copy in range(1500))
    pairs = [("horizontal_flip", "vertical_flip"), ("horizontal_flip", "invert"), ("vertical_flip", "invert")]
    assert_as_often(counted, dict.fromkeys(pairs, 1 / 3), 13.8)


def test_some_of_in_any_order_does_every_order_as_often() -> None:
    held = [step("horizontal_flip"), step("vertical_flip")]
    counted = Counter(names(drawn([step("some_of", 1.0, *held, count=[2, 5], any_order=True)], copy)) for copy in range(1000))
    assert_as_often(counted, {("horizontal_flip", "vertical_flip"): 0.5, ("vertical_flip", "horizontal_flip"): 0.5}, 10.8)


def test_some_of_draws_how_many() -> None:
    held = [step("horizontal_flip"), step("vertical_flip"), step("invert")]
    counted = Counter(len(drawn([step("some_of", 1.0, *held, count=[0, 3])], copy).steps) for copy in range(2000))
    assert_as_often(counted, dict.fromkeys(range(4), 0.25), 16.3)


def test_a_sequence_is_done_or_left_out_as_a_whole_and_steps_know_their_place() -> None:
    held = step("sequence", 0.5, step("rotate"), step("one_of", 1.0, step("shear", 0.0), step("zoom")))
    recipes = [drawn([step("invert"), held], copy) for copy in range(50)]
    assert {names(recipe) for recipe in recipes} == {("invert",), ("invert", "rotate", "zoom")}
    full = next(recipe for recipe in recipes if len(recipe.steps) == 3)
    assert [made.path for made in full.steps] == [(0,), (1, 0), (1, 1, 1)]


def test_a_crop_around_boxes_knows_where_earlier_steps_moved_them() -> None:
    labels = Labels(boxes=(Box(2, 4, 10, 10),))
    mirrored = drawn([step("horizontal_flip"), step("crop_around_boxes", room=0)], labels=labels, size=Size(64, 48)).steps[1].parameters
    assert (mirrored["x"], mirrored["y"], mirrored["width"], mirrored["height"]) == (52, 4, 10, 10)


def test_a_step_finds_the_size_that_earlier_ones_made() -> None:
    crop = drawn([step("resize", mode="exact", width=20, height=10), step("random_crop", width=20, height=10)]).steps[1].parameters
    assert (crop["x"], crop["y"]) == (0, 0)


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("size", [Size(1, 1), Size(1, 9), Size(9, 1), Size(64, 48)], ids=lambda size: f"{size.width}x{size.height}")
def test_what_is_drawn_is_a_recipe_that_can_be_given_back_as_json(name: str, size: Size) -> None:
    further = [(Size(5, 7), Labels(boxes=(Box(1, 1, 2, 2),)))] * 3
    for copy in range(3):
        recipe = drawn([step(name)], copy, size=size, labels=Labels(boxes=(Box(0, 0, 1, 1),)), further=further)
        told = json.loads(json.dumps([dict(made.parameters) for made in recipe.steps]))
        again = [type(made)(made.transform, parameters, made.path) for made, parameters in zip(recipe.steps, told, strict=True)]
        assert check_recipe(Recipe(tuple(again))).steps == check_recipe(recipe).steps == recipe.steps


@pytest.mark.parametrize("name", SINGLE)
def test_different_copies_draw_different_values(name: str) -> None:
    labels = Labels(boxes=(Box(20, 10, 5, 4),))
    ranged = any(parameter.ranged and parameter.default[0] != parameter.default[1] for parameter in CATALOGUE[name].parameters)
    found = {json.dumps(dict(drawn([step(name)], copy, labels=labels).steps[0].parameters)) for copy in range(20)}
    assert len(found) > 1 or not ranged


def test_a_recipe_tells_what_drew_it() -> None:
    assert set(drawn([]).versions) == {"labelmesh-augment", "numpy", "opencv", "pillow"}


def test_a_picture_that_would_become_too_large_is_refused_before_anything_is_made() -> None:
    with pytest.raises(FailedPrecondition) as raised:
        drawn([step("resize", mode="exact", width=20_000, height=20_000)])
    assert raised.value.reason == "RESULT_TOO_LARGE"


def test_growing_again_and_again_ends_at_the_limit() -> None:
    with pytest.raises(FailedPrecondition) as raised:
        drawn([step("pad", left=5000, top=5000)] * 100)
    assert raised.value.reason == "RESULT_TOO_LARGE"


def test_all_frames_count() -> None:
    pipeline = normalised(Pipeline((step("resize", mode="exact", width=1000, height=1000),)))
    draw(pipeline, Origin(7, SHA), Staging(Size(10, 10), 100), Labels())
    with pytest.raises(FailedPrecondition, match="in 101 frames"):
        draw(pipeline, Origin(7, SHA), Staging(Size(10, 10), 101), Labels())


def test_boxes_of_further_pictures_count_after_they_were_mixed_in() -> None:
    further = [(Size(64, 48), Labels(boxes=(Box(20, 10, 8, 6),)))]
    crop = drawn([step("mixup", fit="stretch"), step("crop_around_boxes", room=0)], further=further).steps[1].parameters
    assert np.array_equal([crop["x"], crop["y"], crop["width"], crop["height"]], [20, 10, 8, 6])
