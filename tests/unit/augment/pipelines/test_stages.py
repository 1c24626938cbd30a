"""Neighbours are put together, and only where that changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from labelmesh_augment.geometry.labels import Labels
from labelmesh_augment.pictures.picture import Frame, Picture, Size
from labelmesh_augment.pipelines.drawing import draw
from labelmesh_augment.pipelines.executing import execute, in_colour
from labelmesh_augment.pipelines.pipeline import Fill, FillKind, Pipeline, Step
from labelmesh_augment.pipelines.random import Origin
from labelmesh_augment.pipelines.stages import Move, Stage, Staging, Tone
from labelmesh_augment.pipelines.validation import normalised
from labelmesh_augment.transforms.effects import ColourMatrix, PixelStep

SIZE = Size(40, 30)
BLACK = Fill()


def step(name: str, **parameters: Any) -> Step:
    return Step(name, 1.0, parameters)


def staged(*steps: Step, size: Size = SIZE) -> tuple[Stage, ...]:
    staging = Staging(size)
    draw(normalised(Pipeline(steps)), Origin(1, "00" * 32), staging, Labels())
    return staging.stages()


def done(picture: Picture, *steps: Step, fill: Fill = BLACK) -> Picture:
    staging = Staging(picture.size, len(picture.frames))
    recipe = draw(normalised(Pipeline(steps, fill)), Origin(1, "00" * 32), staging, Labels())
    return execute(picture, Labels(), staging.stages(), recipe.fill, recipe.labels, colourful=not picture.frames[0].gray)[0]


def colourful(dtype: Any = np.uint8) -> Picture:
    white = 255 if dtype == np.uint8 else 65535
    return Picture((Frame(np.random.default_rng(2).integers(0, white + 1, (SIZE.height, SIZE.width, 3)).astype(dtype)),))


def frame_of(picture: Picture) -> Any:
    return picture.frames[0].colour


def kinds(stages: tuple[Stage, ...]) -> list[type]:
    return [type(stage) for stage in stages]


def test_movements_in_a_row_are_one() -> None:
    assert kinds(staged(step("translate"), step("rotate"), step("shear"), step("zoom"), step("perspective"), step("elastic"))) == [Move]


def test_curves_in_a_row_are_one() -> None:
    found = staged(step("brightness"), step("contrast"), step("gamma"), step("invert"))
    assert kinds(found) == [Tone]


def test_linear_changes_of_colour_in_a_row_are_one() -> None:
    found = staged(step("saturation"), step("brightness"), step("hue"), step("contrast"), step("channel_shuffle"), step("invert"))
    assert kinds(found) == [ColourMatrix]
    assert kinds(staged(step("brightness"), step("contrast"), step("gamma"), step("invert"), step("brightness"))) == [Tone]
    assert kinds(staged(step("brightness"), step("hue"), step("gamma"), step("contrast"))) == [ColourMatrix, Tone]


def test_what_one_lightens_beyond_white_another_brings_back() -> None:
    picture = colourful()
    assert np.array_equal(done(picture, step("brightness", shift=0.7), step("brightness", shift=-0.7)).frames[0].colour, frame_of(picture))
    assert np.array_equal(done(picture, step("invert"), step("invert")).frames[0].colour, frame_of(picture))
    assert staged(step("contrast", factor=4), step("contrast", factor=0.25)) == ()


def test_colours_are_lost_before_a_movement_instead_of_after_it() -> None:
    found = staged(step("rotate"), step("brightness"), step("colour_jitter"), step("grayscale"), step("contrast"), step("gaussian_blur"))
    assert kinds(found) == [ColourMatrix, Move, Tone, PixelStep]
    found = staged(step("rotate"), step("gamma"), step("grayscale"))
    assert kinds(found) == [Move, Tone, ColourMatrix], "a curve that is not straight has to see the colours"
    found = staged(step("rotate"), step("gaussian_blur"), step("grayscale"))
    assert kinds(found) == [Move, PixelStep, ColourMatrix]
    assert kinds(staged(step("centre_crop", width=4, height=4), step("grayscale"))) == [Move, ColourMatrix], "most of it is cut away"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("fill", [Fill(), Fill(colour=(250, 20, 120)), Fill(FillKind.MIRROR)])
def test_losing_colours_before_or_after_a_movement_is_the_same_but_for_rounding(dtype: Any, fill: Fill) -> None:
    picture = colourful(dtype)
    moved = done(picture, step("rotate", angle=20, expand=True), step("zoom", factor=0.8), fill=fill)
    apart = done(moved, step("contrast", factor=0.5), step("grayscale")).frames[0].colour.astype(int)
    together = done(
        picture, step("rotate", angle=20, expand=True), step("zoom", factor=0.8), step("contrast", factor=0.5), step("grayscale"), fill=fill
    )
    assert together.frames[0].colour.dtype == dtype
    assert np.abs(together.frames[0].colour.astype(int) - apart).max() <= (2 if dtype == np.uint8 else 40)


def test_everything_else_stays_in_its_place() -> None:
    found = staged(step("rotate"), step("brightness"), step("rotate"), step("gaussian_blur"), step("brightness"), step("gaussian_blur"))
    assert kinds(found) == [Move, Tone, Move, PixelStep, Tone, PixelStep]


def test_movements_that_undo_each_other_are_nothing() -> None:
    assert staged(step("horizontal_flip"), step("vertical_flip"), step("quarter_turn", turns=2)) == ()


def test_what_a_movement_took_out_of_sight_another_brings_back() -> None:
    picture = colourful()
    moved = done(picture, step("translate", x=0.5, y=0), step("translate", x=-0.5, y=0))
    assert np.array_equal(moved.frames[0].colour, picture.frames[0].colour)


def test_what_a_crop_cut_off_stays_away() -> None:
    picture = colourful()
    crop = step("centre_crop", width=20, height=20)
    cropped = done(picture, crop)
    shown = done(picture, crop, step("zoom", factor=0.5))
    assert kinds(staged(crop, step("zoom", factor=0.5))) == [Move, Move]
    assert np.array_equal(shown.frames[0].colour, done(cropped, step("zoom", factor=0.5)).frames[0].colour)
    # The crop fills the middle half; around it is nothing.
    assert not shown.frames[0].colour[:4].any() and shown.frames[0].colour[8:12, 8:12].any()


def test_a_crop_and_what_stays_within_it_are_one() -> None:
    assert kinds(staged(step("centre_crop", width=20, height=20), step("horizontal_flip"), step("zoom", factor=2))) == [Move]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_picture_that_lost_its_colours_keeps_its_channels(dtype: Any) -> None:
    found = done(colourful(dtype), step("grayscale"), step("brightness", shift=0.1))
    assert found.frames[0].gray
    expanded = in_colour(found)
    assert expanded.frames[0].colour.shape == (SIZE.height, SIZE.width, 3)
    assert (expanded.frames[0].colour == found.frames[0].colour[:, :, np.newaxis]).all()


def test_a_grey_picture_stays_grey() -> None:
    grey = Picture((Frame(colourful().frames[0].colour[:, :, 0].copy()),))
    found = done(grey, step("saturation", factor=2), step("hue", angle=90), step("channel_shuffle"), step("colour_jitter"))
    assert found.frames[0].gray


def test_the_picture_that_was_given_is_not_changed() -> None:
    picture = colourful()
    before = picture.frames[0].colour.copy()
    for name in ("horizontal_flip", "brightness", "grayscale", "gaussian_noise", "cutout", "centre_crop", "fog", "pad", "letterbox"):
        done(picture, step("quarter_turn"), step(name))
        done(picture, step(name), step("invert"))
    assert np.array_equal(picture.frames[0].colour, before)


def test_all_frames_take_the_same_noise_and_movement() -> None:
    frame = colourful().frames[0]
    made = done(Picture((frame, frame, frame)), step("rotate"), step("gaussian_noise"), step("cutout", fill="noise"))
    assert all(np.array_equal(other.colour, made.frames[0].colour) for other in made.frames)
