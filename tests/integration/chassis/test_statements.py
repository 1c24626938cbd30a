"""Statements planned once a connection, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import Aborted
from labelmesh_chassis.statements import PreparedStatement
from sqlalchemy import event, text

from tests.support.databases import FreshDatabases

ECHO = PreparedStatement(
    "SELECT :id AS id, :count + 1 AS more, :id IS NULL AS nothing, '10:20'::text AS clock", {"id": "uuid", "count": "int"}
)


@pytest.fixture
def database(fresh_database: FreshDatabases) -> Iterator[Database]:
    opened = Database(fresh_database(), application_name="test", pool_size=1)
    yield opened
    opened.close()


def test_a_prepared_statement_takes_and_gives_typed_values(database: Database) -> None:
    given = uuid4()
    with database.transaction() as session:
        row = ECHO.run(session, {"id": given, "count": 41, "unused": object()}).one()
        empty = ECHO.run(session, {"id": None, "count": 0}).one()
    assert (UUID(str(row.id)), row.more, row.nothing, row.clock) == (given, 42, False, "10:20")
    assert (empty.id, empty.nothing) == (None, True)


def test_a_connection_prepares_a_statement_once_and_keeps_it_over_a_rollback(database: Database) -> None:
    sent: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *arguments: sent.append(arguments[2].split()[0]))

    def fail() -> None:
        with database.transaction() as session:
            ECHO.run(session, {"id": None, "count": 0})
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    for _ in range(2):
        with database.transaction() as session:
            ECHO.run(session, {"id": None, "count": 0})
    assert sent == ["PREPARE", "EXECUTE", "EXECUTE", "EXECUTE"]


def test_a_new_connection_prepares_again(database: Database) -> None:
    with database.transaction() as session:
        ECHO.run(session, {"id": None, "count": 0})
    database.engine.dispose()
    with database.transaction() as session:
        assert ECHO.run(session, {"id": None, "count": 0}).one().more == 1


@pytest.mark.parametrize("change", ["ALTER TABLE things ADD COLUMN b int", "DISCARD ALL"])
def test_a_statement_that_went_stale_is_aborted_once_and_then_works(database: Database, change: str) -> None:
    everything = PreparedStatement("SELECT * FROM things", {})
    with database.transaction() as session:
        session.execute(text("CREATE TABLE things (a int)"))
    with database.transaction() as session:
        everything.run(session, {})
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(change))
    with pytest.raises(Aborted), database.transaction() as session:
        everything.run(session, {})
    with database.transaction() as session:
        assert everything.run(session, {}).all() == []


def test_a_statement_says_at_once_what_is_wrong_with_it() -> None:
    with pytest.raises(ValueError, match="types of id"):
        PreparedStatement("SELECT :id", {})
    with pytest.raises(ValueError, match="percent"):
        PreparedStatement("SELECT 5 % 2", {})


def test_server_settings_reach_the_connections(fresh_database: FreshDatabases) -> None:
    opened = Database(fresh_database(), application_name="test", server_settings={"enable_seqscan": "off"})
    with opened.transaction() as session:
        assert session.scalar(text("SHOW enable_seqscan")) == "off"
        assert session.scalar(text("SHOW jit")) == "off"
    opened.close()
