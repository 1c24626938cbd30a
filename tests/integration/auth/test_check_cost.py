"""What a check costs the database, and what it says while the database is away."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import psycopg2.extensions
import pytest
from labelmesh_auth import sessions
from labelmesh_auth.callers import Callers
from labelmesh_auth.sessions import SessionLimits
from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import Unauthenticated
from labelmesh_local.postgres import Postgres
from sqlalchemy import event, text

from tests.integration.auth.mesh import READ, WRITE, Auth, Denied, FakeClock, add_user, migrate_auth, until


def test_a_check_that_lets_a_call_through_is_one_statement(
    auth_url: str, database: Database, user_ids: dict[str, str], clock: FakeClock
) -> None:
    limits = SessionLimits()
    with database.transaction() as db:
        session = sessions.start(db, uuid.UUID(user_ids["ada"]), "", limits, clock())
    own = Database(auth_url, application_name="checks", pool_size=1, durable=False)
    callers = Callers(own, limits)
    sent: list[str] = []
    event.listen(own.engine, "connect", lambda connection, _record: setattr(connection, "cursor_factory", recording(sent)))
    callers.of_session(str(session.id), user_ids["ada"], clock(), touch=True)
    callers.of_session(str(session.id), user_ids["ada"], clock(), touch=False)
    with pytest.raises(Unauthenticated):
        callers.of_key(b"nothing", clock())
    assert [" ".join(statement.split()[:2]) for statement in sent] == [
        "EXECUTE touch_session",
        "EXECUTE look_at_session",
        "EXECUTE use_key",
    ]
    own.close()


def recording(sent: list[str]) -> type[psycopg2.extensions.cursor]:
    """A cursor that writes down what it sends."""

    class Recording(psycopg2.extensions.cursor):
        def execute(self, query: Any, vars: Any = None) -> None:
            sent.append(str(query))
            super().execute(query, vars)

    return Recording


def test_a_touch_changes_no_index(auth: Auth, database: Database, clock: FakeClock) -> None:
    headers = auth.sign_in()
    for _ in range(50):
        clock.advance(1)
        auth.admit(WRITE, headers)

    def heap_only_updates() -> tuple[int, int]:
        # A passive check writes nothing; it makes the connection hand over its counts, which it otherwise does after 10 s.
        auth.admit(READ, headers)
        with database.transaction() as db:
            row = db.execute(text("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'sessions'")).one()
        return int(row[0]), int(row[1])

    until(lambda: heap_only_updates()[0] >= 50, timeout_s=15)
    updates, heap_only = heap_only_updates()
    assert heap_only == updates


def code_of(failure: Any) -> Any:
    """grpc's types do not say that a failed call is a call too."""
    return failure.code()


@pytest.fixture
def own_postgres(tmp_path: Path, free_port: int) -> Iterator[Postgres]:
    """A server that this test alone stops."""
    server = Postgres(tmp_path / "postgres", free_port, durable=False)
    server.start()
    yield server
    server.stop()


def test_while_the_database_is_away_checks_are_unavailable_and_afterwards_all_is_well(own_postgres: Postgres, password_hash: str) -> None:
    url = own_postgres.create_database("auth", "auth")
    migrate_auth(url)
    database = Database(url, application_name="test", pool_size=2)
    add_user(database, password_hash)
    auth = Auth(url, FakeClock())
    try:
        headers = auth.sign_in()
        outcomes: list[Any] = []
        stopping = threading.Event()

        def keep_checking() -> None:
            while not stopping.wait(0.005):
                try:
                    auth.admit(WRITE, headers)
                    outcomes.append("OK")
                except grpc.RpcError as failure:
                    outcomes.append(code_of(failure))
                except Denied as denied:
                    outcomes.append(denied.reason)

        workers = [threading.Thread(target=keep_checking) for _ in range(4)]
        for worker in workers:
            worker.start()
        until(lambda: len(outcomes) > 50, timeout_s=20)
        own_postgres.stop()
        until(lambda: outcomes[-1] is grpc.StatusCode.UNAVAILABLE, timeout_s=20)
        time.sleep(0.3)
        own_postgres.start()
        until(lambda: outcomes[-20:] == ["OK"] * 20, timeout_s=20)
        stopping.set()
        for worker in workers:
            worker.join(20)
        assert set(outcomes) == {"OK", grpc.StatusCode.UNAVAILABLE}
        auth.admit(READ, auth.sign_in())
    finally:
        auth.stop()
        database.close()


def test_checks_are_counted_by_credential_and_outcome(auth: Auth) -> None:
    auth.admit(READ, auth.sign_in())
    with pytest.raises(Denied):
        auth.admit(READ, {"authorization": "Bearer x"})
    assert auth.metric('labelmesh_auth_checks_total{credential="bearer",outcome="ALLOWED"}') == 1
    assert auth.metric('labelmesh_auth_checks_total{credential="bearer",outcome="TOKEN_INVALID"}') == 1
    assert auth.metric('labelmesh_auth_checks_total{credential="none",outcome="OPEN"}') == 1


def test_checks_outlive_a_change_of_the_tables_under_their_prepared_statements(auth: Auth, database: Database) -> None:
    headers = auth.sign_in()
    auth.admit(WRITE, headers)
    with database.transaction() as db:
        db.execute(text("ALTER TABLE users ALTER COLUMN role TYPE varchar(40)"))
    auth.admit(WRITE, headers)
