"""Watching costs one question a second, however many watch, and streams end in time."""

from __future__ import annotations

import time

import pytest
from labelmesh_chassis.errors import NotFound, ResourceExhausted
from labelmesh_chassis.streams import LONGEST_S, Feed, stream_end


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Counting:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, key: str) -> int:
        self.asked.append(key)
        return len(self.asked)


def test_watchers_of_the_same_thing_share_one_answer_a_second() -> None:
    clock, counting = Clock(), Counting()
    feed = Feed(counting, most_watchers=10, clock=clock)
    with feed.watch("one") as first, feed.watch("one") as second, feed.watch("other") as other:
        assert first() == second() == 1
        other()
        assert counting.asked == ["one", "other"]
        clock.now += 0.9
        assert first() == 1
        clock.now += 0.2
        assert first() == second() == 3


def test_a_watcher_that_leaves_makes_room_for_another_and_is_forgotten() -> None:
    feed = Feed(Counting(), most_watchers=1)
    with feed.watch("one") as latest:
        assert latest() == 1
        with pytest.raises(ResourceExhausted) as caught, feed.watch("other"):
            pass
    assert caught.value.reason == "TOO_MANY_WATCHERS"
    with feed.watch("one") as latest:
        assert latest() == 2


def test_what_cannot_be_watched_says_so_and_leaves_no_watcher() -> None:
    def missing(key: str) -> int:
        raise NotFound("NOT_THERE", "there is none")

    feed = Feed(missing, most_watchers=1)
    for _ in range(2):
        with pytest.raises(NotFound), feed.watch("one") as latest:
            latest()


def test_a_stream_ends_before_the_identity_the_deadline_and_a_minute() -> None:
    now, wall = time.monotonic(), time.time()
    assert stream_end(wall + 1000, None) == pytest.approx(now + min(LONGEST_S, 54), abs=1.1)
    assert stream_end(wall + 20, None) == pytest.approx(now + 20, abs=0.5)
    assert stream_end(wall + 1000, 5) == pytest.approx(now + 4, abs=0.5)
