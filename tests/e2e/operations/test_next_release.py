"""One mesh through its worst week: backed up while it works, restored elsewhere, upgraded under traffic, rolled back, upgraded again.

One test, for each step stands on the one before, and a mesh with a trained model is dear.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from labelmesh_client import Client, connect
from labelmesh_client.sources.digits import digits

from tests.support.mesh import GUEST, LocalMesh, until

PROJECT = "Handwritten digits"
SERVICES = ("auth", "labeling", "inference", "augment")
KNOWN = {hashlib.sha256(digit.png).hexdigest(): digit for digit in digits()}
# What a next release's migrations may do, all at once: new columns and tables, an index, rows' values for those who give none.
EXPANSION = """
DO $$ DECLARE one text; BEGIN
  FOR one IN SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
  LOOP
    EXECUTE format('ALTER TABLE %I ADD COLUMN next_release text NOT NULL DEFAULT ''by the database''', one);
    EXECUTE format('ALTER TABLE %I ADD COLUMN next_release_may_be_null bigint', one);
    EXECUTE format('CREATE INDEX ON %I (next_release_may_be_null)', one);
  END LOOP;
END $$;
CREATE TABLE next_release_table (id uuid PRIMARY KEY, name text NOT NULL);
UPDATE alembic_version SET version_num = '0999';
"""


@pytest.mark.timeout(420)
def test_a_mesh_survives_a_restore_an_upgrade_and_a_rollback(mesh_with_models: LocalMesh, tmp_path: Path) -> None:
    before = _use(mesh_with_models, labels=6)
    backup = mesh_with_models.command("backup", str(tmp_path / "backups"))
    assert backup.returncode == 0, backup.stdout

    restored = LocalMesh(tmp_path / "elsewhere")
    done = restored.command("restore", str(tmp_path / "backups"))
    assert done.returncode == 0 and "comparisons are equal" in done.stdout, done.stdout
    password = restored.admin_password
    assert password == mesh_with_models.admin_password
    refused = restored.command("restore", str(tmp_path / "backups"))
    assert refused.returncode == 3 and "not empty" in refused.stdout, "restoring twice"
    try:
        restored.up()
        _everything_is_there(restored, before)
        _upgrade_under_traffic(restored)
    finally:
        restored.end()


def _use(mesh: LocalMesh, labels: int) -> dict[str, Any]:
    """Labels, asks a model, saves a pipeline; returns what is to be found again."""
    with connect(mesh.address, user=GUEST[0], password=GUEST[1]) as guest:
        _label(guest, labels)
    key = mesh.api_key("labeling.read", "labeling.annotate")
    with connect(mesh.address, api_key=key) as program:
        project = program.project(PROJECT)
        notes = sorted((note.id, note.image_id, note.class_id) for note in project.annotations())
    _pipeline(mesh, mesh.sign_in("admin", mesh.admin_password), "before-the-backup")
    _predict(mesh, mesh.sign_in(*GUEST))
    return {"annotations": notes, "key": key}


def _label(guest: Client, number: int) -> None:
    with guest.project(PROJECT).leases() as leases:
        for given, lease in enumerate(leases, start=1):
            lease.submit(str(KNOWN[hashlib.sha256(lease.image()).hexdigest()].target))
            if given == number:
                return


def _predict(mesh: LocalMesh, token: str) -> None:
    """A digit, read by the model that was trained on the first mesh."""
    picture = base64.b64encode(next(iter(KNOWN.values())).png).decode()
    wanted = {"model": {"model": "digits"}, "input": {"image": picture}, "requestId": str(uuid.uuid4())}
    status, reply = mesh.call("POST", "/v1/predictions", wanted, token=token)
    assert status == 200, (status, reply)


def _pipeline(mesh: LocalMesh, token: str, name: str) -> None:
    _, projects = mesh.call("GET", "/v1/projects", token=token)
    body = {"name": name, "pipeline": {"steps": [{"transform": "invert"}]}, "requestId": str(uuid.uuid4())}
    status, reply = mesh.call("POST", f"/v1/projects/{projects['projects'][0]['id']}/pipelines", body, token=token)
    assert status == 200, reply


def _everything_is_there(mesh: LocalMesh, before: dict[str, Any]) -> None:
    assert mesh.sign_in("admin", mesh.admin_password)
    with connect(mesh.address, api_key=before["key"]) as program:
        project = program.project(PROJECT)
        notes = {(note.id, note.image_id, note.class_id) for note in project.annotations()}
        assert set(before["annotations"]) == notes
    with connect(mesh.address, user=GUEST[0], password=GUEST[1]) as guest:
        _label(guest, 3)
    token = mesh.sign_in(*GUEST)
    until(lambda: _answers(lambda: _predict(mesh, token)), 60, "the restored model's answer")


def _answers(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except AssertionError:
        return False
    return True


class _Traffic:
    """People and programs who go on working; counts what they did, and keeps what they were told when it failed."""

    def __init__(self, mesh: LocalMesh) -> None:
        self.done: Counter[str] = Counter()
        self.failures: list[str] = []
        self._over = threading.Event()
        self._guest = connect(mesh.address, user=GUEST[0], password=GUEST[1])
        token = mesh.sign_in("admin", mesh.admin_password)
        works: dict[str, tuple[float, Callable[[], object]]] = {
            "labels": (0.1, lambda: _label(self._guest, 2)),
            # The edge lets an address sign in thirty times a minute.
            "sign-ins": (3, lambda: mesh.sign_in("admin", mesh.admin_password)),
            "predictions": (0.1, lambda: _predict(mesh, token)),
            "pipelines": (0.1, lambda: _pipeline(mesh, token, f"traffic-{uuid.uuid4().hex}")),
        }
        self._threads = [threading.Thread(target=self._work, args=(name, *work)) for name, work in works.items()]
        for thread in self._threads:
            thread.start()

    def _work(self, name: str, pause: float, work: Callable[[], object]) -> None:
        while not self._over.is_set():
            try:
                work()
                self.done[name] += 1
            except Exception as error:
                self.failures.append(f"{name}: {error!r}")
            self._over.wait(pause)

    def until_each_did(self, more: int) -> None:
        begun = Counter(self.done)
        names = ("labels", "sign-ins", "predictions", "pipelines")
        until(lambda: all(self.done[name] >= begun[name] + more for name in names), 90, f"{more} more of each; {self.failures[-3:]}")

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._guest.close()


def _upgrade_under_traffic(mesh: LocalMesh) -> None:
    databases = _databases(mesh)
    traffic = _Traffic(mesh)
    try:
        traffic.until_each_did(1)
        assert not traffic.failures
        for url in databases.values():
            _expand(url)
        traffic.until_each_did(1)
        assert not traffic.failures, "the release of before fails on the next schema"
    finally:
        traffic.end()
    # A rollback, and a crash: the release of before starts on the schema of the next.
    pids = _pids(mesh)
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
    until(lambda: all(new not in (None, pids[one]) for one, new in _pids(mesh).items()), 60, "their restart")
    again = _Traffic(mesh)
    try:
        again.until_each_did(1)
    finally:
        again.end()
    # The next release, back again, finds its columns filled in every row that the old one has written.
    for service, url in databases.items():
        for table, rows, unfilled in _rows(url):
            assert unfilled == 0, (service, table, rows)
        assert _sql(url, "SELECT version_num FROM alembic_version") == [("0999",)], "and nobody has taken the schema back"


def _pids(mesh: LocalMesh) -> dict[str, Any]:
    """Processes of the services; None for one that is not ready."""
    parts = {part["name"]: part for part in mesh.state()["parts"]}
    return {one: parts[one]["pid"] if parts[one]["phase"] == "ready" else None for one in SERVICES}


def _databases(mesh: LocalMesh) -> dict[str, str]:
    secrets = json.loads((mesh.home / "data" / "secrets.json").read_text())
    port = mesh.part("postgres")["ports"]["sql"]
    return {one: f"postgresql://{one}:{secrets[f'{one}_database']}@127.0.0.1:{port}/{one}" for one in SERVICES}


def _sql(url: str, statement: str) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []
    finally:
        connection.close()


def _expand(url: str) -> None:
    """As a migration does: in one transaction, again where somebody's locks were in the way."""
    for _ in range(10):
        try:
            _sql(url, f"SET LOCAL lock_timeout = '2s'; {EXPANSION}")
            return
        except (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected):
            time.sleep(0.2)
    raise AssertionError("the tables were never free")


def _rows(url: str) -> list[tuple[str, int, int]]:
    named = "SELECT table_name FROM information_schema.columns WHERE column_name = 'next_release' AND table_schema = 'public'"
    tables = _sql(url, named)
    assert tables
    counted = []
    for (table,) in tables:
        ((rows, filled),) = _sql(url, f"SELECT count(*), count(*) FILTER (WHERE next_release = 'by the database') FROM {table}")
        counted.append((str(table), int(rows), int(rows) - int(filled)))
    return counted
