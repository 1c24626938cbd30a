"""Whatever moves pixels moves labels to the same place, to within a pixel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import shapely
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from labelmesh_augment.geometry.labels import Box, Keypoint, LabelRules, Labels, Mask, Polygon, Visibility
from labelmesh_augment.pictures.picture import Size

from tests.unit.augment.geometry.marks import (
    FORMS,
    brightest,
    brightness_of,
    carried_out,
    chains,
    dot,
    frame_of,
    motions,
    seen_bounds,
)

_MANY = settings(
    max_examples=400, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
_ALL = LabelRules(min_visible_share=0.0, min_area=0.0)


@_MANY
@given(st.data())
def test_a_bright_dot_is_found_within_a_pixel_of_where_its_keypoint_went(data: st.DataObject) -> None:
    size = Size(data.draw(st.integers(12, 80)), data.draw(st.integers(12, 80)))
    # Half of the outermost pixel is blended with what is outside.
    column, row = data.draw(st.integers(1, size.width - 2)), data.draw(st.integers(1, size.height - 2))
    form = data.draw(st.sampled_from(FORMS))
    steps = data.draw(chains(size))
    x, y = column + 0.5, row + 0.5
    across, down = np.meshgrid(np.arange(size.width) + 0.5, np.arange(size.height) + 0.5)
    frame = frame_of(dot(size, x, y), form, np.hypot(across - x, down - y) < 8)

    frame, track = carried_out(frame, Labels(keypoints=(Keypoint(x, y),)), steps)

    keypoint = track.finish(_ALL)[0].keypoints[0]
    inside = 0 <= keypoint.x <= frame.size.width and 0 <= keypoint.y <= frame.size.height
    if keypoint.visibility is Visibility.VISIBLE:
        assert inside
        # So that there is a whole pixel of it.
        assume(min(keypoint.x, keypoint.y, frame.size.width - keypoint.x, frame.size.height - keypoint.y) > 0.25)
        found_x, found_y = brightest(frame)
        assert math.hypot(found_x - keypoint.x, found_y - keypoint.y) <= 1.0
    else:
        assert keypoint.visibility is Visibility.OUTSIDE
        assert brightness_of(frame).max() < 0.99


@_MANY
@given(st.data())
def test_the_bounds_of_a_filled_box_are_those_of_its_label_within_a_pixel(data: st.DataObject) -> None:
    size = Size(data.draw(st.integers(16, 80)), data.draw(st.integers(16, 80)))
    x0, y0 = data.draw(st.integers(0, size.width - 8)), data.draw(st.integers(0, size.height - 8))
    x1, y1 = data.draw(st.integers(x0 + 8, size.width)), data.draw(st.integers(y0 + 8, size.height))
    form = data.draw(st.sampled_from(FORMS))
    steps = data.draw(chains(size))
    filled = np.zeros((size.height, size.width))
    filled[y0:y1, x0:x1] = 1.0
    shown = np.zeros(filled.shape, dtype=bool)
    shown[max(y0 - 6, 0) : y1 + 6, max(x0 - 6, 0) : x1 + 6] = True

    ring = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float64)
    labels = Labels((Box(x0, y0, x1 - x0, y1 - y0),), (Polygon((ring,)),), masks=(Mask(filled.astype(np.uint8)),))
    frame, track = carried_out(frame_of(filled, form, shown), labels, steps)

    left, _ = track.finish(_ALL)
    seen = seen_bounds(frame)
    if not left.boxes:
        assert seen is None or (seen[2] - seen[0]) * (seen[3] - seen[1]) < 3
        return
    box = left.boxes[0]
    # Of what is thinner than this, interpolation leaves too little to see.
    assume(min(box.width, box.height) > 3 and box.visible_share > 0.2)
    assert seen is not None
    bounds = (box.x, box.y, box.x + box.width, box.y + box.height)
    shape = shapely.union_all([shapely.make_valid(shapely.Polygon(ring)) for ring in left.polygons[0].rings])
    np.testing.assert_allclose(shape.bounds, bounds, atol=0.1)
    # Nearest pixels are half a pixel wrong at most, each time the frame is made.
    rows, columns = np.nonzero(left.masks[0].values)
    masked = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    for side, strip in enumerate(_outermost(*bounds)):
        # The same of tips.
        if shape.intersection(strip).area > 0.75:
            assert abs(seen[side] - bounds[side]) <= 1.0
            assert abs(masked[side] - bounds[side]) <= 1.0 + 2.0 * (len(motions(size, steps)) - 1)


def _outermost(x0: float, y0: float, x1: float, y1: float) -> tuple[Any, ...]:
    """The pixels along each side."""
    return (
        shapely.box(x0, y0, x0 + 1, y1),
        shapely.box(x0, y0, x1, y0 + 1),
        shapely.box(x1 - 1, y0, x1, y1),
        shapely.box(x0, y1 - 1, x1, y1),
    )
