"""Promises of every transform there is, whoever wrote it."""

from __future__ import annotations

import contextlib
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.pipelines import values
from labelmesh_augment.pipelines.random import Origin
from labelmesh_augment.transforms.catalogue import CATALOGUE
from labelmesh_augment.transforms.effects import Cover, Displace, Effect, Mix, Warp
from labelmesh_augment.transforms.transform import Family, Kind, Parameter, Scene, Transform, draw_each
from labelmesh_chassis.errors import FailedPrecondition

# The smallest, the flattest, those that no crop fits evenly, and the longest that can be read.
SIZES = (Size(1, 1), Size(1, 7), Size(7, 1), Size(33, 20), Size(30_000, 1), Size(1, 30_000))
FURTHER = (Size(1, 1), Size(1, 30_000), Size(40, 30))
MOST_COMBINATIONS = 64

EFFECTIVE = [pytest.param(transform, id=name) for name, transform in CATALOGUE.items() if transform.family is not Family.COMPOSITION]


def recipe_parameters(transform: Transform) -> tuple[Parameter, ...]:
    return transform.parameters if transform.drawn is None else transform.drawn


def extremes(parameter: Parameter) -> list[Any]:
    """Single values at the ends of what a recipe can have."""
    ends: list[Any] = []
    match parameter.kind:
        case Kind.NUMBER | Kind.INTEGER:
            ends = [parameter.minimum, parameter.maximum]
        case Kind.BOOLEAN:
            ends = [False, True]
        case Kind.CHOICE:
            ends = list(parameter.choices)
        case Kind.COLOUR:
            ends = [[0, 0, 0], [255, 0, 255]]
        case Kind.KEY:
            ends = ["0" * 32, "f" * 32]
    if parameter.many:
        ends = [[], *([end] * parameter.many for end in ends)]
    return [values.drawn(parameter, end) for end in ends]


def combinations(transform: Transform) -> Iterator[Mapping[str, Any]]:
    """Extreme values of all parameters together: every combination where there are few, else some of them."""
    parameters = recipe_parameters(transform)
    ends = [extremes(parameter) for parameter in parameters]
    every = math.prod(len(each) for each in ends)
    if every <= MOST_COMBINATIONS:
        chosen: Iterator[Sequence[Any]] = itertools.product(*ends)
    else:
        picks = np.random.default_rng(5).integers(0, 1 << 30, (MOST_COMBINATIONS, len(ends)))
        chosen = ([each[pick % len(each)] for each, pick in zip(ends, row, strict=True)] for row in picks)
    for combination in chosen:
        drawn = dict(zip((parameter.name for parameter in parameters), combination, strict=True))
        if not transform.check_drawn(drawn):
            yield drawn


def assert_sound(effect: Effect, before: Size) -> Size:
    """Checks what effects promise, and gives the size of the frame after."""
    if isinstance(effect, Warp):
        corners = np.array([[0, 0, 1], [before.width, 0, 1], [before.width, before.height, 1], [0, before.height, 1]])
        assert effect.matrix.shape == (3, 3) and effect.matrix.dtype == np.float64
        assert np.isfinite(effect.matrix).all()
        assert np.linalg.det(effect.matrix) != 0
        assert (corners @ effect.matrix[2] > 0.05).all()
        assert min(effect.size.width, effect.size.height) >= 1
        return effect.size
    if isinstance(effect, Displace):
        assert_gentle(effect, before)
        return before
    if isinstance(effect, Cover):
        for outline in effect.outlines:
            assert outline.ndim == 2 and len(outline) >= 3 and np.isfinite(outline).all()
        return before
    if isinstance(effect, Mix):
        for layer in effect.layers:
            x0, y0, x1, y1 = layer.region
            assert 0 <= x0 < x1 <= effect.size.width and 0 <= y0 < y1 <= effect.size.height
            assert np.isfinite(layer.matrix).all() and np.linalg.det(layer.matrix) > 0
            assert 0 <= layer.weight <= 1
            assert 0 <= layer.source <= len(FURTHER)
        return effect.size
    return before


def assert_gentle(effect: Displace, size: Size) -> None:
    """Finite everywhere, also far outside of the frame, and nowhere steeper than 0.9."""
    generator = np.random.default_rng(8)
    scale = np.array([size.width, size.height])
    points = (generator.random((400, 2)) * 1.5 - 0.25) * scale
    points[:4] = [[0, 0], scale, [-1e7, 1e7], [1e7, -1e7]]
    step = generator.normal(size=(400, 2)) * scale.max() * 1e-4
    here, there = (np.stack(effect.field(at[:, 0], at[:, 1]), axis=1) for at in (points, points + step))
    assert np.isfinite(here).all()
    slopes = np.linalg.norm(there - here, axis=1) / np.linalg.norm(step, axis=1)
    # Far away differences are no more than what rounding leaves of them.
    assert (slopes[4:] < 0.9).all()


@pytest.mark.parametrize("transform", EFFECTIVE)
def test_extreme_values_on_any_frame_have_sound_effects(transform: Transform) -> None:
    for drawn, size in itertools.product(combinations(transform), SIZES):
        after = size
        # Where it says that the result is too large there is none.
        with contextlib.suppress(FailedPrecondition):
            for effect in transform.act(drawn, size, FURTHER):
                after = assert_sound(effect, after)
        assert max(after.width, after.height) <= 30_000 and after.pixels <= 100_000_000


@pytest.mark.parametrize("transform", EFFECTIVE)
def test_what_is_drawn_can_be_given_back_as_a_recipe(transform: Transform) -> None:
    lowest: dict[str, Any] = {}
    highest: dict[str, Any] = {}
    widest: dict[str, Any] = {}
    for parameter in transform.parameters:
        ends = extremes(parameter)
        low, high = ends[0], ends[-1]
        lowest[parameter.name] = values.setting(parameter, low)
        highest[parameter.name] = values.setting(parameter, high)
        widest[parameter.name] = values.setting(parameter, [low, high] if parameter.ranged else None)
    defaults = {parameter.name: values.setting(parameter, None) for parameter in transform.parameters}
    draw = transform.draw or draw_each(transform.parameters)
    bounds = {parameter.name: parameter for parameter in recipe_parameters(transform)}
    for number, (settings, size, boxes) in enumerate(
        itertools.product((lowest, highest, widest, defaults), SIZES, (np.zeros((0, 4)), np.array([[0.0, 0, 1, 1], [0.5, 0.25, 0.5, 1]])))
    ):
        if transform.check(settings):
            continue
        scene = Scene(size, boxes, FURTHER[: number % 4])
        drawn = draw(settings, Origin(number, "ab" * 32).draws([0]), scene)
        assert drawn.keys() == bounds.keys()
        taken = {name: values.drawn(bounds[name], list(value) if isinstance(value, tuple) else value) for name, value in drawn.items()}
        assert not transform.check_drawn(taken)


@pytest.mark.parametrize("transform", [pytest.param(transform, id=name) for name, transform in CATALOGUE.items()])
def test_a_stranger_can_understand_every_setting(transform: Transform) -> None:
    assert re.fullmatch("[a-z][a-z0-9_]*", transform.name)
    for text in (transform.summary, transform.labels_summary):
        assert len(text) >= 20 and text.endswith(".") and text[0].isupper()
    assert 3 <= len(transform.title) <= 40 and not transform.title.endswith(".")
    names = [parameter.name for parameter in transform.parameters]
    assert len(set(names)) == len(names)
    for parameter in transform.parameters:
        assert parameter.title and len(parameter.title) <= 40
        assert len(parameter.summary) >= 10 and parameter.summary.endswith(".")
        # Nothing that only recipes have.
        assert parameter.kind is not Kind.KEY and not parameter.many
        if parameter.kind in (Kind.NUMBER, Kind.INTEGER):
            assert parameter.minimum < parameter.maximum
            assert 0 < parameter.step <= parameter.maximum - parameter.minimum
            assert not parameter.logarithmic or parameter.minimum > 0
        if parameter.kind is Kind.CHOICE:
            assert len(set(parameter.choices)) == len(parameter.choices) >= 2
        values.setting(parameter, None)


@pytest.mark.parametrize("transform", EFFECTIVE)
def test_defaults_are_right_by_themselves(transform: Transform) -> None:
    settings = {parameter.name: values.setting(parameter, None) for parameter in transform.parameters}
    assert not transform.check(settings)
    draw = transform.draw or draw_each(transform.parameters)
    drawn = draw(settings, Origin(3, "ab" * 32).draws([0]), Scene(Size(600, 401), np.array([[100.0, 100, 200, 200]]), FURTHER))
    # They do something.
    assert transform.act(drawn, Size(600, 401), FURTHER)


def test_the_catalogue_has_the_names_that_pipelines_use() -> None:
    expected = """horizontal_flip vertical_flip quarter_turn rotate shear zoom translate perspective affine random_crop centre_crop
        crop_around_boxes resize letterbox pad elastic optical_distortion grayscale brightness contrast saturation hue gamma equalize clahe
        channel_shuffle invert posterize solarize colour_jitter gaussian_blur motion_blur sharpen gaussian_noise salt_and_pepper iso_noise
        jpeg_quality downscale cutout grid_mask shade fog rain mixup cutmix mosaic one_of some_of sequence"""
    assert list(CATALOGUE) == expected.split()
