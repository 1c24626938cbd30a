"""The worker's side of `workers`: a process that does one job after another for its parent, and ends with it.

`python -m labelmesh_chassis.worker SETTINGS`, with settings as JSON and a connected socket as an inherited file descriptor.

A message on the socket is a header, the lengths of its parts, and the parts (little-endian): nothing is escaped, joined or copied.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import logging
import os
import resource
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from labelmesh_chassis.errors import MeshError, to_status
from labelmesh_chassis.memory import keep_small_blocks, limit_arenas, return_free_memory, return_large_blocks, settle
from labelmesh_chassis.telemetry import configure_logging

# What an answer is.
READY, DONE, REFUSED, FAILED = range(4)
# No message is larger, in bytes and in parts.
MOST_BYTES = 1 << 30
MOST_PARTS = 4096
# Kind, seconds (those left for a job, those it took), number of parts.
_HEADER = struct.Struct("<BdI")
# The most pieces that one system call takes (IOV_MAX is 1024 everywhere that matters).
_PIECES = 512
_PR_SET_PDEATHSIG = 1
# A process that is larger than this between two jobs tries to give memory back.
_LARGE_BYTES = 256 * 1024 * 1024

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Task:
    """A job as its worker sees it: what was handed in, and how many seconds its caller will wait for it."""

    parts: tuple[bytes, ...]
    seconds_left: float


# Does a job. A MeshError that it raises is raised at the caller's; any other exception is logged and is a fault of ours.
Handler = Callable[[Task], Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker is told. `target` is "package.module:function", which takes nothing and makes the handler."""

    target: str
    service: str
    log_level: str
    # How much data it may have, 0 for any amount.
    memory_bytes: int
    parent: int
    socket: int


class Closed(Exception):
    """The other side is gone."""


def send(connection: socket.socket, kind: int, seconds: float, parts: Sequence[bytes]) -> None:
    """Writes a message; Closed where nobody reads any more."""
    lengths = struct.pack(f"<{len(parts)}Q", *map(len, parts))
    pieces = [memoryview(_HEADER.pack(kind, seconds, len(parts)) + lengths), *[memoryview(part) for part in parts if part]]
    try:
        while pieces:
            sent = connection.sendmsg(pieces[:_PIECES])
            while pieces and sent >= len(pieces[0]):
                sent -= len(pieces.pop(0))
            if sent:
                pieces[0] = pieces[0][sent:]
    except OSError as failure:
        raise Closed from failure


def receive(connection: socket.socket) -> tuple[int, float, tuple[bytes, ...]]:
    """Reads a message: kind, seconds, parts. Closed at the end, and where the other side says what cannot be."""
    kind, seconds, count = _HEADER.unpack(_exactly(connection, _HEADER.size))
    if count > MOST_PARTS:
        raise Closed
    lengths = struct.unpack(f"<{count}Q", _exactly(connection, 8 * count))
    if sum(lengths) > MOST_BYTES:
        raise Closed
    return kind, seconds, tuple([_exactly(connection, length) for length in lengths])


def _exactly(connection: socket.socket, length: int) -> bytes:
    if not length:
        return b""
    try:
        # Into one piece of memory of the right size, which a blocking socket mostly fills at once.
        data = connection.recv(length, socket.MSG_WAITALL)
        while len(data) < length:
            more = connection.recv(length - len(data), socket.MSG_WAITALL)
            if not more:
                raise Closed
            data += more
    except OSError as failure:
        raise Closed from failure
    return data


def command(settings: WorkerSettings) -> list[str]:
    """How a worker is started: with this interpreter and what was asked of it."""
    flags = ["-" + "O" * sys.flags.optimize] if sys.flags.optimize else []
    flags += ["-P"] if sys.flags.safe_path else []
    return [sys.executable, *flags, "-m", "labelmesh_chassis.worker", json.dumps(asdict(settings))]


def main() -> None:
    """Works until the parent closes the socket or dies."""
    settings = WorkerSettings(**json.loads(sys.argv[1]))
    _die_with(settings.parent)
    # A signal to everybody is the parent's to obey: it lets what is in work end, and closes the socket.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    _limit(settings.memory_bytes)
    configure_logging(settings.service, settings.log_level)
    limit_arenas()
    return_large_blocks()
    keep_small_blocks()
    with socket.socket(fileno=settings.socket) as connection:
        handler = _handler(settings.target)
        settle()
        try:
            send(connection, READY, 0, ())
            while True:
                _, seconds_left, parts = receive(connection)
                _work(connection, handler, Task(parts, seconds_left))
                del parts
                _tidy()
        except Closed:
            return


def _work(connection: socket.socket, handler: Handler, task: Task) -> None:
    started = time.perf_counter()
    kind, answer = DONE, cast("Sequence[bytes]", ())
    try:
        answer = handler(task)
    except MeshError as error:
        kind, answer = REFUSED, (to_status(error).SerializeToString(),)
    except Exception:
        _log.exception("a job failed by a fault of ours")
        kind = FAILED
    send(connection, kind, time.perf_counter() - started, answer)


def _handler(target: str) -> Handler:
    module, _, name = target.partition(":")
    make: Callable[[], Handler] = getattr(importlib.import_module(module), name)
    return make()


def _die_with(parent: int) -> None:
    """Has the kernel kill this process when its parent ends, however that ends. Where there is no such call, the closed socket tells."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(0)


def _limit(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_bytes and sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    try:
        # Where the machine has no memory left all the same, a worker goes first, not the service.
        Path("/proc/self/oom_score_adj").write_text("500")
    except OSError:
        return


def _tidy() -> None:
    try:
        resident = int(Path("/proc/self/statm").read_bytes().split()[1]) * resource.getpagesize()
    except OSError:
        return
    if resident > _LARGE_BYTES:
        gc.collect()
        return_free_memory()


if __name__ == "__main__":
    main()
