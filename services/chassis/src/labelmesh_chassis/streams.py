"""Streams keep a worker busy for as long as they last: each ends in time, and those who watch the same thing share one answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from labelmesh_chassis.errors import ResourceExhausted, Unavailable

# A stream ends this long after it began at the latest, in seconds; the caller's identity may end it before.
LONGEST_S = 55.0
# A watched thing is asked about so often, in seconds, however many watch it.
WATCH_INTERVAL_S = 1.0

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")


def stream_end(identity_expires_at: float, deadline_s: float | None) -> float:
    """When a stream that begins now must end, on the monotonic clock: before the identity, the caller's deadline and a minute are over."""
    left = min(LONGEST_S, identity_expires_at - time.time(), (LONGEST_S if deadline_s is None else deadline_s) - 1)
    return time.monotonic() + left


def renew() -> Unavailable:
    """What ends a stream that has more to say."""
    return Unavailable("STREAM_RENEW", "the stream has reached its length; call again with the last cursor", retry_after=0)


@dataclass
class _Watched(Generic[Found]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    watchers: int = 0
    asked_at: float = float("-inf")
    found: Found | None = None


class Feed(Generic[Key, Found]):
    """Shares one answer a second among all who watch the same thing. `load` finds it out."""

    def __init__(self, load: Callable[[Key], Found], *, most_watchers: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._load = load
        self._most_watchers = most_watchers
        self._clock = clock
        self._lock = threading.Lock()
        self._watched: dict[Key, _Watched[Found]] = {}
        self._watchers = 0

    @contextmanager
    def watch(self, key: Key) -> Iterator[Callable[[], Found]]:
        """Begins to watch, and gives what tells how it stands, at most a second old.

        ResourceExhausted (TOO_MANY_WATCHERS) when this process serves as many watchers as it can.
        """
        with self._lock:
            if self._watchers >= self._most_watchers:
                raise ResourceExhausted("TOO_MANY_WATCHERS", "too many watch at once; ask now and then instead", retry_after=5)
            self._watchers += 1
            watched = self._watched.setdefault(key, _Watched())
            watched.watchers += 1
        try:
            yield lambda: self._latest(key, watched)
        finally:
            with self._lock:
                self._watchers -= 1
                watched.watchers -= 1
                if watched.watchers == 0:
                    del self._watched[key]

    def _latest(self, key: Key, watched: _Watched[Found]) -> Found:
        with watched.lock:
            now = self._clock()
            if watched.found is None or now - watched.asked_at >= WATCH_INTERVAL_S:
                watched.found = self._load(key)
                watched.asked_at = now
            return watched.found
