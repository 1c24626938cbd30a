"""Forgets what is no longer needed. Running it again, or in several replicas at once, changes nothing more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from labelmesh_chassis.database import Database
from sqlalchemy import ColumnElement, delete, select, text
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.orm import Session as Db

from labelmesh_auth import signing_keys
from labelmesh_auth.clock import Clock
from labelmesh_auth.tables import AuditEventRow, SessionRow, SignInFailureRow

_LOCK = 0x6C6D7377656570
_BATCH = 1000
# A run ends after this many batches of a table; the next one goes on.
_MAX_BATCHES = 200


@dataclass(frozen=True)
class Retention:
    """How long things are kept: sessions after their end, sign-in failures (at least the throttle's window), audit events."""

    sessions: timedelta = timedelta(days=1)
    failures: timedelta = timedelta(minutes=15)
    audit_events: timedelta = timedelta(days=400)


@dataclass(frozen=True)
class Swept:
    """How many rows went."""

    sessions: int = 0
    failures: int = 0
    audit_events: int = 0
    signing_keys: int = 0


def sweep(database: Database, retention: Retention, clock: Clock) -> Swept:
    """Deletes what is past its retention, in short transactions of at most 1,000 rows."""
    now = clock()
    return Swept(
        sessions=_in_batches(database, lambda db: _batch(db, SessionRow.id, SessionRow.end_time < now - retention.sessions)),
        failures=_in_batches(database, lambda db: _batch(db, SignInFailureRow.id, SignInFailureRow.time < now - retention.failures)),
        audit_events=_in_batches(database, lambda db: _batch(db, AuditEventRow.id, AuditEventRow.time < now - retention.audit_events)),
        signing_keys=_forget_keys(database, now),
    )


def _in_batches(database: Database, delete_batch: Callable[[Db], int]) -> int:
    total = 0
    for _ in range(_MAX_BATCHES):
        with database.transaction() as db:
            deleted = delete_batch(db) if _is_mine(db) else 0
        total += deleted
        if deleted < _BATCH:
            break
    return total


def _batch(db: Db, key: InstrumentedAttribute[int] | InstrumentedAttribute[object], condition: ColumnElement[bool]) -> int:
    chosen = select(key).where(condition).limit(_BATCH).scalar_subquery()
    gone = db.scalars(delete(key.class_).where(key.in_(chosen)).returning(key), execution_options={"synchronize_session": False}).all()
    return len(gone)


def _forget_keys(database: Database, now: datetime) -> int:
    with database.transaction() as db:
        return signing_keys.forget(db, now) if _is_mine(db) else 0


def _is_mine(db: Db) -> bool:
    """Whether no other replica is sweeping right now."""
    return bool(db.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}))
