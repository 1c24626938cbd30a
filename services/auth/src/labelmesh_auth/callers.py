"""Who a credential belongs to, and whether it is alive: one SQL statement for every call that is let through.

This is the hottest path of the mesh, so it goes past SQLAlchemy but for its pool: one round trip in autocommit, of a statement that is
planned already, on connections whose commits need not wait for the disk (a touch that a crash loses makes a session end earlier, never
later; revocations are written elsewhere, durably).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg2
from labelmesh_chassis.database import Database, translate
from labelmesh_chassis.errors import Unauthenticated, Unavailable
from labelmesh_chassis.identity import Role
from labelmesh_chassis.tracing import traced_statement
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from labelmesh_auth.sessions import SessionLimits

# A key's last use is known to within this; more exact would be a write for every call.
USE_RESOLUTION = timedelta(minutes=1)

_ALIVE = """
    s.id = $1 AND s.user_id = $2 AND u.id = s.user_id
    AND s.revoke_time IS NULL AND NOT u.disabled AND s.end_time > $3 AND s.last_seen_time > $4
"""
# Of: session id, account id, now, the time that the last activity must be after. A connection prepares them once: planning them would
# cost the database more than running them.
_PREPARE = f"""
PREPARE touch_session (uuid, uuid, timestamptz, timestamptz) AS
UPDATE sessions AS s SET last_seen_time = greatest(s.last_seen_time, $3) FROM users AS u
WHERE {_ALIVE}
RETURNING u.role, u.project_ids::text[];

PREPARE look_at_session (uuid, uuid, timestamptz, timestamptz) AS
SELECT u.role, u.project_ids::text[] FROM sessions AS s, users AS u WHERE {_ALIVE};

PREPARE use_key (bytea, timestamptz, timestamptz) AS
WITH used AS (
    UPDATE api_keys SET last_use_time = $2
    WHERE secret_hash = $1 AND revoke_time IS NULL AND (expire_time IS NULL OR expire_time > $2)
      AND (last_use_time IS NULL OR last_use_time <= $3)
)
SELECT k.id::text, k.owner_user_id::text, k.scopes, k.project_ids::text[], k.revoke_time IS NOT NULL,
       coalesce(k.expire_time <= $2, false), u.role, u.disabled, u.project_ids::text[]
FROM api_keys AS k JOIN users AS u ON u.id = k.owner_user_id
WHERE k.secret_hash = $1
"""
_TOUCH = "EXECUTE touch_session (%s, %s, %s, %s)"
_LOOK = "EXECUTE look_at_session (%s, %s, %s, %s)"
_USE_KEY = "EXECUTE use_key (%s, %s, %s)"
_WHY_NOT = """
SELECT s.revoke_time IS NOT NULL, u.disabled FROM sessions AS s JOIN users AS u ON u.id = s.user_id
WHERE s.id = %s AND s.user_id = %s
"""
# What traces tell of them.
_TEXTS = {_WHY_NOT: _WHY_NOT} | {
    asked: prepared.partition(" AS\n")[2] for asked, prepared in zip((_TOUCH, _LOOK, _USE_KEY), _PREPARE.split("PREPARE ")[1:], strict=True)
}
# The prepared statement is not there or fits the tables no more (a migration): a new connection prepares it again.
_STALE = {"26000", "0A000"}
_CANCELLED = "57014"
# More than a pool holds.
_MOST_BROKEN = 201


@dataclass(frozen=True)
class SessionCaller:
    """The account of a live session."""

    role: Role
    project_ids: frozenset[str]


@dataclass(frozen=True)
class KeyCaller:
    """A live key and the account that it acts for. `owner_project_ids` are what the owner may see beside open projects."""

    key_id: str
    user_id: str
    scopes: frozenset[str]
    project_ids: frozenset[str]
    role: Role
    owner_project_ids: frozenset[str]


class Callers:
    """Finds callers in the database; every method raises Unavailable while the database is away.

    The database must be its own: its connections are in autocommit and hold prepared statements from the moment they are made, so a
    pooler between must keep sessions together (not pgbouncer's transaction mode).
    """

    def __init__(self, database: Database, limits: SessionLimits) -> None:
        event.listen(database.engine, "connect", _prepare)
        self._engine: Engine = database.engine
        self._limits = limits

    def of_session(self, session_id: str, user_id: str, now: datetime, *, touch: bool) -> SessionCaller:
        """The caller of a live session, which lives on from `now` with `touch`.

        Unauthenticated: SESSION_REVOKED when it was ended or its account disabled, SESSION_ENDED when time has ended it.
        """
        row = self._one(_TOUCH if touch else _LOOK, (session_id, user_id, now, now - self._limits.idle))
        if row is not None:
            return SessionCaller(Role(row[0]), frozenset(row[1]))
        why = self._one(_WHY_NOT, (session_id, user_id))
        if why is None or why[0] or why[1]:
            raise Unauthenticated("SESSION_REVOKED", "this session was ended; sign in again")
        raise Unauthenticated("SESSION_ENDED", "the session has ended; sign in again")

    def of_key(self, secret_hash: bytes, now: datetime) -> KeyCaller:
        """The caller of a live key. Unauthenticated: API_KEY_INVALID, API_KEY_REVOKED, API_KEY_EXPIRED, ACCOUNT_DISABLED."""
        row = self._one(_USE_KEY, (secret_hash, now, now - USE_RESOLUTION))
        if row is None:
            raise Unauthenticated("API_KEY_INVALID", "there is no such API key")
        key_id, user_id, scopes, project_ids, revoked, expired, role, disabled, owner_project_ids = row
        if revoked:
            raise Unauthenticated("API_KEY_REVOKED", "this API key was revoked")
        if expired:
            raise Unauthenticated("API_KEY_EXPIRED", "this API key has expired")
        if disabled:
            raise Unauthenticated("ACCOUNT_DISABLED", "the account that this API key belongs to is disabled")
        return KeyCaller(key_id, user_id, frozenset(scopes), frozenset(project_ids), Role(role), frozenset(owner_project_ids))

    def _one(self, statement: str, given: Sequence[Any]) -> Sequence[Any] | None:
        # After a restart of the database every pooled connection is broken; each statement here may run twice.
        for _ in range(_MOST_BROKEN):
            try:
                connection = self._engine.raw_connection()
            except (psycopg2.Error, PoolTimeout) as failure:
                raise _safe(failure, broken=True) from failure
            try:
                with traced_statement(_TEXTS[statement]), closing(connection.cursor()) as cursor:
                    cursor.execute(statement, given)
                    found: Sequence[Any] | None = cursor.fetchone()
                    return found
            except psycopg2.Error as failure:
                broken = isinstance(failure, psycopg2.InterfaceError | psycopg2.OperationalError) and failure.pgcode != _CANCELLED
                if not broken and failure.pgcode not in _STALE:
                    raise _safe(failure, broken=False) from failure
                connection.invalidate(failure)
            finally:
                connection.close()
        raise Unavailable("DATABASE_UNAVAILABLE", "the database is away; try again soon", retry_after=1)


def _prepare(connection: Any, _record: object) -> None:
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(_PREPARE)


def _safe(failure: psycopg2.Error | PoolTimeout, *, broken: bool) -> Exception:
    """What may leave here instead of a driver's error."""
    if isinstance(failure, PoolTimeout):
        return translate(failure)
    return translate(DBAPIError(None, None, failure, connection_invalidated=broken))
