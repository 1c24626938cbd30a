"""One call, one transaction, tried again when somebody else was at the same rows."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import Aborted
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

ATTEMPTS = 6
# Two calls did the same thing at the same moment; the one that lost finds what the other did when it starts over.
_RACES = {"requests_pkey", "models_pkey", "model_versions_pkey", "routings_pkey", "trainings_running", "trainings_version"}

Outcome = TypeVar("Outcome")


def carry_out(database: Database, work: Callable[[Connection], Outcome]) -> Outcome:
    """Runs `work` in a transaction of its own, up to 6 times while others get in its way; Aborted (CONCURRENT_CHANGE) after that."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with database.connection() as connection:
                return work(connection)
        except IntegrityError as failure:
            if _constraint(failure) not in _RACES:
                raise
        except Aborted as failure:
            if failure.reason != "CONCURRENT_CHANGE":
                raise
        time.sleep(random.uniform(0, 0.01 * attempt))
    raise Aborted("CONCURRENT_CHANGE", "others changed the same thing again and again; try again", retry_after=0.2)


def _constraint(failure: IntegrityError) -> str:
    diagnostics = getattr(failure.orig, "diag", None)
    return str(getattr(diagnostics, "constraint_name", ""))
