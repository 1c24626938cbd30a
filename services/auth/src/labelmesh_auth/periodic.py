"""Work that is repeated in the background until it is stopped."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from labelmesh_chassis.tracing import kind_of

_log = logging.getLogger(__name__)


class Periodic:
    """Calls `work` every `interval_s` seconds in a thread of its own. A failure is logged and the next turn tries again."""

    def __init__(self, name: str, interval_s: float, work: Callable[[], object]) -> None:
        self._name = name
        self._interval_s = interval_s
        self._work = work
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Starts; the first turn comes after one interval."""
        self._thread.start()

    def stop(self, *, timeout_s: float = 5) -> None:
        """Asks the thread to end and waits for a turn that is running, at most `timeout_s` seconds."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self._work()
            except Exception as failure:
                # The usual one is a database that is away: a line, not a traceback every few seconds.
                _log.warning("background work failed", extra={"fields": {"work": self._name, "error": kind_of(failure)}})
