"""The chassis' database on a real PostgreSQL."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from labelmesh_chassis.database import Database, migrate
from labelmesh_chassis.errors import Aborted, DeadlineExceeded, InvalidArgument, Unavailable
from labelmesh_local.postgres import Postgres
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tests.support.databases import FreshDatabases

SAMPLE = "tests.integration.chassis.sample"


def migrate_sample(url: str) -> None:
    migrate(url, SAMPLE, lock_key=77)


@pytest.fixture
def database(fresh_database: FreshDatabases) -> Iterator[Database]:
    opened = Database(fresh_database("sample", migrate_sample), application_name="test", pool_size=4)
    yield opened
    opened.close()


def names(database: Database) -> list[str]:
    with database.transaction() as session:
        return list(session.scalars(text("SELECT name FROM things ORDER BY id")))


def test_a_transaction_commits_as_a_whole_or_not_at_all(database: Database) -> None:
    with database.transaction() as session:
        session.execute(text("INSERT INTO things VALUES (2, 'second')"))

    def fail_halfway() -> None:
        with database.transaction() as session:
            session.execute(text("INSERT INTO things VALUES (3, 'third')"))
            raise LookupError("a fault after the insert")

    with pytest.raises(LookupError):
        fail_halfway()
    assert names(database) == ["first", "second"]


def test_eight_replicas_that_start_at_once_migrate_once(fresh_database: FreshDatabases) -> None:
    url = fresh_database()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(migrate_sample, [url] * 8))
    database = Database(url, application_name="test")
    assert names(database) == ["first"]
    database.close()


def test_a_broken_constraint_stays_an_integrity_error_for_the_domain(database: Database) -> None:
    with pytest.raises(IntegrityError), database.transaction() as session:
        session.execute(text("INSERT INTO things VALUES (1, 'again')"))


def test_text_that_postgres_cannot_store_is_invalid_argument(database: Database) -> None:
    with pytest.raises(InvalidArgument), database.transaction() as session:
        session.execute(text("INSERT INTO things VALUES (2, convert_from('\\xff'::bytea, 'UTF8'))"))


def test_a_slow_statement_ends_at_the_time_limit(fresh_database: FreshDatabases) -> None:
    database = Database(fresh_database(), application_name="test", statement_timeout_s=0.2)
    with pytest.raises(DeadlineExceeded), database.transaction() as session:
        session.execute(text("SELECT pg_sleep(5)"))
    database.close()


def test_a_deadlock_is_aborted_for_one_and_done_for_the_other(database: Database) -> None:
    with database.transaction() as session:
        session.execute(text("INSERT INTO things VALUES (2, 'second')"))
    barrier = threading.Barrier(2)

    def lock(first: int, second: int) -> str:
        try:
            with database.transaction() as session:
                session.execute(text("UPDATE things SET name = name WHERE id = :id"), {"id": first})
                barrier.wait(10)
                session.execute(text("UPDATE things SET name = name WHERE id = :id"), {"id": second})
        except Aborted as error:
            return error.reason
        return "done"

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(lock, [1, 2], [2, 1]))
    assert outcomes == ["CONCURRENT_CHANGE", "done"]


def test_a_full_pool_is_unavailable_and_not_an_endless_wait(fresh_database: FreshDatabases) -> None:
    database = Database(fresh_database(), application_name="test", pool_size=1)
    with database.transaction() as session:
        session.execute(text("SELECT 1"))
        with pytest.raises(Unavailable), database.transaction() as other:
            other.execute(text("SELECT 1"))
    database.close()


def test_a_database_that_restarts_is_unavailable_meanwhile_and_works_after(tmp_path: Path, free_port: int) -> None:
    server = Postgres(tmp_path / "postgres", free_port)
    server.start()
    try:
        database = Database(server.create_database("sample", "sample"), application_name="test", pool_size=4)
        with database.transaction() as session:
            session.execute(text("CREATE TABLE things (id int PRIMARY KEY, name text)"))
            session.execute(text("INSERT INTO things VALUES (1, 'kept')"))
        server.stop()
        assert not database.is_up()
        with pytest.raises(Unavailable), database.transaction() as session:
            session.execute(text("SELECT 1"))
        server.start()
        assert _works_within(10, database)
        assert names(database) == ["kept"]
        database.close()
    finally:
        server.stop()


def test_migrating_waits_for_a_database_and_gives_up_with_a_sentence(free_port: int) -> None:
    started = time.monotonic()
    with pytest.raises(Unavailable, match="did not answer"):
        migrate(f"postgresql+psycopg2://nobody@127.0.0.1:{free_port}/none", SAMPLE, lock_key=77, wait_s=0.5)
    assert time.monotonic() - started >= 0.5


def _works_within(seconds: float, database: Database) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if database.is_up():
            return True
        time.sleep(0.1)
    return False


def test_a_server_that_falls_silent_is_given_up_within_seconds(database: Database) -> None:
    """That nothing comes back for a quarter of an hour is what Linux has by default. The kernel is asked; a network is not cut here."""
    with database.connection() as connection:
        driver: Any = connection.connection.dbapi_connection
        with socket.socket(fileno=os.dup(driver.fileno())) as own:
            unanswered_ms = own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            idle_s = own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            assert own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert 0 < unanswered_ms <= 15_000
    assert idle_s <= 15
