"""What following and warping cost, where it can be told from outside."""

from __future__ import annotations

import subprocess
import sys


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
