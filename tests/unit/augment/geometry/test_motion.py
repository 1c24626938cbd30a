"""Steps put together are one map, there and back."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from labelmesh_augment.geometry.motion import Motion
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.effects import Displace, Warp

from tests.unit.augment.geometry.marks import around, chains, crop, flip, matrix, moving, resize, scaling, tilted, turning, waves

_SIZE = Size(60, 40)
_LATTICE = np.stack(np.meshgrid(np.linspace(0, 60, 7), np.linspace(0, 40, 5)), axis=-1).reshape(-1, 2)


def _all(*steps: Warp | Displace, size: Size = _SIZE) -> Motion:
    motion = Motion.start(size)
    for step in steps:
        motion = motion.then(step)
    return motion


@settings(max_examples=60, derandomize=True, deadline=None)
@given(chains(_SIZE))
def test_one_motion_takes_points_where_its_steps_take_them_one_by_one(steps: list[Warp | Displace]) -> None:
    places, size = _LATTICE, _SIZE
    for step in steps:
        single = Motion.start(size).then(step)
        places, size = single.forward(places), single.size
    np.testing.assert_allclose(_all(*steps).forward(_LATTICE), places, atol=0.05)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(chains(_SIZE))
def test_the_way_back_leads_to_the_start(steps: list[Warp | Displace]) -> None:
    motion = _all(*steps)
    np.testing.assert_allclose(motion.backward(motion.forward(_LATTICE)), _LATTICE, atol=0.02)


def test_the_steepest_bend_is_turned_round_to_a_twentieth_of_a_pixel() -> None:
    slope = 0.89
    bend = Displace(lambda x, y: (-slope * 20 * np.sin(x / 20), slope * 20 * np.sin(y / 20)))
    there = Motion.start(Size(400, 400)).then(bend).forward(np.random.default_rng(0).uniform(0, 400, (500, 2)))
    dx, dy = bend.field(there[:, 0], there[:, 1])
    start = np.random.default_rng(0).uniform(0, 400, (500, 2))
    # How far the true place is: what is missing, divided by the least slope of the way back.
    missing = np.abs(np.column_stack((there[:, 0] + dx, there[:, 1] + dy)) - start)
    assert (missing / (1 - slope)).max() < 0.05


def test_neighbouring_matrices_become_one_and_bends_stay_in_between() -> None:
    motion = _all(flip(_SIZE), around(turning(10), _SIZE), waves(_SIZE, 0.3, 1, 0), flip(_SIZE), flip(_SIZE))
    assert len(motion.stages) == 3
    assert motion.bent
    assert motion.matrix is None


def test_two_flips_and_four_quarter_turns_are_nothing() -> None:
    assert _all(flip(_SIZE), flip(_SIZE)).is_identity
    turn, back = around(np.rint(turning(90)), _SIZE, Size(40, 60)), around(np.rint(turning(90)), Size(40, 60), _SIZE)
    assert _all(turn, back, turn, back).is_identity
    assert not _all(turn, back).is_identity
    assert not _all(Warp(np.eye(3), Size(61, 40))).is_identity


def test_an_odd_number_of_mirrors_mirrors() -> None:
    assert _all(flip(_SIZE)).mirrored
    assert not _all(flip(_SIZE), around(turning(30), _SIZE), flip(_SIZE)).mirrored
    assert not _all(flip(_SIZE), waves(_SIZE, 0.5, 1, 0), flip(_SIZE)).mirrored
    assert _all(flip(_SIZE), waves(_SIZE, 0.5, 1, 0), tilted(_SIZE, 0.2, 0.1)).mirrored


def test_a_movement_brings_back_what_another_moved_out_of_sight() -> None:
    away, back = Warp(moving(50, 0), _SIZE), Warp(moving(-50, 0), _SIZE)
    assert not _all(away).shows_beyond_cut(back)
    assert _all(away, back).is_identity


def test_a_crop_is_kept_to_by_what_comes_after_it() -> None:
    cropped = _all(crop(10, 10, 30, 20))
    window = Size(30, 20)
    assert cropped.shows_beyond_cut(around(scaling(0.9, 0.9), window))
    assert cropped.shows_beyond_cut(around(turning(5), window))
    assert cropped.shows_beyond_cut(Warp(moving(3, 0), window))
    assert cropped.shows_beyond_cut(waves(window, 0.3, 1, 0))
    assert not cropped.shows_beyond_cut(flip(window))
    assert not cropped.shows_beyond_cut(around(np.rint(turning(90)), window, Size(20, 30)))
    assert not cropped.shows_beyond_cut(resize(window, 90, 31))
    assert not cropped.shows_beyond_cut(crop(1, 1, 28, 18))


def test_a_crop_that_was_zoomed_into_can_be_zoomed_out_of_to_its_border() -> None:
    window = Size(30, 20)
    closer = _all(crop(10, 10, 30, 20), around(scaling(2, 2), window))
    assert not closer.shows_beyond_cut(around(scaling(0.5, 0.5), window))
    assert closer.shows_beyond_cut(around(scaling(0.45, 0.45), window))
    resized = _all(crop(10, 10, 30, 20), Warp(scaling(3, 3), Size(90, 60), cuts=True))
    assert resized.shows_beyond_cut(around(turning(5), Size(90, 60)))


def test_a_cut_that_takes_nothing_away_is_none() -> None:
    whole = _all(Warp(scaling(2, 2), Size(120, 80), cuts=True))
    assert not whole.shows_beyond_cut(around(turning(5), Size(120, 80)))


def test_what_lies_behind_the_horizon_goes_far_away() -> None:
    # The third row is 0 along x = 50.
    motion = _all(Warp(matrix((1, 0, 0), (0, 1, 0), (-0.02, 0, 1)), Size(400, 40)), size=Size(100, 40))
    behind = motion.forward(np.array([[51.0, 10.0], [99.0, 10.0], [50.0, 10.0]]))
    assert (np.abs(behind).max(axis=1) > 1e6).all()
    assert np.isfinite(behind).all()


def test_hundreds_of_extreme_steps_leave_numbers_numbers() -> None:
    for factor in (0.1, 10.0):
        motion = _all(*[around(scaling(factor, factor), _SIZE)] * 200)
        assert np.isfinite(motion.forward(_LATTICE)).all()
        assert np.isfinite(motion.backward(_LATTICE)).all()
