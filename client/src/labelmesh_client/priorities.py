"""Setting the order of a project's queue, for a few images or for millions."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Iterator

from labelmesh.labeling.v1 import images_pb2

from labelmesh_client.batches import in_batches
from labelmesh_client.errors import LabelmeshError, Unavailable
from labelmesh_client.services import Services

#: What one unary call takes; more goes over streams.
UNARY_LIMIT = 5000
_MESSAGE_SIZE = 1000
#: A stream is ended by us well before the server would end it (60 s), and holds no more than this many messages for a resend.
_STREAM_SECONDS = 30.0
_STREAM_MESSAGES = 200
_DEADLINE_S = 60.0
_MAX_PAUSE_S = 5.0


def set_priorities(services: Services, project_id: str, priorities: Iterable[tuple[str, float]], *, patience_s: float = 60.0) -> int:
    """Sets the priority of images by id; higher is earlier. Returns how many were set.

    The very next call for an image obeys. Up to 5,000 pairs are one call and all or nothing. More are applied in order, a thousand at a
    time; when that stops with an error, a beginning of them has been applied and the whole can safely be sent again. A stream that breaks
    is sent again from its start, for `patience_s` seconds without progress.
    Each image stands in there once: the server refuses a call that names one twice with different priorities.
    Raises NotFound naming images the project does not have, ValueError for a priority that is not finite.
    """
    batches = in_batches(map(_checked, priorities), UNARY_LIMIT)
    first = next(batches, [])
    if not first:
        return 0
    request = images_pb2.SetPrioritiesRequest(project_id=project_id, priorities=first)
    done = services.images.SetPriorities(request).set_count
    messages = (
        images_pb2.StreamPrioritiesRequest(project_id=project_id, priorities=part)
        for batch in batches
        for part in in_batches(batch, _MESSAGE_SIZE)
    )
    for message in messages:
        done += _stream(services, message, messages, patience_s)
    return done


def _checked(pair: tuple[str, float]) -> images_pb2.ImagePriority:
    image_id, priority = pair
    if not math.isfinite(priority):
        raise ValueError(f"the priority of image {image_id} is {priority}; it must be a finite number")
    return images_pb2.ImagePriority(image_id=image_id, priority=priority)


def _stream(
    services: Services, first: images_pb2.StreamPrioritiesRequest, rest: Iterator[images_pb2.StreamPrioritiesRequest], patience_s: float
) -> int:
    """Sends one stream's worth of messages, taking more from `rest` while time and room remain; repeats it while the server is away."""
    taken = [first]
    give_up = time.monotonic() + patience_s
    pause = 0.1
    while True:
        source = _Feed(taken, rest)
        try:
            return services.images.StreamPriorities(iter(source), timeout=_DEADLINE_S).set_count
        except Unavailable as error:
            source.stop()
            if time.monotonic() + pause > give_up:
                raise
            services.connection.pause(max(pause, error.retry_after or 0.0))
            pause = min(pause * 2, _MAX_PAUSE_S)
            rest = iter(())  # only what was sent already goes again
        except LabelmeshError:
            if source.failure is not None:
                raise source.failure from None
            raise
        finally:
            source.stop()


class _Feed:
    """The messages of one stream, which grpc reads on a thread of its own.

    Keeps what it handed out for a resend, takes nothing more once stopped (also from a thread that outlives its call), and remembers what
    went wrong in the caller's own iterator, which grpc would hide.
    """

    def __init__(self, taken: list[images_pb2.StreamPrioritiesRequest], rest: Iterator[images_pb2.StreamPrioritiesRequest]) -> None:
        self._taken = taken
        self._rest = rest
        self._lock = threading.Lock()
        self._stopped = False
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[images_pb2.StreamPrioritiesRequest]:
        until = time.monotonic() + _STREAM_SECONDS
        yield from list(self._taken)
        while time.monotonic() < until and (message := self._take()) is not None:
            yield message

    def _take(self) -> images_pb2.StreamPrioritiesRequest | None:
        with self._lock:
            if self._stopped or len(self._taken) >= _STREAM_MESSAGES:
                return None
            try:
                message = next(self._rest, None)
            except Exception as error:
                self.failure = error
                raise
            if message is not None:
                self._taken.append(message)
            return message

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
