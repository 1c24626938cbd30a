"""What crosses to workers is what was asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelmesh.augment.v1 import labels_pb2 as lab
from labelmesh_augment.geometry.labels import Labels, Mask
from labelmesh_augment.work.orders import Order, Packed, Work, packed, unpacked
from labelmesh_augment.work.wire import labels_from, labels_message
from labelmesh_augment.work.worker import handle
from labelmesh_chassis.errors import InvalidArgument
from labelmesh_chassis.worker import Task

PICTURES = st.lists(st.builds(Packed, st.binary(max_size=20), st.binary(max_size=20)), min_size=1, max_size=9).map(tuple)
ORDERS = st.lists(
    st.builds(
        Order,
        st.sampled_from(Work),
        st.just(b"how"),
        PICTURES,
        st.integers(0, 2**32 - 1),
        st.lists(st.integers(0, 1_000_000), max_size=5).map(tuple),
        st.integers(0, 2**40),
        st.integers(0, 1024),
        st.booleans(),
    ),
    min_size=1,
    max_size=5,
)


@settings(derandomize=True, max_examples=50, deadline=None)
@given(ORDERS)
def test_orders_come_out_as_they_went_in(orders: list[Order]) -> None:
    assert unpacked(packed(orders)) == orders


def test_labels_come_out_as_they_went_in() -> None:
    ring = lab.Ring(points=[lab.Point(x=x, y=x * x) for x in range(4)])
    message = lab.Labels(
        boxes=[lab.Box(id="1", label="a", x=1.5, y=2, width=3, height=4, rotation=-30, oriented=True, visible_share=1, weight=1)],
        polygons=[lab.Polygon(id="2", label="b", rings=[ring, ring], visible_share=1, weight=1)],
        keypoints=[lab.Keypoint(id="3", label="c", x=5, y=6, visibility=lab.VISIBILITY_HIDDEN, weight=1)],
    )
    assert labels_message(labels_from(message.SerializeToString(), field="sample")) == message
    assert labels_message(labels_from(b"", field="sample")) == lab.Labels()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_masks_come_out_as_they_went_in(kind: type[np.uint8] | type[np.uint16]) -> None:
    values = np.arange(60, dtype=kind).reshape(6, 10)
    values[0, 0] = np.iinfo(kind).max
    sent = labels_message(Labels(masks=(Mask(values, "1", "ground"),)))
    (found,) = labels_from(sent.SerializeToString(), field="sample").masks
    assert (found.id, found.label) == ("1", "ground")
    assert found.values.dtype.type is kind
    assert np.array_equal(found.values, values)


def test_a_keypoint_of_which_nothing_is_said_can_be_seen() -> None:
    (point,) = labels_from(lab.Labels(keypoints=[lab.Keypoint(x=1, y=2)]).SerializeToString(), field="sample").keypoints
    assert point.visibility.value == lab.VISIBILITY_VISIBLE


def test_a_further_picture_that_is_bad_is_told_from_the_picture_itself() -> None:
    labels = lab.Labels(masks=[lab.Mask(png=b"no")]).SerializeToString()
    picture = b"\x89PNG"
    orders = [Order(Work.APPLY, b"", (Packed(picture), Packed(picture, labels)))]
    with pytest.raises(InvalidArgument) as refused:
        handle(Task(tuple(packed(orders)), 10))
    assert refused.value.violations[0].field in ("source", "sample.source", "sample")
