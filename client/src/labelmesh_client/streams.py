"""Streams of the server that end within a minute by design, read as if they had no end; and calls for what takes its time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from labelmesh_client.connection import Connection
from labelmesh_client.errors import DeadlineExceeded, ResourceExhausted, Unauthenticated, Unavailable

T = TypeVar("T")

#: How the server ends a stream that it wants asked for anew.
RENEW = "STREAM_RENEW"
_FIRST_PAUSE_S = 0.2
_MAX_PAUSE_S = 5.0


def resumed(connection: Connection, ask: Callable[[], Iterator[T]], revive: Callable[[], object], *, patience_s: float) -> Iterator[T]:
    """The messages of `ask()`, which is called again whenever its stream breaks, until one comes to its own end.

    `ask` reads the place to go on from where the reader of these messages keeps it, so that nothing is missed or shown twice. While the
    server is away or busy that is tried for `patience_s` seconds without a message; then its error is raised. `revive` is a plain call
    that opens another session where the one in use has ended and there is a password; it raises where there is none.
    """
    give_up: float | None = None
    pause = _FIRST_PAUSE_S
    while True:
        try:
            for message in ask():
                give_up, pause = None, _FIRST_PAUSE_S
                yield message
            return
        except (Unavailable, DeadlineExceeded, ResourceExhausted) as error:
            if error.reason == RENEW:
                give_up, pause = None, _FIRST_PAUSE_S
                continue
            if isinstance(error, ResourceExhausted) and error.retry_after is None:
                raise
            wait = max(pause, error.retry_after or 0.0)
            give_up = give_up if give_up is not None else time.monotonic() + patience_s
            if time.monotonic() + wait > give_up:
                raise
        except Unauthenticated:
            revive()
            wait = pause
        connection.pause(wait)
        pause = min(pause * 2, _MAX_PAUSE_S)


def patiently(connection: Connection, call: Callable[[], T], *, patience_s: float) -> T:
    """The answer of a repeatable call, which is made again on Unavailable and DeadlineExceeded for `patience_s` seconds."""
    give_up = time.monotonic() + patience_s
    pause = _FIRST_PAUSE_S
    while True:
        try:
            return call()
        except (Unavailable, DeadlineExceeded) as error:
            wait = max(pause, error.retry_after or 0.0)
            if time.monotonic() + wait > give_up:
                raise
            connection.pause(wait)
            pause = min(pause * 1.5, 2.0)
