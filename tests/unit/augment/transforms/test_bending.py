"""Bends are smooth, made again from their key, and fold nowhere."""

from __future__ import annotations

import numpy as np
import pytest
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.bending import STEEPEST, Grid, elastic_grid
from labelmesh_augment.transforms.effects import Displace
from numpy.typing import NDArray

from tests.unit.augment.transforms.steps import effects, scene

KEY = "0123456789abcdef" * 2


def lattice(width: int, height: int, step: float = 1.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.meshgrid(np.arange(step / 2, width, step), np.arange(step / 2, height, step))
    return x, y


def steepest(grid: Grid, size: Size, step: float) -> float:
    """The largest singular value between neighbours of a fine lattice."""
    dx, dy = grid.at(*lattice(size.width, size.height, step))
    slopes = np.stack([np.diff(bent, axis=axis)[: dx.shape[0] - 1, : dx.shape[1] - 1] for bent in (dx, dy) for axis in (1, 0)], -1) / step
    return float(np.linalg.norm(slopes.reshape(-1, 2, 2), 2, axis=(1, 2)).max())


@pytest.mark.parametrize("cells", [2, 5, 32])
@pytest.mark.parametrize("size", [Size(64, 64), Size(70, 31)])
def test_the_strongest_elastic_bend_is_as_steep_as_it_may_be_and_no_steeper(size: Size, cells: int) -> None:
    slope = steepest(elastic_grid(KEY, cells, 1.0, size), size, 0.25)
    assert 0.85 * STEEPEST < slope < 0.9


def test_points_one_by_one_bend_as_a_lattice_does() -> None:
    grid = elastic_grid(KEY, 5, 1.0, Size(40, 30))
    x, y = lattice(60, 50)
    together = np.array(grid.at(x - 10, y - 10))
    alone = np.array(grid.at(x.ravel() - 10, y.ravel() - 10))
    assert alone.reshape(together.shape) == pytest.approx(together, abs=1e-9)


def test_an_elastic_bend_is_the_same_for_the_same_key_only() -> None:
    x, y = lattice(40, 30)
    once, again, other = (np.array(elastic_grid(key, 5, 0.5, Size(40, 30)).at(x, y)) for key in (KEY, KEY, KEY[::-1]))
    assert (once == again).all()
    assert np.abs(once - other).max() > 0.5


def test_half_the_strength_bends_half_as_far() -> None:
    x, y = lattice(40, 30)
    full, half = (np.array(elastic_grid(KEY, 5, strength, Size(40, 30)).at(x, y)) for strength in (1.0, 0.5))
    assert half * 2 == pytest.approx(full)


def test_a_larger_picture_is_bent_alike() -> None:
    x, y = lattice(40, 30)
    small = np.array(elastic_grid(KEY, 5, 1.0, Size(40, 30)).at(x, y))
    large = np.array(elastic_grid(KEY, 5, 1.0, Size(400, 300)).at(x * 10, y * 10))
    assert large / 10 == pytest.approx(small)


def test_the_bend_reaches_all_edges_of_the_frame() -> None:
    # Cells end where the frame does.
    grid = elastic_grid(KEY, 4, 1.0, Size(40, 30))
    for inner, edge in ((1.0, 0.0), (39.0, 40.0)):
        here, there = (np.array(grid.at(np.array([x]), np.array([13.0]))) for x in (inner, edge))
        assert np.abs(here - there).max() > 0.02
    beyond, border = (np.array(grid.at(np.array([x]), np.array([13.0]))) for x in (41.0, 40.0))
    assert (beyond == border).all()


def test_outside_of_the_frame_the_bend_goes_on_without_a_jump() -> None:
    grid = elastic_grid(KEY, 5, 1.0, Size(40, 30))
    y = np.full(2001, 11.0)
    x = np.linspace(-80, 120, 2001)
    dx, dy = grid.at(x, y)
    assert max(np.abs(np.diff(dx)).max(), np.abs(np.diff(dy)).max()) < 0.1 * 0.9


@pytest.mark.parametrize("name", ["elastic", "optical_distortion"])
def test_no_bend_at_all_is_no_work(name: str) -> None:
    assert not effects(name, scene(40, 30), strength=0, k1=0)


@pytest.mark.parametrize(("k1", "outwards"), [(0.2, -1), (-0.2, 1)], ids=["barrel", "pincushion"])
def test_a_barrel_draws_corners_inwards_and_a_pincushion_pulls_them_out(k1: float, outwards: int) -> None:
    (bend,) = effects("optical_distortion", scene(80, 60), k1=k1)
    assert isinstance(bend, Displace)
    # At the upper left corner of the result is what was farther out (so it moved inwards), or nearer.
    dx, dy = bend.field(np.array([0.0]), np.array([0.0]))
    assert np.sign([dx[0], dy[0]]).tolist() == [outwards, outwards]
    assert np.hypot(dx[0], dy[0]) == pytest.approx(0.2 * 50)


@pytest.mark.parametrize("k1", [-0.28, 0.28])
def test_radii_stay_in_order_under_the_strongest_lens(k1: float) -> None:
    (bend,) = effects("optical_distortion", scene(80, 60), k1=k1)
    assert isinstance(bend, Displace)
    x = np.linspace(40, 400, 4000)
    dx, dy = bend.field(x, np.full_like(x, 30.0))
    assert np.abs(np.diff(dx) / np.diff(x)).max() < 0.9
    assert not dy.any()
