"""`backup` and `restore`: the operations' command, told where this mesh keeps what it has."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from labelmesh_local.errors import AlreadyRunning, LocalError, NotRunning
from labelmesh_local.home import Home, Secrets, readable_trouble, write_private
from labelmesh_local.lock import MeshLock
from labelmesh_local.objects import S3Server
from labelmesh_local.parts import SERVICES, environment_with
from labelmesh_local.postgres import Postgres
from labelmesh_local.state import MeshState, running_mesh

_PASSED_ON = "LABELMESH_OPERATIONS_TARGET_"
_ATTACHED = ("admin-password", "first-start.json")
"""Kept beside the data: who the administrator is, and what the first start has done."""


@dataclass(frozen=True)
class _Storage:
    """Where PostgreSQL and the object storage answer on loopback."""

    sql_port: int
    s3_port: int


def backup(home: Home, folder: str | None, *, keep: int | None = None, metrics_file: str | None = None) -> int:
    """Backs up the mesh, running or not, to `folder` (by default backups/ beside the data). The operations' exit status."""
    if not home.secrets.exists():
        raise LocalError(f"There is no data in {home.root}.")
    target = folder or str(home.root / "backups")
    arguments = ["backup", "--to", target, "--models", str(home.models)]
    arguments += ["--keep", str(keep)] if keep is not None else []
    arguments += ["--metrics-file", metrics_file] if metrics_file is not None else []
    for name in _ATTACHED:
        if (home.data / name).exists():
            arguments += ["--attach", f"{name}={home.data / name}"]
    running = running_mesh(home)
    if running is not None:
        return _operate(home, _storage_of(running), arguments)
    with _own_storage(home) as storage:
        return _operate(home, storage, arguments)


def restore(home: Home, folder: str, *, backup: str | None = None, force: bool = False) -> int:
    """Restores a backup into this home, whose mesh must not run. The operations' exit status. Raises AlreadyRunning."""
    running = running_mesh(home)
    if running is not None:
        raise AlreadyRunning(f"Labelmesh runs on this data (process {running.pid}). Stop it first: ./mesh down")
    home.prepare()
    attached = home.run / "restored"
    arguments = ["restore", folder, "--models", str(home.models), "--attached-to", str(attached)]
    arguments += ["--backup", backup] if backup is not None else []
    arguments += ["--force"] if force else []
    with _own_storage(home) as storage:
        status = _operate(home, storage, arguments)
        if status == 0:
            for name in _ATTACHED:
                if (attached / name).exists():
                    write_private(home.data / name, (attached / name).read_text())
                    (attached / name).unlink()
    return status


def _storage_of(state: MeshState) -> _Storage:
    if state.phase != "running":
        raise NotRunning(f"The mesh is {state.phase}; wait until it runs, or has stopped.")
    return _Storage(state.part("postgres").ports["sql"], state.part("objects").ports["http"])


@contextmanager
def _own_storage(home: Home) -> Iterator[_Storage]:
    """Runs PostgreSQL and the object storage alone, and keeps a mesh from starting meanwhile. Raises AlreadyRunning, LocalError."""
    secrets = Secrets.load_or_make(home.secrets)
    with ExitStack() as stack:
        stack.enter_context(MeshLock(home.lock))
        postgres = Postgres(home.postgres, log=home.log("postgres"))
        stack.callback(postgres.stop)
        postgres.start()
        try:
            for service in SERVICES:
                postgres.create_database(service, service, getattr(secrets, f"{service}_database"))
        except psycopg2.Error as error:
            raise LocalError(f"PostgreSQL did not make the databases: {str(error).strip()}") from error
        store = S3Server(home.objects, None, secrets.s3_access_key, secrets.s3_secret_key, log=home.log("objects"))
        stack.callback(store.stop)
        store.start()
        yield _Storage(postgres.port, store.port)


def _operate(home: Home, storage: _Storage, arguments: Sequence[str]) -> int:
    secrets = Secrets.load_or_make(home.secrets)
    environment = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
    for service in SERVICES:
        login = f"{service}:{getattr(secrets, f'{service}_database')}"
        url = f"postgresql://{login}@127.0.0.1:{storage.sql_port}/{service}"
        environment[f"LABELMESH_OPERATIONS_{service.upper()}_DATABASE_URL"] = url
    environment |= {
        "LABELMESH_S3_ENDPOINT": f"127.0.0.1:{storage.s3_port}",
        "LABELMESH_S3_ACCESS_KEY": secrets.s3_access_key,
        "LABELMESH_S3_SECRET_KEY": secrets.s3_secret_key,
    }
    command = [sys.executable, "-m", "labelmesh_operations", *arguments]
    with readable_trouble(Path(home.data)):
        return subprocess.run(command, env=environment_with(environment), stdin=subprocess.DEVNULL, check=False).returncode
