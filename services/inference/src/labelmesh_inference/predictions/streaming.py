"""Groups of inputs as they come, answered in order, several in work at once: one is prepared while the model has another."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from labelmesh_chassis.errors import ResourceExhausted
from labelmesh_chassis.streams import renew

# Groups of one stream in work or waiting to be sent.
IN_WORK = 4
_STEP_S = 0.2

Message = TypeVar("Message")
Outcome = TypeVar("Outcome")


class Pipelines:
    """Runs streams, at most `most_streams` at once, each of which keeps a worker busy."""

    def __init__(self, *, most_streams: int) -> None:
        self._most_streams = most_streams
        self._streams = 0
        self._lock = threading.Lock()
        # As many as all streams can use: streams to a model that hangs leave the others theirs.
        self._pool = ThreadPoolExecutor(most_streams * IN_WORK, thread_name_prefix="group")

    def close(self) -> None:
        """Ends its threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def run(self, first: Message, messages: Iterator[Message], answer: Callable[[Message], Outcome], ends: float) -> Iterator[Outcome]:
        """The answers to a first message and those after it, in order; raises the first failure.

        At `ends` (monotonic seconds) no more messages are read; those read are answered, and then Unavailable (STREAM_RENEW) is raised.
        ResourceExhausted (TOO_MANY_STREAMS) when this process serves as many as it can.
        """
        with self._lock:
            if self._streams >= self._most_streams:
                raise ResourceExhausted("TOO_MANY_STREAMS", "too many streams at once; use PredictBatch or try again", retry_after=1)
            self._streams += 1
        try:
            yield from self._answers(first, messages, answer, ends)
        finally:
            with self._lock:
                self._streams -= 1

    def _answers(self, first: Message, messages: Iterator[Message], answer: Callable[[Message], Outcome], ends: float) -> Iterator[Outcome]:
        in_work: queue.Queue[Future[Outcome] | None] = queue.Queue()
        places = threading.Semaphore(IN_WORK)
        stopped = threading.Event()

        def submit(message: Message) -> bool:
            while not places.acquire(timeout=_STEP_S):
                if stopped.is_set() or time.monotonic() >= ends:
                    return False
            in_work.put(self._pool.submit(copy_context().run, answer, message))
            return True

        def read() -> None:
            try:
                for message in messages:
                    # What was read and not answered is sent again by the client.
                    if stopped.is_set() or time.monotonic() >= ends or not submit(message):
                        break
            except Exception as failure:
                failed: Future[Outcome] = Future()
                failed.set_exception(failure)
                in_work.put(failed)
            in_work.put(None)

        submit(first)
        reader = threading.Thread(target=copy_context().run, args=(read,), name="stream-reader", daemon=True)
        reader.start()
        try:
            while True:
                try:
                    future = in_work.get(timeout=max(0.0, ends - time.monotonic()))
                except queue.Empty:
                    raise renew() from None
                if future is None:
                    if time.monotonic() >= ends:
                        raise renew()
                    return
                outcome = future.result()
                places.release()
                yield outcome
        except CancelledError:
            raise renew() from None
        finally:
            stopped.set()
