"""Streams do not stand in each other's way."""

from __future__ import annotations

import threading
import time

from labelmesh_inference.predictions.streaming import IN_WORK, Pipelines


def test_streams_to_a_model_that_hangs_leave_the_others_theirs() -> None:
    pipelines, released, hanging = Pipelines(most_streams=6), threading.Event(), threading.Semaphore(0)
    ends = time.monotonic() + 10

    def hang(message: int) -> int:
        hanging.release()
        released.wait(10)
        return message

    def drain() -> None:
        assert list(pipelines.run(0, iter(range(1, IN_WORK)), hang, ends)) == list(range(IN_WORK))

    streams = [threading.Thread(target=drain) for _ in range(5)]
    try:
        for stream in streams:
            stream.start()
        for _ in range(5 * IN_WORK):
            assert hanging.acquire(timeout=5)
        started = time.monotonic()
        assert list(pipelines.run(0, iter(range(1, 20)), lambda message: message, ends)) == list(range(20))
        assert time.monotonic() - started < 2
    finally:
        released.set()
        for stream in streams:
            stream.join()
        pipelines.close()
