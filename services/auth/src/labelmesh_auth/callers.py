"""Who a credential belongs to, and whether it is alive: one SQL statement for every call that is let through.

This is the hottest path of the mesh, so it goes past the ORM: one round trip in autocommit, on connections whose commits need not wait for
the disk (a touch that a crash loses makes a session end earlier, never later; revocations are written elsewhere, durably).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from labelmesh_chassis.database import Database, translate
from labelmesh_chassis.errors import Unauthenticated
from labelmesh_chassis.identity import Role
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from labelmesh_auth.sessions import SessionLimits

# A key's last use is known to within this; more exact would be a write for every call.
USE_RESOLUTION = timedelta(minutes=1)

_ALIVE = """
    s.id = %(session_id)s AND s.user_id = %(user_id)s AND u.id = s.user_id
    AND s.revoke_time IS NULL AND NOT u.disabled AND s.end_time > %(now)s AND s.last_seen_time > %(idle_since)s
"""
_TOUCH = f"""
UPDATE sessions AS s SET last_seen_time = greatest(s.last_seen_time, %(now)s) FROM users AS u
WHERE {_ALIVE}
RETURNING u.role, u.project_ids::text[]
"""
_LOOK = f"SELECT u.role, u.project_ids::text[] FROM sessions AS s, users AS u WHERE {_ALIVE}"
_WHY_NOT = """
SELECT s.revoke_time IS NOT NULL, u.disabled FROM sessions AS s JOIN users AS u ON u.id = s.user_id
WHERE s.id = %(session_id)s AND s.user_id = %(user_id)s
"""
_USE_KEY = """
WITH used AS (
    UPDATE api_keys SET last_use_time = %(now)s
    WHERE secret_hash = %(secret_hash)s AND revoke_time IS NULL AND (expire_time IS NULL OR expire_time > %(now)s)
      AND (last_use_time IS NULL OR last_use_time <= %(used_since)s)
)
SELECT k.id::text, k.owner_user_id::text, k.scopes, k.project_ids::text[], k.revoke_time IS NOT NULL,
       coalesce(k.expire_time <= %(now)s, false), u.role, u.disabled, u.project_ids::text[]
FROM api_keys AS k JOIN users AS u ON u.id = k.owner_user_id
WHERE k.secret_hash = %(secret_hash)s
"""


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

    The database must be its own: its connections are put into autocommit when they are made. (Doing that for each statement would be
    undone after it, which fails with a bare driver error on a connection that broke meanwhile.)
    """

    def __init__(self, database: Database, limits: SessionLimits) -> None:
        event.listen(database.engine, "connect", _set_autocommit)
        self._engine: Engine = database.engine
        self._limits = limits

    def of_session(self, session_id: str, user_id: str, now: datetime, *, touch: bool) -> SessionCaller:
        """The caller of a live session, which lives on from `now` with `touch`.

        Unauthenticated: SESSION_REVOKED when it was ended or its account disabled, SESSION_ENDED when time has ended it.
        """
        given = {"session_id": session_id, "user_id": user_id, "now": now, "idle_since": now - self._limits.idle}
        row = self._one(_TOUCH if touch else _LOOK, given)
        if row is not None:
            return SessionCaller(Role(row[0]), frozenset(row[1]))
        why = self._one(_WHY_NOT, given)
        if why is None or why[0] or why[1]:
            raise Unauthenticated("SESSION_REVOKED", "this session was ended; sign in again")
        raise Unauthenticated("SESSION_ENDED", "the session has ended; sign in again")

    def of_key(self, secret_hash: bytes, now: datetime) -> KeyCaller:
        """The caller of a live key. Unauthenticated: API_KEY_INVALID, API_KEY_REVOKED, API_KEY_EXPIRED, ACCOUNT_DISABLED."""
        row = self._one(_USE_KEY, {"secret_hash": secret_hash, "now": now, "used_since": now - USE_RESOLUTION})
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

    def _one(self, statement: str, given: Mapping[str, Any]) -> Sequence[Any] | None:
        try:
            return self._fetch(statement, given)
        except DBAPIError as failure:
            # A connection that a restart of the database had broken; every statement here may run twice.
            if not failure.connection_invalidated:
                raise translate(failure) from failure
        except PoolTimeout as failure:
            raise translate(failure) from failure
        try:
            return self._fetch(statement, given)
        except (DBAPIError, PoolTimeout) as failure:
            raise translate(failure) from failure

    def _fetch(self, statement: str, given: Mapping[str, Any]) -> Sequence[Any] | None:
        with self._engine.connect() as connection:
            return connection.exec_driver_sql(statement, dict(given)).one_or_none()


def _set_autocommit(connection: Any, _record: object) -> None:
    connection.autocommit = True
