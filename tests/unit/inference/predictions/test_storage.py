"""Ids of predictions are in the order of time; decoders of large pictures wait for room."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

from labelmesh_inference.predictions.pictures import DecoderGate
from labelmesh_inference.predictions.storage import first_id, new_ids


def test_ids_are_of_version_7_and_in_the_order_of_time_and_of_their_group() -> None:
    before = datetime.now(UTC)
    ids = [UUID(each) for _ in range(3) for each in new_ids(1024)]
    assert len(set(ids)) == len(ids)
    assert {(each.version, each.variant) for each in ids} == {(7, "specified in RFC 4122")}
    for start in range(0, len(ids), 1024):
        group = ids[start : start + 1024]
        assert group == sorted(group)
    assert first_id(before) <= min(ids) and max(ids) < first_id(datetime.now(UTC) + timedelta(milliseconds=2))


def test_large_pictures_wait_for_each_other_and_small_ones_do_not() -> None:
    gate = DecoderGate(most_pixels=1_000_000, most_decoders=8)
    entered, leave = threading.Event(), threading.Event()

    def decode() -> None:
        with gate.room(900_000):
            entered.set()
            leave.wait(5)

    first = threading.Thread(target=decode)
    first.start()
    assert entered.wait(5)
    with gate.room(100):
        pass
    entered.clear()
    second = threading.Thread(target=decode)
    second.start()
    assert not entered.wait(0.1)
    leave.set()
    assert entered.wait(5)
    first.join(5)
    second.join(5)
