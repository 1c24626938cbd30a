"""Streams that keep a worker busy for as long as they last: no more than some at once, and none without an end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from labelmesh_chassis.errors import ResourceExhausted, Unavailable

# A stream ends this long after it began at the latest, in seconds; the caller's identity may end it before.
LONGEST_S = 55.0


def stream_end(identity_expires_at: float, deadline_s: float | None) -> float:
    """When a stream that begins now must end, on the monotonic clock: before the identity, the caller's deadline and a minute are over."""
    left = min(LONGEST_S, identity_expires_at - time.time(), (deadline_s or LONGEST_S) - 1)
    return time.monotonic() + left


def renew() -> Unavailable:
    """What ends a stream that has more to say."""
    return Unavailable("STREAM_RENEW", "the stream has reached its length; call again with the last cursor", retry_after=0)


class StreamGate:
    """Lets so many through at once."""

    def __init__(self, most: int) -> None:
        self._places = threading.Semaphore(most)

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Holds a place; ResourceExhausted (TOO_MANY_STREAMS) when there is none."""
        if not self._places.acquire(blocking=False):
            raise ResourceExhausted("TOO_MANY_STREAMS", "too many read labels at once; try again soon", retry_after=5)
        try:
            yield
        finally:
            self._places.release()
