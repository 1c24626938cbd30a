"""One call, one transaction, tried again when somebody else was at the same rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from labelmesh_chassis import transactions
from labelmesh_chassis.database import Database
from sqlalchemy import Connection

_RACES = {"requests_pkey", "models_pkey", "model_versions_pkey", "routings_pkey", "trainings_running", "trainings_version"}

Outcome = TypeVar("Outcome")


def carry_out(database: Database, work: Callable[[Connection], Outcome]) -> Outcome:
    """Runs `work` in a transaction of its own, again where another call did the same thing at the same moment."""
    return transactions.carry_out(database, work, races=_RACES)
