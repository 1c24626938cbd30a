"""One call, one transaction, tried again when somebody else was at the same rows."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import Aborted

ATTEMPTS = 6

Outcome = TypeVar("Outcome")


def carry_out(database: Database, work: Callable[[Connection], Outcome], *, races: Collection[str]) -> Outcome:
    """Runs `work` in a transaction of its own, up to 6 times while others get in its way; Aborted (CONCURRENT_CHANGE) after that.

    `races` are the constraints that two calls run into which do the same thing at the same moment: the one that lost finds what the other
    did when it starts over.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with database.connection() as connection:
                return work(connection)
        except IntegrityError as failure:
            if _constraint(failure) not in races:
                raise
        except Aborted as failure:
            if failure.reason != "CONCURRENT_CHANGE":
                raise
        time.sleep(random.uniform(0, 0.01 * attempt))
    raise Aborted("CONCURRENT_CHANGE", "others changed the same thing again and again; try again", retry_after=0.2)


def _constraint(failure: IntegrityError) -> str:
    diagnostics = getattr(failure.orig, "diag", None)
    return str(getattr(diagnostics, "constraint_name", ""))
