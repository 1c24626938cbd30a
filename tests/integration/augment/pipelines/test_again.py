"""What was made can be made again: by its seed in any process, and by its recipe."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from labelmesh_augment.geometry.labels import Box, Keypoint, Labels
from labelmesh_augment.pipelines.augmenting import Augmented, Loaded, Sample, augment, load, repeat
from labelmesh_augment.pipelines.pipeline import DrawnStep, Pipeline, Recipe, Step
from labelmesh_augment.pipelines.random import Origin
from labelmesh_augment.pipelines.validation import normalised
from labelmesh_augment.transforms.catalogue import CATALOGUE
from labelmesh_augment.transforms.transform import Transform
from labelmesh_chassis.errors import FailedPrecondition, InvalidArgument

from tests.integration.augment.pipelines.forms import FORMS
from tests.integration.augment.pipelines.painting import dotted, png
from tests.integration.augment.pipelines.steps import SINGLE, chain

HOUSE = Path(__file__).resolve().parents[4]
EVERYTHING = Pipeline(
    (
        Step(
            "some_of", steps=tuple(Step(transform.name) for transform in SINGLE if not transform.further_pictures), parameters={"count": 6}
        ),
        Step("rotate", 0.5),
        Step("one_of", steps=(Step("gaussian_noise"), Step("iso_noise", 0.5), Step("rain", 0.5))),
    )
)


def sample() -> Loaded:
    pixels = cv2.GaussianBlur(np.random.default_rng(4).integers(0, 256, (60, 80, 3), dtype=np.uint8), (5, 5), 1.0)
    done, written = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 88])
    assert done
    return load(Sample(written.tobytes(), Labels(boxes=(Box(10, 10, 30, 20, label="cat"),), keypoints=(Keypoint(40, 30),))))


def told(result: Augmented) -> str:
    """Everything of a result, short."""
    labels = repr((result.labels, result.dropped, result.size, [(step.transform, dict(step.parameters)) for step in result.recipe.steps]))
    return hashlib.sha256(result.content + labels.encode()).hexdigest()


def all_told(copies: Sequence[int] = range(12)) -> list[str]:
    loaded, pipeline = sample(), normalised(EVERYTHING)
    return [told(augment(loaded, pipeline, seed=5, copy=copy)) for copy in copies]


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_same_seed_gives_the_same_bytes_in_another_process(hash_seed: str) -> None:
    program = "import json; from tests.integration.augment.pipelines.test_again import all_told; print(json.dumps(all_told()))"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(HOUSE)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=HOUSE, env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert json.loads(done.stdout) == all_told()


def test_the_number_of_threads_makes_no_difference() -> None:
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        alone = all_told()
        cv2.setNumThreads(4)
        assert all_told() == alone
    finally:
        cv2.setNumThreads(before)


def test_copies_and_seeds_differ() -> None:
    loaded, pipeline = sample(), normalised(Pipeline((Step("rotate"), Step("gaussian_noise"))))
    contents = {augment(loaded, pipeline, seed=seed, copy=copy).content for seed in range(4) for copy in range(5)}
    assert len(contents) == 20


def test_results_do_not_depend_on_what_was_made_before() -> None:
    loaded, pipeline = sample(), normalised(EVERYTHING)
    alone = told(augment(sample(), pipeline, seed=5, copy=7))
    for copy in range(7):
        augment(loaded, pipeline, seed=5, copy=copy)
    assert told(augment(loaded, pipeline, seed=5, copy=7)) == alone


@settings(max_examples=60, derandomize=True, deadline=None)
@given(steps=chain(SINGLE, 6))
def test_a_recipe_that_travelled_makes_the_same_bytes(steps: tuple[Step, ...]) -> None:
    loaded = load(Sample(png(dotted(40, 30, 12, 14)), Labels(boxes=(Box(5, 6, 20, 15),))))
    further = [load(Sample(FORMS["alpha"])), load(Sample(FORMS["GIF"]))]
    result = unless_too_large(lambda: augment(loaded, normalised(Pipeline(steps)), seed=11, further=further))
    if result is None:
        return
    again = repeat(loaded, travelled(result.recipe), further=further)
    assert again.content == result.content
    assert (again.labels.boxes, again.dropped, again.size) == (result.labels.boxes, result.dropped, result.size)


def travelled(recipe: Recipe) -> Recipe:
    """As JSON has it, where every number is a fraction, as in a protobuf Struct."""
    steps = [(step.transform, json.loads(json.dumps(dict(step.parameters)), parse_int=float), step.path) for step in recipe.steps]
    return replace(recipe, steps=tuple(DrawnStep(*step) for step in steps))


@settings(max_examples=150, derandomize=True, deadline=None)
@given(steps=chain(SINGLE, 3))
def test_a_pipeline_never_fails_but_for_the_size_of_its_result(steps: tuple[Step, ...]) -> None:
    loaded, further = load(Sample(FORMS["alpha"])), [load(Sample(FORMS["1x9"]))]
    unless_too_large(lambda: augment(loaded, normalised(Pipeline(steps)), seed=1, further=further))


def unless_too_large(make: Callable[[], Augmented]) -> Augmented | None:
    try:
        return make()
    except FailedPrecondition as refused:
        if refused.reason != "RESULT_TOO_LARGE":
            raise
        return None


HOSTILE: list[Any] = [-1e308, -1.0, 0.0, 1e-320, 0.5, 1.0, 2.0, 1e9, 1e308, float("nan"), float("inf"), True, None, "", "x" * 1000]
HOSTILE += [[], [1.0] * 1000, {}]


@pytest.mark.parametrize("transform", SINGLE, ids=lambda transform: transform.name)
def test_a_hostile_recipe_is_refused_or_done_and_nothing_else(transform: Transform) -> None:
    name = transform.name
    loaded = load(Sample(FORMS["alpha"]))
    further = [load(Sample(FORMS["1x9"]))]
    drawn = augment(loaded, normalised(Pipeline((Step(name),))), seed=1, further=further).recipe.steps[0].parameters
    for parameter in drawn:
        for value in HOSTILE:
            recipe = Recipe((DrawnStep(name, {**drawn, parameter: value}),))
            try:
                unless_too_large(partial(repeat, loaded, recipe, further=further))
            except InvalidArgument as refused:
                # It says which values are wrong, which may be others that no longer fit to this one.
                told = {violation.field for violation in refused.violations}
                if refused.reason != "PIPELINE_INVALID" or not told <= {f"recipe.steps[0].parameters.{each}" for each in drawn}:
                    raise


def test_a_recipe_cannot_grow_a_picture_step_by_step() -> None:
    drawn = {parameter.name: parameter.minimum for parameter in CATALOGUE["pad"].parameters} | {"left": 9_000, "top": 9_000, "multiple": 1}
    with pytest.raises(FailedPrecondition) as raised:
        repeat(load(Sample(FORMS["alpha"])), Recipe((DrawnStep("pad", drawn),) * 200))
    assert raised.value.reason == "RESULT_TOO_LARGE"


def test_numbers_of_a_result_are_keyed_by_the_content_of_the_file() -> None:
    first, second = (load(Sample(png(dotted(40, 30, x, 14)))) for x in (12, 13))
    angles = [
        augment(loaded, normalised(Pipeline((Step("rotate"),))), seed=1).recipe.steps[0].parameters["angle"] for loaded in (first, second)
    ]
    assert angles[0] != angles[1]
    assert angles[0] == Origin(1, first.content_sha256).draws((0, 1)).uniform(-15, 15)
