"""Polygons are cut at the border, whatever they look like."""

from __future__ import annotations

import math

import numpy as np
import pytest
from labelmesh_augment.geometry.following import Track
from labelmesh_augment.geometry.labels import LabelRules, Labels, Points, Polygon
from labelmesh_augment.geometry.motion import Motion
from labelmesh_augment.geometry.outlines import area, clipped
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.effects import Displace, Warp

from tests.unit.augment.geometry.marks import around, crop, flip, scaling, tilted, turning, waves

_SIZE = Size(100, 80)
_ALL = LabelRules(min_visible_share=0.0, min_area=0.0)


def _ring(*points: tuple[float, float]) -> Points:
    return np.array(points, dtype=np.float64)


def _after(polygon: Polygon, *steps: Warp | Displace) -> Polygon | None:
    track = Track.start(Labels(polygons=(polygon,)), _SIZE)
    for step in steps:
        track = track.moved(Motion.start(track.size).then(step))
    left, dropped = track.finish(_ALL)
    assert len(left.polygons) + len(dropped) == 1
    return left.polygons[0] if left.polygons else None


def _seen(polygon: Polygon | None) -> float:
    """Square pixels within the rings by the even-odd rule, as they are drawn."""
    assert polygon is not None
    canvas = np.zeros((800, 1000), np.uint8)
    for ring in polygon.rings:
        x, y = np.meshgrid(np.arange(1000) / 10 + 0.05, np.arange(800) / 10 + 0.05)
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            if y0 != y1:
                canvas ^= ((y0 <= y) != (y1 <= y)) & (x < x0 + (x1 - x0) * (y - y0) / (y1 - y0))
    return float(canvas.sum()) / 100


def _area(polygon: Polygon | None) -> float:
    assert polygon is not None
    return sum(area(ring) for ring in polygon.rings)


# Two prongs that point to the left, joined at x = 60 to 70.
_FORK = _ring((10, 10), (70, 10), (70, 50), (10, 50), (10, 40), (60, 40), (60, 20), (10, 20))
# Two triangles that meet in the middle.
_BOW_TIE = _ring((10, 10), (50, 50), (50, 10), (10, 50))
# A square with a square hole, joined by a cut.
_FRAME = _ring((10, 10), (50, 10), (50, 50), (10, 50), (10, 30), (20, 30), (20, 40), (40, 40), (40, 20), (20, 20), (20, 30), (10, 30))


def test_a_polygon_in_sight_keeps_its_points_and_their_order() -> None:
    moved = _after(Polygon((_FORK, _BOW_TIE), id="p", label="fork"), flip(_SIZE))
    assert moved is not None and (moved.id, moved.label, moved.visible_share, moved.weight) == ("p", "fork", 1.0, 1.0)
    np.testing.assert_array_equal(moved.rings[0], _FORK * (-1, 1) + (100, 0))
    np.testing.assert_array_equal(moved.rings[1], _BOW_TIE * (-1, 1) + (100, 0))


def test_a_cut_can_make_several_rings_of_one() -> None:
    moved = _after(Polygon((_FORK,)), crop(0, 0, 50, 80))
    assert moved is not None and len(moved.rings) == 2
    assert sorted((*ring.min(axis=0), *ring.max(axis=0)) for ring in moved.rings) == [(10, 10, 50, 20), (10, 40, 50, 50)]
    assert moved.visible_share == pytest.approx(800 / area(_FORK))


def test_pieces_are_cut_each_for_itself() -> None:
    moved = _after(Polygon((_ring((0, 0), (10, 0), (10, 10), (0, 10)), _ring((90, 0), (100, 0), (100, 10), (90, 10)))), crop(5, 0, 50, 80))
    assert moved is not None and len(moved.rings) == 1
    assert moved.visible_share == pytest.approx(0.25)


def test_polygons_that_cross_themselves_survive() -> None:
    whole = _after(Polygon((_BOW_TIE,)), around(turning(10), _SIZE))
    assert whole is not None and len(whole.rings[0]) == 4 and whole.visible_share == 1.0
    half = _after(Polygon((_BOW_TIE,)), crop(0, 0, 30, 80))
    assert half is not None and half.visible_share == pytest.approx(0.5, abs=0.01)
    assert _seen(half) == pytest.approx(400, rel=0.01)
    across = _after(Polygon((_BOW_TIE,)), crop(0, 0, 100, 20))
    assert _seen(across) == pytest.approx(2 * 100 / 2, rel=0.01)
    _, dropped = Track.start(Labels(polygons=(Polygon((_BOW_TIE,)),)), _SIZE).finish(LabelRules(min_area=790))
    assert not dropped


def test_holes_stay_holes() -> None:
    assert _seen(_after(Polygon((_FRAME,)), crop(0, 0, 100, 25))) == pytest.approx(40 * 15 - 20 * 5, rel=0.01)
    around_hole = _after(Polygon((_FRAME,)), crop(0, 0, 45, 80))
    assert _seen(around_hole) == pytest.approx(35 * 40 - 400, rel=0.01)
    assert around_hole is not None and around_hole.visible_share == pytest.approx(1000 / 1200, abs=0.01)


def test_a_covered_polygon_loses_share_whether_it_crosses_itself_or_not() -> None:
    hole = _ring((10, 0), (30, 0), (30, 80), (10, 80))
    for ring in (_BOW_TIE, _ring((10, 10), (50, 10), (50, 50), (10, 50))):
        track = Track.start(Labels(polygons=(Polygon((ring,)),)), _SIZE).covered([hole])
        assert track.finish(_ALL)[0].polygons[0].visible_share == pytest.approx(0.5, abs=0.02)


def test_a_polygon_of_no_area_is_dropped_and_no_error() -> None:
    left, dropped = Track.start(Labels(polygons=(Polygon((_ring((1, 1), (5, 5), (9, 9)),), id="line"),)), _SIZE).finish(LabelRules())
    assert not left.polygons and dropped[0].id == "line"


def test_a_polygon_that_left_is_dropped() -> None:
    assert _after(Polygon((_FORK,)), crop(80, 60, 20, 20)) is None


def test_sides_of_polygons_bend() -> None:
    bend = Displace(lambda x, y: (x * 0.0, 8 * np.sin(np.pi * x / 100)))
    moved = _after(Polygon((_ring((10, 30), (90, 30), (90, 50), (10, 50)),)), bend)
    assert moved is not None and moved.rings[0][:, 1].min() == pytest.approx(22, abs=0.1)
    # As many points as the arch needs.
    assert 10 < len(moved.rings[0]) < 40
    assert _area(moved) == pytest.approx(1600, rel=0.01)


def test_bent_turned_and_tilted_polygons_are_cut_within_the_frame() -> None:
    ring = 40 * np.column_stack((np.cos(np.linspace(0, 6.2, 40)), np.sin(np.linspace(0, 6.2, 40)))) + (50, 40)
    moved = _after(Polygon((ring,)), waves(_SIZE, 0.5, 2, 1), around(turning(30) @ scaling(1.5, 1.5), _SIZE), tilted(_SIZE, 0.3, 0.3))
    assert moved is not None and 0.1 < moved.visible_share < 1
    for piece in moved.rings:
        assert (piece >= -1e-9).all() and (piece <= (100 + 1e-9, 80 + 1e-9)).all()


def test_a_zigzag_leaves_at_most_a_thousand_pieces() -> None:
    teeth = 1500
    upper = [(x * 100 / teeth, 10.0 if x % 2 else -10.0) for x in range(teeth)]
    moved = _after(Polygon((_ring(*upper, (100, -20), (0, -20)),)))
    assert moved is not None and 500 < len(moved.rings) <= 1000


def test_an_outline_that_leaves_and_comes_back_does_not_reach_to_where_nothing_is_left() -> None:
    # The upper prong leaves at the left above the frame: a line along the border must not lead on to the corner.
    outline = _ring((-10, -30), (5, -30), (5, -20), (-5, -20), (-5, 40), (20, 40), (20, 50), (-10, 50))
    left = clipped(outline, _SIZE)
    assert (*left.min(axis=0), *left.max(axis=0)) == (0, 40, 20, 50)
    assert area(left) == pytest.approx(200)


def test_areas_far_from_the_origin_are_exact() -> None:
    square = _ring((0, 0), (1e-3, 0), (1e-3, 1e-3), (0, 1e-3)) + 29_999.0
    assert math.isclose(area(square), 1e-6, rel_tol=1e-6)
