"""Labels end as what can be seen of what they name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from labelmesh_augment.geometry.following import Track
from labelmesh_augment.geometry.labels import Box, Keypoint, LabelRules, Labels, Mask, Visibility
from labelmesh_augment.geometry.motion import Motion
from labelmesh_augment.geometry.outlines import area, clipped
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.effects import Displace, Layer, Warp

from tests.unit.augment.geometry.marks import around, crop, flip, moving, resize, scaling, tilted, turning, waves

_SIZE = Size(100, 80)
_ALL = LabelRules(min_visible_share=0.0, min_area=0.0)


def _after(labels: Labels, *steps: Warp | Displace, size: Size = _SIZE) -> Track:
    track = Track.start(labels, size)
    for step in steps:
        track = track.moved(Motion.start(track.size).then(step))
    return track


def _box(box: Box, *steps: Warp | Displace) -> Box:
    return _after(Labels(boxes=(box,)), *steps).finish(_ALL)[0].boxes[0]


def _sides(box: Box) -> tuple[float, float, float, float]:
    return box.x, box.y, box.x + box.width, box.y + box.height


def test_flips_and_turns_move_boxes_exactly() -> None:
    box = Box(10, 20, 30, 5, id="a", label="cat")
    assert _box(box, flip(_SIZE)) == Box(60, 20, 30, 5, id="a", label="cat")
    clockwise = around(np.rint(turning(90)), _SIZE, Size(80, 100))
    assert _box(box, clockwise) == Box(55, 10, 5, 30, id="a", label="cat")
    assert _box(box, clockwise, flip(Size(80, 100))) == Box(20, 10, 5, 30, id="a", label="cat")


def test_a_box_is_cut_before_the_rectangle_around_it_is_taken() -> None:
    # A diamond of which the left corner is outside: its upper and lower corners are outside too, what is left is lower than the whole.
    box = Box(-20, 20, 40, 40)
    turned = around(turning(45), _SIZE)
    moved = _box(Box(40, 30, 20, 20), turned, Warp(moving(-45, 0), _SIZE))
    half = 20 / math.sqrt(2)
    # Its middle is at x = 5.
    assert _sides(moved) == pytest.approx((0, 40 - half, 5 + half, 40 + half))
    moved = _box(Box(40, 30, 20, 20), turned, Warp(moving(-60, 0), _SIZE))
    # Its middle is at x = -10: what is left is a triangle.
    assert _sides(moved) == pytest.approx((0, 40 - (half - 10), half - 10, 40 + (half - 10)))
    assert moved.visible_share == pytest.approx((half - 10) ** 2 / 400)
    assert _box(box).visible_share == 0.5


def test_a_box_that_is_turned_and_turned_back_is_what_it_was() -> None:
    box = Box(40, 30, 20, 10)
    assert _sides(_box(box, around(turning(30), _SIZE), around(turning(-30), _SIZE))) == pytest.approx(_sides(box))


def test_what_was_cut_stays_cut() -> None:
    box = _box(Box(0, 10, 40, 20), Warp(moving(-30, 0), _SIZE), Warp(moving(30, 0), _SIZE))
    assert _sides(box) == (30, 10, 40, 30)
    assert box.visible_share == 0.25
    together = Motion.start(_SIZE).then(Warp(moving(-30, 0), _SIZE)).then(Warp(moving(30, 0), _SIZE))
    assert Track.start(Labels(boxes=(Box(0, 10, 40, 20),)), _SIZE).moved(together).finish(_ALL)[0].boxes[0] == Box(0, 10, 40, 20)


def test_what_is_left_is_told_as_a_share_of_all_there_was() -> None:
    assert _box(Box(90, 10, 20, 10)).visible_share == 0.5
    assert _box(Box(0, 0, 100, 80), crop(50, 40, 50, 40), resize(Size(50, 40), 200, 20)).visible_share == pytest.approx(0.25)


def test_the_share_that_is_left_is_measured_before_a_perspective_stretches_it() -> None:
    motion = Motion.start(_SIZE).then(tilted(_SIZE, 0.9, 0)).then(crop(60, 0, 40, 80))
    box = Track.start(Labels(boxes=(Box(0, 0, 100, 80),)), _SIZE).moved(motion).finish(_ALL)[0].boxes[0]
    seen = clipped(motion.backward(np.array([[0, 0], [40, 0], [40, 80], [0, 80.0]])), _SIZE)
    assert box.visible_share == pytest.approx(area(seen) / 8000)


def test_labels_of_which_too_little_is_left_are_dropped_and_told() -> None:
    boxes = (
        Box(0, 0, 20, 20, id="gone"),
        Box(40, 10, 20, 20, id="little"),
        Box(50, 10, 20, 20, id="half"),
        Box(70, 10, 20, 20, id="whole"),
    )
    track = _after(Labels(boxes=boxes), crop(58, 0, 42, 80))
    left, dropped = track.finish(LabelRules(min_visible_share=0.3))
    assert [box.id for box in left.boxes] == ["half", "whole"]
    assert [(one.id, one.visible_share) for one in dropped] == [("gone", 0.0), ("little", pytest.approx(0.1))]
    left, dropped = track.finish(LabelRules(min_visible_share=0.0, min_area=100))
    assert [box.id for box in left.boxes] == ["half", "whole"]
    left, dropped = track.finish(_ALL)
    assert [box.id for box in left.boxes] == ["little", "half", "whole"]
    assert track.bounds().tolist() == [[0, 10, 2, 30], [0, 10, 12, 30], [12, 10, 32, 30]]


def test_a_turned_box_comes_back_upright_unless_it_may_stand_at_an_angle() -> None:
    upright = _box(Box(40, 30, 20, 10, rotation=90))
    assert (upright.rotation, *_sides(upright)) == pytest.approx((0, 45, 25, 55, 45))
    oriented = _box(Box(40, 30, 20, 10, rotation=20, oriented=True), around(turning(25), _SIZE))
    assert (oriented.width, oriented.height, oriented.rotation) == pytest.approx((20, 10, 45))
    assert oriented.oriented
    middle = turning(25) @ (0, -5, 1)
    assert (oriented.x + 10, oriented.y + 5) == pytest.approx((50 + middle[0], 40 + middle[1]))


@pytest.mark.parametrize("turns", range(5))
def test_an_oriented_box_keeps_its_own_sides_through_quarter_turns(turns: int) -> None:
    size, track = _SIZE, Track.start(Labels(boxes=(Box(40, 30, 20, 10, rotation=10, oriented=True),)), _SIZE)
    for _ in range(turns):
        after = Size(size.height, size.width)
        track, size = track.moved(Motion.start(size).then(around(np.rint(turning(90)), size, after))), after
    box = track.finish(_ALL)[0].boxes[0]
    assert (box.width, box.height) == pytest.approx((20, 10))
    assert (box.rotation - (10 + 90 * turns)) % 360 == pytest.approx(0, abs=1e-6) or (
        box.rotation - 10 - 90 * turns
    ) % 360 == pytest.approx(360)
    assert -180 < box.rotation <= 180


def test_a_mirrored_oriented_box_leans_the_other_way() -> None:
    box = _box(Box(40, 30, 20, 10, rotation=30, oriented=True), flip(_SIZE))
    assert (box.x, box.y, box.width, box.height) == pytest.approx((40, 30, 20, 10))
    assert box.rotation % 180 == pytest.approx(150)


def test_an_oriented_box_is_the_smallest_rectangle_around_what_is_left_of_it() -> None:
    # Half of a diamond is a triangle: its longest side lies along the border.
    box = _box(Box(40, 30, 20, 20, rotation=45, oriented=True), crop(50, 0, 50, 80))
    half = 20 / math.sqrt(2)
    # At 45 degrees a rectangle of the same area stands on the other sides; its own direction wins.
    assert box.width * box.height == pytest.approx(2 * half * half)
    sheared = _box(Box(40, 30, 20, 10, oriented=True), around(np.array([[1, 0.5, 0], [0, 1, 0], [0, 0, 1.0]]), _SIZE))
    # The long sides stay level.
    assert (sheared.width, sheared.height, sheared.rotation) == pytest.approx((25, 10, 0))


def test_bent_boxes_hold_the_whole_bend() -> None:
    # What is at y was at y + 8 sin(pi x / 100) before: the upper side of a box becomes an arch that rises by 8 in the middle.
    bend = Displace(lambda x, y: (x * 0.0, 8 * np.sin(np.pi * x / 100)))
    box = _box(Box(10, 30, 80, 20), bend)
    low = 8 * math.sin(math.pi / 10)
    assert _sides(box) == pytest.approx((10, 22, 90, 50 - low), abs=0.01)


def test_mirror_pairs_change_names_when_mirrored_an_odd_number_of_times() -> None:
    rules = LabelRules(mirror_pairs=(("left_eye", "right_eye"), ("cat_left", "cat_right")))
    labels = Labels(
        boxes=(Box(10, 10, 10, 10, label="cat_left"), Box(-50, 0, 10, 10, id="out", label="cat_right")),
        keypoints=(
            Keypoint(10, 20, label="left_eye"),
            Keypoint(30, 20, label="right_eye"),
            Keypoint(20, 30, label="nose"),
            Keypoint(0, 0, Visibility.ABSENT, label="left_eye"),
        ),
    )
    once, dropped = _after(labels, flip(_SIZE)).finish(rules)
    assert [point.label for point in once.keypoints] == ["right_eye", "left_eye", "nose", "right_eye"]
    assert once.boxes[0].label == "cat_right" and dropped[0].label == "cat_left"
    assert once.keypoints[0].x == 90
    assert once.keypoints[3] == Keypoint(0, 0, Visibility.ABSENT, label="right_eye")
    twice, _ = _after(labels, flip(_SIZE), around(turning(10), _SIZE), flip(_SIZE)).finish(rules)
    assert [point.label for point in twice.keypoints] == ["left_eye", "right_eye", "nose", "left_eye"]


def test_keypoints_that_leave_are_outside_for_good_and_kept() -> None:
    labels = Labels(keypoints=(Keypoint(10, 10), Keypoint(90, 10, Visibility.HIDDEN), Keypoint(90, 79), Keypoint(3, 3, Visibility.ABSENT)))
    away = Warp(moving(-50, 0), _SIZE)
    once = _after(labels, away).finish(_ALL)[0].keypoints
    assert [(point.x, point.visibility) for point in once] == [
        (-40, Visibility.OUTSIDE),
        (40, Visibility.HIDDEN),
        (40, Visibility.VISIBLE),
        (3, Visibility.ABSENT),
    ]
    back = _after(labels, away, Warp(moving(50, 0), _SIZE)).finish(_ALL)[0].keypoints
    assert back[0] == Keypoint(10, 10, Visibility.OUTSIDE)


def test_a_keypoint_on_the_border_is_still_there() -> None:
    corners = Labels(keypoints=(Keypoint(0, 0), Keypoint(100, 80), Keypoint(100.01, 80)))
    for steps in ((), (flip(_SIZE),), (resize(_SIZE, 7, 3), resize(Size(7, 3), 100, 80))):
        states = [point.visibility for point in _after(corners, *steps).finish(_ALL)[0].keypoints]
        assert states == [Visibility.VISIBLE, Visibility.VISIBLE, Visibility.OUTSIDE]


def test_what_lies_under_an_erased_area_is_hidden_and_loses_share_but_no_ground() -> None:
    labels = Labels(
        boxes=(Box(0, 0, 20, 10, id="half"), Box(50, 50, 10, 10, id="free"), Box(12, 2, 4, 4, id="under")),
        keypoints=(Keypoint(15, 5), Keypoint(5, 5), Keypoint(15, 6, Visibility.OUTSIDE)),
    )
    hole = np.array([[10, 0], [20, 0], [20, 10], [10, 10]], dtype=np.float64)
    # Twice the same hole is one.
    track = Track.start(labels, _SIZE).covered([hole, hole]).covered([hole])
    left, dropped = track.finish(LabelRules())
    assert [(box.id, box.visible_share, box.width) for box in left.boxes] == [("half", pytest.approx(0.5), 20), ("free", 1.0, 10)]
    assert [one.id for one in dropped] == ["under"]
    assert [point.visibility for point in left.keypoints] == [Visibility.HIDDEN, Visibility.VISIBLE, Visibility.OUTSIDE]
    # What was covered is cut off afterwards: of all there was, half is to be seen, and all of what is left.
    cut = track.moved(Motion.start(_SIZE).then(crop(0, 0, 10, 80))).finish(_ALL)[0].boxes[0]
    assert (cut.width, cut.visible_share) == pytest.approx((10, 0.5))
    other = track.moved(Motion.start(_SIZE).then(flip(_SIZE)).then(crop(80, 0, 10, 80))).finish(_ALL)[0].boxes[0]
    assert (other.width, other.visible_share) == pytest.approx((10, 0.0))


_TILTS = [
    (((-0.06, 0.58, 24, -23), (0.17, 0.94, -19, 39), (0.59, 0.92, 26, 15)), Box(32, 3, 26, 33)),
    (((0.47, -0.93, -31, 5), (0.82, 0.2, 16, -8), (0.84, -0.59, 32, -23)), Box(9, 54, 36, 8)),
    (((-0.74, -0.5, 32, 23), (-0.85, -0.85, -1, -10), (0.63, -0.89, -9, -30)), Box(10, 53, 16, 38)),
]


@pytest.mark.parametrize(("tilts", "before"), _TILTS)
def test_boxes_that_reach_behind_the_horizon_end_where_what_is_before_it_ends(
    tilts: tuple[tuple[float, float, float, float], ...], before: Box
) -> None:
    # Each tilt is fine by itself: together the horizon lies within the first frame.
    size = Size(100, 100)
    motion = Motion.start(size)
    for g, h, x, y in tilts:
        motion = motion.then(tilted(size, g, h)).then(Warp(moving(x, y), size))
    (box,) = Track.start(Labels(boxes=(before,)), size).moved(motion).finish(_ALL)[0].boxes
    assert motion.matrix is not None
    columns, rows = np.linspace(before.x, before.x + before.width, 400), np.linspace(before.y, before.y + before.height, 400)
    within = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    depths = within @ motion.matrix[2, :2] + motion.matrix[2, 2]
    assert depths.min() < 0
    arrived = motion.forward(within[depths > 1e-6])
    seen = arrived[((arrived >= 0) & (arrived <= 100)).all(axis=1)]
    assert _sides(box) == pytest.approx((*seen.min(axis=0), *seen.max(axis=0)), abs=1.0)
    assert 0 < box.visible_share < 1


def test_a_keypoint_behind_the_horizon_is_outside() -> None:
    size = Size(100, 100)
    motion = Motion.start(size)
    for _ in range(3):
        motion = motion.then(tilted(size, 0.7, 0.3))
    track = Track.start(Labels(keypoints=(Keypoint(50, 50), Keypoint(1, 1))), size).moved(motion)
    assert [point.visibility for point in track.finish(_ALL)[0].keypoints] == [Visibility.VISIBLE, Visibility.OUTSIDE]


def test_labels_of_all_mixed_pictures_are_cut_at_their_region() -> None:
    first = Track.start(
        Labels(boxes=(Box(0, 0, 100, 80, id="a"),), keypoints=(Keypoint(10, 10, id="left"), Keypoint(90, 10, id="right"))), _SIZE
    )
    second = Track.start(Labels(boxes=(Box(0, 0, 50, 40, id="b"),)), Size(50, 40))
    layers = [Layer(0, np.eye(3), (0, 0, 50, 80)), Layer(1, moving(50, 0) @ scaling(2, 2), (50, 0, 100, 80))]
    left, _ = first.mixed(layers, [second], _SIZE).finish(_ALL)
    assert [(box.id, _sides(box), box.visible_share, box.weight) for box in left.boxes] == [
        ("a", (0, 0, 50, 80), 0.5, 1.0),
        ("b", (50, 0, 100, 80), 0.5, 1.0),
    ]
    assert [point.visibility for point in left.keypoints] == [Visibility.VISIBLE, Visibility.OUTSIDE]


def test_what_another_picture_is_laid_over_is_covered() -> None:
    first = Track.start(Labels(boxes=(Box(0, 0, 20, 10, id="a"),), keypoints=(Keypoint(15, 5), Keypoint(5, 5))), _SIZE)
    second = Track.start(Labels(boxes=(Box(0, 0, 100, 80, id="b"),)), _SIZE)
    mixed = first.mixed([Layer(0, np.eye(3), (0, 0, 100, 80)), Layer(1, np.eye(3), (10, 0, 30, 30))], [second], _SIZE)
    left, _ = mixed.finish(_ALL)
    assert [(box.id, _sides(box)) for box in left.boxes] == [("a", (0, 0, 20, 10)), ("b", (10, 0, 30, 30))]
    assert [box.visible_share for box in left.boxes] == pytest.approx([0.5, 600 / 8000])
    assert [point.visibility for point in left.keypoints] == [Visibility.HIDDEN, Visibility.VISIBLE]


def test_blended_pictures_weigh_what_they_are_blended_with() -> None:
    labels = Labels(boxes=(Box(10, 10, 10, 10, label="a_left"),), keypoints=(Keypoint(15, 15),))
    first, second = Track.start(labels, _SIZE), Track.start(labels, _SIZE).moved(Motion.start(_SIZE).then(flip(_SIZE)))
    whole = (0, 0, 100, 80)
    for weight_below in (1.0, 0.7):
        mixed = first.mixed([Layer(0, np.eye(3), whole, weight_below), Layer(1, np.eye(3), whole, 0.3)], [second], _SIZE)
        left, _ = mixed.finish(LabelRules(mirror_pairs=(("a_left", "a_right"),)))
        assert [(box.label, box.visible_share) for box in left.boxes] == [("a_left", 1.0), ("a_right", 1.0)]
        assert [box.weight for box in left.boxes] == pytest.approx([0.7, 0.3])
        assert [point.weight for point in left.keypoints] == pytest.approx([0.7, 0.3])
    alone = first.mixed([Layer(0, np.eye(3), whole), Layer(1, np.eye(3), whole, 0.0), Layer(7, np.eye(3), whole)], [second], _SIZE)
    assert [box.weight for box in alone.finish(_ALL)[0].boxes] == [1.0]


def test_masks_follow_and_are_put_together_as_pictures_are() -> None:
    values = np.arange(80 * 100).reshape(80, 100).astype(np.uint16)
    track = Track.start(Labels(masks=(Mask(values, id="m"),)), _SIZE)
    np.testing.assert_array_equal(track.moved(Motion.start(_SIZE).then(flip(_SIZE))).finish(_ALL)[0].masks[0].values, values[:, ::-1])
    other = Track.start(Labels(masks=(Mask(np.full((40, 50), 7, np.uint8), id="m"),)), Size(50, 40))
    layers = [Layer(0, np.eye(3), (0, 0, 100, 80)), Layer(1, moving(50, 0), (50, 0, 100, 80)), Layer(1, np.eye(3), (0, 0, 50, 40), 0.5)]
    (mask,) = track.mixed(layers, [other], _SIZE).finish(_ALL)[0].masks
    expected = values.copy()
    expected[:, 50:] = 0
    expected[:40, 50:] = 7
    assert mask.id == "m" and mask.values.dtype == np.uint16
    np.testing.assert_array_equal(mask.values, expected)


def test_a_mask_is_not_touched_until_somebody_asks_for_it() -> None:
    unreadable: Any = None
    track = _after(Labels(boxes=(Box(1, 1, 5, 5),), masks=(Mask(unreadable),)), flip(_SIZE), around(turning(5), _SIZE))
    assert track.bounds().shape == (1, 4)


def test_nothing_to_follow_is_followed() -> None:
    track = _after(Labels(), flip(_SIZE), around(turning(10), _SIZE), waves(_SIZE, 0.4, 1, 1), tilted(_SIZE, 0.2, 0.2))
    track = track.covered([np.array([[0, 0], [9, 0], [0, 9.0]])]).mixed([Layer(0, np.eye(3), (0, 0, 100, 80), 0.5)] * 2, [], _SIZE)
    assert track.bounds().shape == (0, 4)
    assert track.finish(LabelRules()) == (Labels(), ())
