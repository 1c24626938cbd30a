"""PostgreSQL from the wheel: started, stopped, killed, and started again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from labelmesh_local.errors import LocalError
from labelmesh_local.ports import answers
from labelmesh_local.postgres import Postgres

from tests.support.databases import FreshDatabases


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Postgres]:
    postgres = Postgres(tmp_path / "postgres", durable=False)
    postgres.start()
    yield postgres
    postgres.stop()


def _execute(url: str, statement: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(url.replace("+psycopg2", ""))
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []
    finally:
        connection.close()


def test_rows_survive_a_stop_and_a_crash(server: Postgres) -> None:
    url = server.create_database("labeling", "labeling", "pass word/@:")
    _execute(url, "CREATE TABLE t (n int)")
    _execute(url, "INSERT INTO t VALUES (1)")
    assert server.stop()
    server.start()
    _execute(server.url("labeling"), "INSERT INTO t VALUES (2)")
    server.kill()
    server.start()
    assert _execute(server.url("labeling"), "SELECT n FROM t ORDER BY n") == [(1,), (2,)]


def test_a_wrong_password_and_a_foreign_role_are_refused(server: Postgres) -> None:
    server.create_database("auth")
    stranger = server.create_database("labeling")
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        _execute(server.url("auth", role="auth", password="wrong"), "SELECT 1")
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        _execute(stranger.rpartition("/")[0] + "/auth", "SELECT 1")


def test_creating_a_database_twice_keeps_its_rows_and_takes_the_new_password(server: Postgres) -> None:
    _execute(server.create_database("auth", "auth", "old"), "CREATE TABLE t (n int)")
    url = server.create_database("auth", "auth", "new")
    assert "new" in url
    assert _execute(url, "SELECT n FROM t") == []


def test_secrets_are_readable_by_the_owner_only(server: Postgres) -> None:
    assert (server.data_dir / "admin-password").stat().st_mode & 0o777 == 0o600
    assert server.cluster.stat().st_mode & 0o077 == 0


def test_data_of_another_major_version_is_a_clear_sentence(tmp_path: Path) -> None:
    server = Postgres(tmp_path, durable=False)
    server.prepare()
    (tmp_path / "cluster" / "PG_VERSION").write_text("99\n")
    with pytest.raises(LocalError, match=r"made by PostgreSQL 99, but this version of labelmesh brings PostgreSQL \d+"):
        server.start()


def test_a_server_that_hangs_does_not_respond_although_its_port_is_open(server: Postgres) -> None:
    assert server.process is not None
    assert server.process.pid is not None
    assert server.responds()
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        assert answers(server.port)
        assert not server.responds(timeout=0.5)
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    assert server.responds()
    server.stop()
    assert not server.responds(timeout=0.5)


def test_a_lock_file_left_by_a_crash_does_not_prevent_the_start(tmp_path: Path) -> None:
    server = Postgres(tmp_path, durable=False)
    server.prepare()
    # Number 1 is a process that lives and is not a PostgreSQL.
    (tmp_path / "cluster" / "postmaster.pid").write_text(f"1\n{tmp_path / 'cluster'}\n1\n5432\n\n127.0.0.1\n0 0\nready\n")
    server.start()
    assert answers(server.port)
    server.stop()


def test_a_cloned_database_has_the_schema_and_is_the_tests_own(fresh_database: FreshDatabases) -> None:
    def migrate(url: str) -> None:
        _execute(url, "CREATE TABLE t (n int)")

    one, other = (fresh_database("clonetest", migrate) for _ in range(2))
    _execute(one, "INSERT INTO t VALUES (1)")
    assert _execute(other, "SELECT * FROM t") == []
