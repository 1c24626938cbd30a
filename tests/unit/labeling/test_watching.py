"""Watching costs one question a second, however many watch."""

from __future__ import annotations

import uuid

import pytest
from labelmesh_chassis.errors import ResourceExhausted
from labelmesh_labeling.statistics import ProjectStatistics
from labelmesh_labeling.watching import StatisticsFeed

PROJECT, OTHER = uuid.uuid4(), uuid.uuid4()


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Numbers:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[uuid.UUID] = []

    def __call__(self, project_id: uuid.UUID) -> ProjectStatistics:
        self.asked.append(project_id)
        return ProjectStatistics(10, len(self.asked), 0, 0, 0)


def test_watchers_of_a_project_share_one_answer_a_second() -> None:
    clock, numbers = Clock(), Numbers()
    feed = StatisticsFeed(numbers, most_watchers=10, clock=clock)
    with feed.open(PROJECT) as first, feed.open(PROJECT) as second, feed.open(OTHER) as other:
        assert first.latest() is second.latest()
        other.latest()
        assert numbers.asked == [PROJECT, OTHER]
        clock.now += 0.9
        first.latest()
        assert len(numbers.asked) == 2
        clock.now += 0.2
        assert first.latest().images_completed == 3
        assert second.latest().images_completed == 3


def test_a_watcher_that_leaves_makes_room_for_another() -> None:
    feed = StatisticsFeed(Numbers(), most_watchers=1)
    with feed.open(PROJECT), pytest.raises(ResourceExhausted):
        feed.open(OTHER)
    with feed.open(OTHER) as watch:
        assert watch.latest()


def test_the_same_numbers_have_the_same_cursor_and_others_another() -> None:
    assert ProjectStatistics(1, 2, 3, 4, 5).cursor == ProjectStatistics(1, 2, 3, 4, 5).cursor
    assert ProjectStatistics(1, 2, 3, 4, 5).cursor != ProjectStatistics(1, 2, 3, 4, 6).cursor
    assert ProjectStatistics(12, 3, 0, 0, 0).cursor != ProjectStatistics(1, 23, 0, 0, 0).cursor
