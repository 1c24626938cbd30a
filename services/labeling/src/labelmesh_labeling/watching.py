"""Watching a project's numbers: however many watch, the database is asked once a second and project at most."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from labelmesh_chassis.errors import ResourceExhausted

from labelmesh_labeling.statistics import ProjectStatistics

INTERVAL_S = 1.0


@dataclass
class _Watched:
    lock: threading.Lock = field(default_factory=threading.Lock)
    watchers: int = 0
    asked_at: float = float("-inf")
    found: ProjectStatistics | None = None


class StatisticsFeed:
    """Shares one answer a second among all who watch a project. `load` asks the database."""

    def __init__(
        self, load: Callable[[UUID], ProjectStatistics], *, most_watchers: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._load = load
        self._most_watchers = most_watchers
        self._clock = clock
        self._lock = threading.Lock()
        self._watched: dict[UUID, _Watched] = {}
        self._watchers = 0

    def open(self, project_id: UUID) -> Watch:
        """Begins to watch; ResourceExhausted (TOO_MANY_WATCHERS) when this process serves as many watchers as it can."""
        with self._lock:
            if self._watchers >= self._most_watchers:
                raise ResourceExhausted("TOO_MANY_WATCHERS", "too many watch at once; ask for the statistics instead", retry_after=5)
            self._watchers += 1
            watched = self._watched.setdefault(project_id, _Watched())
            watched.watchers += 1
        return Watch(self, project_id)

    def latest(self, project_id: UUID) -> ProjectStatistics:
        """The numbers, at most a second old."""
        watched = self._watched[project_id]
        with watched.lock:
            now = self._clock()
            if watched.found is None or now - watched.asked_at >= INTERVAL_S:
                watched.found = self._load(project_id)
                watched.asked_at = now
            return watched.found

    def close(self, project_id: UUID) -> None:
        """Ends one watcher's watch."""
        with self._lock:
            self._watchers -= 1
            watched = self._watched[project_id]
            watched.watchers -= 1
            if watched.watchers == 0:
                del self._watched[project_id]


class Watch:
    """One watcher; a context manager."""

    def __init__(self, feed: StatisticsFeed, project_id: UUID) -> None:
        self._feed = feed
        self._project_id = project_id

    def latest(self) -> ProjectStatistics:
        """The numbers, at most a second old."""
        return self._feed.latest(self._project_id)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self._feed.close(self._project_id)
