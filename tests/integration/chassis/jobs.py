"""What the workers of tests do: whatever the first part of a job says."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from labelmesh_chassis.errors import InvalidArgument
from labelmesh_chassis.worker import Handler, Task


def make() -> Handler:
    return handle


def make_slowly() -> Handler:
    """Takes a moment until it can work."""
    time.sleep(0.5)
    return handle


def make_nothing() -> Handler:
    """Cannot begin at all."""
    raise RuntimeError("this worker never starts")


def handle(task: Task) -> Sequence[bytes]:
    order, *parts = task.parts
    what, _, value = order.decode().partition(" ")
    return _JOBS[what](value, parts, task)


def _echo(value: str, parts: list[bytes], task: Task) -> Sequence[bytes]:
    return parts


def _sleep(value: str, parts: list[bytes], task: Task) -> Sequence[bytes]:
    time.sleep(float(value))
    return parts


def _pid(value: str, parts: list[bytes], task: Task) -> Sequence[bytes]:
    return (str(os.getpid()).encode(),)


def _left(value: str, parts: list[bytes], task: Task) -> Sequence[bytes]:
    return (str(task.seconds_left).encode(),)


def _refuse(value: str, parts: list[bytes], task: Task) -> Sequence[bytes]:
    raise InvalidArgument("REFUSED", "not like this", field="part", retry_after=2)


def _fail(value: str, parts: list[bytes], task: Task) -> Sequence[bytes]:
    raise ValueError("a secret of the inside")


def _die(value: str, parts: list[bytes], task: Task) -> Sequence[bytes]:
    os.kill(os.getpid(), signal.SIGSEGV)
    return ()


def _mark(value: str, parts: list[bytes], task: Task) -> Sequence[bytes]:
    """Leaves its process id in a file, and is in no hurry the first time."""
    first = not Path(value).exists()
    with Path(value).open("a") as file:
        file.write(f"{os.getpid()}\n")
    if first:
        time.sleep(60)
    return (b"done",)


def _take(value: str, parts: list[bytes], task: Task) -> Sequence[bytes]:
    """Wants so many MiB, and says how large the process is with them."""
    try:
        taken = bytearray(int(value) * 1024 * 1024)
    except MemoryError:
        return (b"no",)
    return (str(len(taken)).encode(),)


def _environment(value: str, parts: list[bytes], task: Task) -> Sequence[bytes]:
    return tuple(name.encode() for name in os.environ)


_JOBS = {
    "echo": _echo,
    "sleep": _sleep,
    "pid": _pid,
    "left": _left,
    "refuse": _refuse,
    "fail": _fail,
    "die": _die,
    "mark": _mark,
    "take": _take,
    "environment": _environment,
}
