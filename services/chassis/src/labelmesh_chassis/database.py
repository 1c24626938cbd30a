"""Postgres: one engine per process, one transaction per call, and driver errors made safe before a caller sees them."""

from __future__ import annotations

import importlib.resources
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from labelmesh_chassis.deadlines import time_left
from labelmesh_chassis.errors import Aborted, DeadlineExceeded, InvalidArgument, MeshError, Unavailable
from labelmesh_chassis.pools import PoolUse, measured_pool
from labelmesh_chassis.tracing import is_tracing, trace_statements

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_CONFLICTS = {"40001", "40P01", "55P03"}
_CANCELLED = "57014"
_AWAY_CLASSES = {"08", "53", "57", "58"}
_TEXT = {"22021", "22P05", "22001"}
_SILENCE = {"tcp_user_timeout": 10_000, "keepalives_idle": 10, "keepalives_interval": 3, "keepalives_count": 3}
"""A server whose machine has lost its network says nothing, not even that; libpq gives its connections up after ten to twenty seconds
instead of a quarter of an hour. https://www.postgresql.org/docs/current/libpq-connect.html"""
_VERSION_FILE = re.compile(r"^v?(\d+)_\w+\.py$")

# How often a schema is asked after that somebody else shall make, and how often that is said.
_ASK_S = 1.0
_SAY_S = 30.0
_log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class Database:
    """A service's own database.

    `durable=False` lets a commit return before it is on disk (synchronous_commit=off): right for what may be lost in a crash,
    like the time of a session's last activity; never for what was promised. `server_settings` are Postgres' settings for its connections.
    """

    def __init__(
        self,
        url: str,
        *,
        application_name: str,
        pool_size: int = 16,
        durable: bool = True,
        statement_timeout_s: float = 10,
        server_settings: Mapping[str, str] | None = None,
    ) -> None:
        milliseconds = int(statement_timeout_s * 1000)
        # Short statements on indexes never gain from compiling them.
        server_options = f"-c jit=off -c statement_timeout={milliseconds} -c idle_in_transaction_session_timeout={milliseconds + 20_000}"
        server_options += "".join(f" -c {name}={value}" for name, value in (server_settings or {}).items())
        if not durable:
            server_options += " -c synchronous_commit=off"
        self.use = PoolUse()
        self.engine: Engine = create_engine(
            url,
            poolclass=measured_pool(self.use),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=5,
            pool_recycle=1800,
            connect_args={"application_name": application_name, "options": server_options, "connect_timeout": 3, **_SILENCE},
            # An error's text is for logs, and values are somebody's.
            hide_parameters=True,
        )
        if is_tracing():
            trace_statements(self.engine)
        self._statement_timeout_s = statement_timeout_s

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection in a transaction that is committed at the end, or undone on any error.

        Driver errors leave as Unavailable (the database is away), Aborted (somebody else was at the same rows), DeadlineExceeded or
        InvalidArgument (text that Postgres cannot store). IntegrityError leaves as it is: only the caller knows what it means.
        """
        left = time_left()
        try:
            with self.engine.begin() as connection:
                # Worth a statement of its own only where the call ends long before the statement would be ended anyway.
                if left is not None and left < self._statement_timeout_s / 2:
                    connection.execute(text("SELECT set_config('statement_timeout', :ms, true)"), {"ms": str(max(1, int(left * 1000)))})
                yield connection
        except (DBAPIError, PoolTimeout) as failure:
            raise translate(failure) from failure
        except ValueError as failure:
            # The driver itself refuses this one, with no error of its own kind.
            if "NUL (0x00)" not in str(failure):
                raise
            raise InvalidArgument("TEXT_INVALID", "the text has characters that cannot be stored") from failure

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Like `connection`, with SQLAlchemy's ORM over it. A service that calls only `connection` never loads the ORM."""
        from sqlalchemy.orm import Session

        with self.connection() as connection, Session(connection, expire_on_commit=False) as session:
            yield session
            session.flush()

    def is_up(self) -> bool:
        """Whether the database answers; a connection that was lost since it was last used says nothing about that."""
        return self._answers() or self._answers()

    def _answers(self) -> bool:
        try:
            with self.engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except (DBAPIError, PoolTimeout):
            return False
        return True

    def close(self) -> None:
        """Closes all connections."""
        self.engine.dispose()


def translate(failure: DBAPIError | PoolTimeout) -> MeshError | DBAPIError:
    """The safe error for a driver's error; an IntegrityError and what is a fault of ours come back as they are."""
    if isinstance(failure, PoolTimeout):
        return Unavailable("DATABASE_BUSY", "too many calls wait for the database; try again soon", retry_after=1)
    state = getattr(failure.orig, "pgcode", None) or ""
    if state in _CONFLICTS:
        return Aborted("CONCURRENT_CHANGE", "somebody else changed the same thing at the same time; try again", retry_after=0.05)
    if state == _CANCELLED:
        return DeadlineExceeded("DEADLINE_EXCEEDED", "the database took longer than the call may")
    if state in _TEXT:
        return InvalidArgument("TEXT_INVALID", "the text has characters that cannot be stored")
    if isinstance(failure, IntegrityError):
        return failure
    if failure.connection_invalidated or state[:2] in _AWAY_CLASSES or (not state and isinstance(failure, OperationalError)):
        return Unavailable("DATABASE_UNAVAILABLE", "the database is away; try again soon", retry_after=1)
    return failure


def migrate(database_url: str, package: str, *, lock_key: int, wait_s: float = 30) -> None:
    """Brings a database to the newest schema. Several replicas may start at once: one migrates under an advisory lock, the rest wait.

    `package` holds Alembic's `env.py` and `versions/`, whose files begin with the number that is their revision. A schema that is
    newer than the package stays: the service before an upgrade runs on it. Alembic is only loaded where there is something to do, in a
    process of its own: a service need not keep it in memory. Waits up to `wait_s` seconds for a database that does not answer yet,
    then raises Unavailable.
    """
    arguments = {"application_name": f"{package}.migrate", "connect_timeout": 3}
    engine = create_engine(database_url, poolclass=NullPool, connect_args=arguments)
    with _connected(engine, wait_s) as connection:
        if _revision(connection) >= newest_revision(package):
            return
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": lock_key})
        connection.commit()
        try:
            if _revision(connection) < newest_revision(package):
                _upgrade_elsewhere(database_url, package)
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": lock_key})
            connection.commit()


def await_schema(database_url: str, package: str, *, wait_s: float = 300) -> None:
    """Waits until somebody has brought the database to the package's newest schema, or a newer one, and says now and then what for.

    Unavailable (SCHEMA_MISSING) after `wait_s` seconds, and DATABASE_UNAVAILABLE where the database does not answer for that long.
    """
    ends = time.monotonic() + wait_s
    newest = newest_revision(package)
    arguments = {"application_name": f"{package}.await", "connect_timeout": 3}
    engine = create_engine(database_url, poolclass=NullPool, connect_args=arguments)
    said_at = float("-inf")
    while True:
        with _connected(engine, max(0.0, ends - time.monotonic())) as connection:
            found = _revision(connection)
        if found >= newest:
            return
        if time.monotonic() >= ends:
            raise Unavailable("SCHEMA_MISSING", f"nobody brought the database to revision {newest} within {wait_s:g} s; it is at {found}")
        if time.monotonic() - said_at >= _SAY_S:
            said_at = time.monotonic()
            _log.info("waiting for the database's schema", extra={"fields": {"revision": found, "needed": newest}})
        time.sleep(_ASK_S)


def newest_revision(package: str) -> int:
    """The highest number that a file in a package's `versions/` begins with, e.g. 2 for v0002_shared_accounts.py; 0 without any."""
    files = (importlib.resources.files(package) / "versions").iterdir()
    return max((int(found[1]) for file in files if (found := _VERSION_FILE.match(file.name))), default=0)


def _revision(connection: Connection) -> int:
    found = 0
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is not None:
        found = int(connection.scalar(text("SELECT version_num FROM alembic_version")) or 0)
    connection.rollback()
    return found


def _upgrade_elsewhere(database_url: str, package: str) -> None:
    command = [sys.executable, "-m", "labelmesh_chassis.upgrade", package]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, input=database_url, capture_output=True, text=True, timeout=600, env=environment, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the database's schema could not be upgraded:\n{done.stderr.strip()[-4000:]}")


@contextmanager
def _connected(engine: Engine, wait_s: float) -> Iterator[Connection]:
    deadline = time.monotonic() + wait_s
    connection: Connection | None = None
    while connection is None:
        try:
            connection = engine.connect()
        except OperationalError as failure:
            if time.monotonic() >= deadline:
                raise Unavailable("DATABASE_UNAVAILABLE", f"the database did not answer within {wait_s:g} s") from failure
            time.sleep(0.2)
    try:
        yield connection
    finally:
        connection.close()
        engine.dispose()
