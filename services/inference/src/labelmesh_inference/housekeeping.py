"""What is cleared away in the background, in small steps, by one process at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import MeshError
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

_log = logging.getLogger(__name__)
_LOCK_KEY = 0x696E66737765
_MINE = text("SELECT pg_try_advisory_xact_lock(:key)")

# Clears away up to a number of things in the transaction it is given, and says how many these were.
Sweep = Callable[[Connection], int]


class Housekeeper:
    """Runs every sweep once in `interval_s` seconds, each in a transaction of its own, between `start` and `stop`."""

    def __init__(self, database: Database, sweeps: Sequence[Sweep], *, interval_s: float = 60) -> None:
        self._database = database
        self._sweeps = tuple(sweeps)
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=10)

    def sweep(self) -> None:
        """One round; what another process does at the same moment is left to it."""
        for sweep in self._sweeps:
            with self._database.connection() as connection:
                if connection.execute(_MINE, {"key": _LOCK_KEY}).scalar_one():
                    sweep(connection)

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self.sweep()
            except (MeshError, SQLAlchemyError):
                _log.warning("sweeping failed; it is tried again", exc_info=True)
