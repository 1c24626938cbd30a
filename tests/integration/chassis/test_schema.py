"""A service whose tables somebody else makes waits for them, and touches nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest
from labelmesh_chassis.database import Database, await_schema
from labelmesh_chassis.errors import Unavailable
from labelmesh_chassis.program import Schema
from sqlalchemy import text

from tests.integration.chassis.service import until
from tests.support.databases import FreshDatabases

SCHEMA = Schema("tests.integration.chassis.sample", 77)


def tables(url: str) -> list[str]:
    database = Database(url, application_name="test", pool_size=1)
    with database.connection() as connection:
        found = list(connection.scalars(text("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")))
    database.close()
    return found


def waiting(url: str) -> tuple[threading.Thread, list[bool]]:
    done: list[bool] = []

    def wait() -> None:
        SCHEMA.prepare(url, migrate_at_start=False)
        done.append(True)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread, done


def said(caplog: pytest.LogCaptureFixture) -> Callable[[], bool]:
    return lambda: any(record.getMessage() == "waiting for the database's schema" for record in caplog.records)


def test_a_start_waits_until_the_schema_is_there_and_says_so(fresh_database: FreshDatabases, caplog: pytest.LogCaptureFixture) -> None:
    url = fresh_database()
    with caplog.at_level(logging.INFO):
        thread, done = waiting(url)
        until(said(caplog))
    assert not done and tables(url) == []
    SCHEMA.migrate(url)
    thread.join(20)
    assert done


def test_a_schema_that_is_newer_will_do(fresh_database: FreshDatabases) -> None:
    url = fresh_database()
    SCHEMA.migrate(url)
    database = Database(url, application_name="test", pool_size=1)
    with database.connection() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0099'"))
    database.close()
    SCHEMA.prepare(url, migrate_at_start=False)


def test_nobody_waits_for_ever(fresh_database: FreshDatabases, free_port: int) -> None:
    with pytest.raises(Unavailable) as caught:
        await_schema(fresh_database(), SCHEMA.package, wait_s=0.1)
    assert caught.value.reason == "SCHEMA_MISSING" and "revision 1" in caught.value.message
    with pytest.raises(Unavailable) as caught:
        await_schema(f"postgresql+psycopg2://nobody@127.0.0.1:{free_port}/none", SCHEMA.package, wait_s=0.1)
    assert caught.value.reason == "DATABASE_UNAVAILABLE"
