"""What workers do to pictures whose content says what becomes of them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence

from labelmesh_augment.work.orders import unpacked
from labelmesh_augment.work.wire import stream_result
from labelmesh_chassis.errors import InvalidArgument
from labelmesh_chassis.worker import Handler, Task


def make() -> Handler:
    return handle


def handle(task: Task) -> Sequence[bytes]:
    """b"die": the worker; b"fail": with an exception that nobody thought of; b"0.2": takes that long."""
    answers = []
    for order in unpacked(task.parts):
        fate = order.pictures[0].content
        if fate == b"die":
            os.kill(os.getpid(), signal.SIGKILL)
        if fate == b"fail":
            raise ValueError("a fault")
        time.sleep(float(fate))
        done = InvalidArgument("DONE", fate.decode())
        answers += [stream_result(order.index, copy, done).SerializeToString() for copy in order.copies]
    return answers
