"""What is cleared away in the background: old answers, ended leases, files of imports that broke off. In small steps, by one process."""

from __future__ import annotations

import logging
import threading

from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import MeshError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from labelmesh_labeling.answers import sweep_answers
from labelmesh_labeling.images import Objects, sweep_abandoned
from labelmesh_labeling.leases import sweep_ended

_log = logging.getLogger(__name__)
_BATCH = 1000
_LOCK_KEY = 0x6C61626C73776570
_MINE = text("SELECT pg_try_advisory_xact_lock(:key)")


class Housekeeper:
    """Sweeps every `interval_s` seconds between `start` and `stop`."""

    def __init__(self, database: Database, objects: Objects, *, interval_s: float = 60) -> None:
        self._database = database
        self._objects = objects
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=10)

    def sweep(self) -> None:
        """One round; another process's round at the same time makes this one skip what it would do twice."""
        with self._database.transaction() as session:
            if not session.execute(_MINE, {"key": _LOCK_KEY}).scalar_one():
                return
            sweep_answers(session, limit=_BATCH)
            sweep_ended(session, limit=_BATCH)
        sweep_abandoned(self._database, self._objects)

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self.sweep()
            except (MeshError, SQLAlchemyError):
                _log.warning("sweeping failed; it is tried again", exc_info=True)
