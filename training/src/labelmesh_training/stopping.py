"""Ctrl-C and SIGTERM, taken where they do no harm."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether somebody wants it to end. A signal raises KeyboardInterrupt where the program is, but not within `deferred`.

    There it only sets what `asked` says: an exception in the midst of TensorFlow's callbacks gets lost, or becomes another one. A second
    signal is not put off.
    """

    def __init__(self) -> None:
        self._asked = False
        self._deferred = False

    def asked(self) -> bool:
        """Whether a signal came."""
        return self._asked

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Code that asks `asked` often by itself, or is done soon. Raises KeyboardInterrupt at its end if a signal came meanwhile."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self._asked:
            raise KeyboardInterrupt

    @contextmanager
    def by_signals(self) -> Iterator[None]:
        """Listens to SIGINT and SIGTERM; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        is_first, self._asked = not self._asked, True
        if not (is_first and self._deferred):
            raise KeyboardInterrupt
