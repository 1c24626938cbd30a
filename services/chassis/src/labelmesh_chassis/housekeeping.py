"""What is cleared away in the background, in small steps, by one process at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import MeshError

_log = logging.getLogger(__name__)
_MINE = text("SELECT pg_try_advisory_xact_lock(:key)")

# Clears away up to a number of things in the transaction it is given, and says how many these were.
Sweep = Callable[[Connection], int]


class Housekeeper:
    """Runs every sweep in rounds, `interval_s` seconds after one another, between `start` and `stop`.

    `lock_key` names the service to the database: of its processes, one sweeps at a time.
    """

    def __init__(self, database: Database, sweeps: Sequence[Sweep], *, lock_key: int, interval_s: float = 60) -> None:
        self._database = database
        self._sweeps = tuple(sweeps)
        self._lock_key = lock_key
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=10)

    def sweep(self) -> None:
        """One round: each sweep again and again, every time in a transaction of its own, until nothing is left to clear away.

        A round that takes longer than `interval_s` ends with one more step of each sweep, so that none keeps the others from theirs. What
        another process does at the same moment is left to it.
        """
        ends = time.monotonic() + self._interval_s
        for sweep in self._sweeps:
            while self._step(sweep) and time.monotonic() < ends and not self._stopping.is_set():
                pass

    def _step(self, sweep: Sweep) -> int:
        with self._database.connection() as connection:
            return sweep(connection) if connection.execute(_MINE, {"key": self._lock_key}).scalar_one() else 0

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self.sweep()
            except (MeshError, SQLAlchemyError):
                _log.warning("sweeping failed; it is tried again", exc_info=True)
