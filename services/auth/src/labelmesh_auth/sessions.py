"""Sessions of people: started by a sign-in, ended by time without activity, by their absolute end, or by being revoked."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from labelmesh_chassis.errors import Unauthenticated
from sqlalchemy import ColumnElement, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session as Db

from labelmesh_auth import audit
from labelmesh_auth.audit import Actor
from labelmesh_auth.tables import SessionRow


@dataclass(frozen=True)
class SessionLimits:
    """When sessions end: `idle` after the last activity, `absolute` after the sign-in at the latest."""

    idle: timedelta = timedelta(seconds=120)
    absolute: timedelta = timedelta(hours=12)


@dataclass(frozen=True)
class Session:
    """A sign-in of an account."""

    id: uuid.UUID
    user_id: uuid.UUID
    create_time: datetime
    last_seen_time: datetime
    end_time: datetime


def start(db: Db, user_id: uuid.UUID, address: str, limits: SessionLimits, now: datetime) -> Session:
    """Starts a session of an account."""
    row = SessionRow(id=uuid.uuid4(), user_id=user_id, create_time=now, last_seen_time=now, end_time=now + limits.absolute, address=address)
    db.add(row)
    db.flush()
    return _session(row)


def get(db: Db, session_id: uuid.UUID) -> Session:
    """A session that was not revoked; Unauthenticated (SESSION_REVOKED) otherwise."""
    row = db.get(SessionRow, session_id)
    if row is None or row.revoke_time is not None:
        raise Unauthenticated("SESSION_REVOKED", "this session was ended; sign in again")
    return _session(row)


def sign_out(db: Db, session_id: uuid.UUID, actor: Actor, now: datetime) -> None:
    """Ends a session; ending it again changes nothing."""
    if _revoke(db, now, SessionRow.id == session_id):
        audit.record(db, actor, "session.sign_out", f"session:{session_id}", now)


def sign_out_everywhere(db: Db, user_id: uuid.UUID, limits: SessionLimits, actor: Actor, now: datetime) -> int:
    """Ends every session of an account; says how many of them were still alive."""
    alive = (SessionRow.user_id == user_id, SessionRow.end_time > now, SessionRow.last_seen_time > now - limits.idle)
    ended = _revoke(db, now, *alive)
    # Those that time has ended already are marked too: their clock might be set back, a revocation is for good.
    revoke_all(db, user_id, now)
    audit.record(db, actor, "session.sign_out_everywhere", f"user:{user_id}", now, {"sessions_ended": str(ended)})
    return ended


def revoke_all(db: Db, user_id: uuid.UUID, now: datetime, *, keep: uuid.UUID | None = None) -> int:
    """Ends every session of an account except `keep`; gives their number, with those that time had ended."""
    conditions = [SessionRow.user_id == user_id]
    if keep is not None:
        conditions.append(SessionRow.id != keep)
    return _revoke(db, now, *conditions)


def _revoke(db: Db, now: datetime, *conditions: ColumnElement[bool]) -> int:
    statement = update(SessionRow).where(SessionRow.revoke_time.is_(None), *conditions).values(revoke_time=now)
    result = db.execute(statement, execution_options={"synchronize_session": False})
    return result.rowcount if isinstance(result, CursorResult) else 0


def _session(row: SessionRow) -> Session:
    return Session(row.id, row.user_id, row.create_time, row.last_seen_time, row.end_time)
