"""What following and warping cost, where it can be told from outside."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
from labelmesh_augment.geometry.following import Track
from labelmesh_augment.geometry.labels import Box, LabelRules, Labels, Polygon
from labelmesh_augment.geometry.motion import Motion
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.pipelines.drawing import draw
from labelmesh_augment.pipelines.pipeline import Pipeline, Step
from labelmesh_augment.pipelines.random import Origin
from labelmesh_augment.pipelines.stages import Staging
from labelmesh_augment.pipelines.validation import normalised

from tests.unit.augment.geometry.marks import around, turning

_SIZE = Size(100, 80)


def test_boxes_and_keypoints_never_wait_for_shapely() -> None:
    code = """
import sys
import numpy as np
from labelmesh_augment.geometry.following import Track
from labelmesh_augment.geometry.labels import Box, Keypoint, LabelRules, Labels
from labelmesh_augment.geometry.motion import Motion
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.effects import Warp
track = Track.start(Labels(boxes=(Box(1, 1, 50, 5), Box(3, 3, 5, 5, 30, True)), keypoints=(Keypoint(1, 1),)), Size(20, 20))
turned = Warp(np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]), Size(20, 20))
assert track.moved(Motion.start(Size(20, 20)).then(turned)).finish(LabelRules())[0].boxes
assert "shapely" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_rings_that_cross_themselves_endlessly_take_no_time_to_speak_of() -> None:
    # Taken apart, it would have more pieces than there is memory for.
    tangle = np.random.default_rng(0).uniform(-20, 120, (20_000, 2))
    started = time.process_time()
    track = Track.start(Labels(polygons=(Polygon((tangle,)),)), _SIZE).covered([np.array([[10, 10], [20, 10], [20, 20.0]])])
    left, _ = track.moved(Motion.start(_SIZE).then(around(turning(20), _SIZE))).finish(LabelRules())
    assert time.process_time() - started < 5
    assert 0.1 < left.polygons[0].visible_share < 0.8


def test_a_great_many_small_rings_that_cross_themselves_are_cut_in_time() -> None:
    tie = np.array([[0, 0], [9, 9], [9, 0], [0, 9]], dtype=np.float64)
    ties = [tie + np.array([x % 130 - 20, x // 20 - 20]) for x in range(2000)]
    started = time.process_time()
    track = Track.start(Labels(polygons=tuple(Polygon((ring,)) for ring in ties)), _SIZE)
    left, dropped = track.moved(Motion.start(_SIZE).then(around(turning(20), _SIZE))).finish(LabelRules())
    assert time.process_time() - started < 5
    assert len(left.polygons) + len(dropped) == 2000


def test_steps_that_ask_where_boxes_are_follow_nothing_else() -> None:
    generator = np.random.default_rng(4)
    polygons = tuple(Polygon((generator.uniform(0, 400, (50, 2)),)) for _ in range(2_000))
    around_boxes = Step("crop_around_boxes", 1.0, {"room": [0.9, 1.0]})
    pipeline = normalised(Pipeline((around_boxes, Step("rotate", 1.0, {"angle": [1, 2]})) * 20))
    boxes = (Box(100, 100, 200, 150),)

    def drawn(labels: Labels) -> object:
        return draw(pipeline, Origin(1, "00" * 32), Staging(Size(400, 400)), labels)

    before = time.perf_counter()
    recipe = drawn(Labels(boxes, polygons))
    assert time.perf_counter() - before < 2
    assert recipe == drawn(Labels(boxes))
