"""What is in a backup, and what is not one."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from labelmesh_inference.predictions import pictures as predicted
from labelmesh_labeling import pictures as labeled
from labelmesh_operations import metrics
from labelmesh_operations.backup import Source, make_backup
from labelmesh_operations.errors import Busy, Denied, OperationError, Unreachable
from labelmesh_operations.manifest import read_manifest
from labelmesh_operations.postgres import ServiceDatabase, Snapshot
from labelmesh_operations.progress import Progress
from labelmesh_operations.references import REFERENCES
from labelmesh_operations.retention import contents, listed
from labelmesh_operations.target import BucketTarget, FolderTarget, Target
from labelmesh_operations.verify import verify

from tests.integration.operations.meshes import Mesh


def objects_in(target: Target, backup: str) -> set[str]:
    manifest = read_manifest(target, backup)
    return {entry.name for entry in listed(target, manifest, manifest.objects)}


def files_of(target: Target) -> set[str]:
    return {name for name, _ in target.files("objects/")}


def test_a_second_backup_copies_only_what_is_new(mesh: Mesh, target: Target, quiet: Progress) -> None:
    first = make_backup(Source(mesh.databases, mesh.bucket), target, quiet)
    before = files_of(target)
    new = mesh.add_picture(b"one more")
    second = make_backup(Source(mesh.databases, mesh.bucket), target, quiet)
    assert {name.rpartition("/")[2] for name in files_of(target) - before} == {hashlib.sha256(b"one more").hexdigest()}
    assert objects_in(target, second.id) - objects_in(target, first.id) == {new}
    assert verify(target, [first.id, second.id], quiet) == []
    assert second.findings == ()


def test_only_the_newest_are_kept_and_nothing_that_they_need_goes(mesh: Mesh, target: Target, quiet: Progress) -> None:
    leaving = mesh.add_picture(b"soon gone")
    made = [make_backup(Source(mesh.databases, mesh.bucket), target, quiet)]
    mesh.client.remove_object(mesh.store.bucket, leaving)
    mesh.sql("labeling", "DELETE FROM blobs WHERE sha256 = %s", hashlib.sha256(b"soon gone").digest())
    made += [make_backup(Source(mesh.databases, mesh.bucket), target, quiet, keep_backups=2) for _ in range(2)]
    assert target.backups() == ([made[1].id, made[2].id], [])
    needed = {entry.sha256 for one in made[1:] for entry in contents(target, one)}
    assert {name.rpartition("/")[2] for name in files_of(target)} == needed
    assert hashlib.sha256(b"soon gone").hexdigest() not in needed
    assert verify(target, [one.id for one in made[1:]], quiet) == []


class _BusyDatabase(ServiceDatabase):
    """Labeling's database while people work: as its moment comes, a picture has just been added; as the moment has passed, another goes."""

    mesh: Mesh
    leaving: str
    added: str = ""

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        self.added = self.mesh.add_picture(b"added after the first look")
        with super().snapshot() as snapshot:
            self.mesh.add_picture(b"added after the moment")
            self.mesh.client.remove_object(self.mesh.store.bucket, self.leaving)
            yield snapshot


def test_every_object_that_a_dump_refers_to_is_in_the_backup_although_people_work_meanwhile(
    mesh: Mesh, folder: FolderTarget, quiet: Progress
) -> None:
    busy = _BusyDatabase("labeling", mesh.dsn("labeling"))
    busy.mesh, busy.leaving = mesh, mesh.add_picture(b"swept while the backup runs")
    databases = [busy if one.service == "labeling" else one for one in mesh.databases]
    manifest = make_backup(Source(databases, mesh.bucket), folder, quiet)
    assert manifest.findings == ()
    there = objects_in(folder, manifest.id)
    assert {busy.added, busy.leaving} <= there


def test_what_is_gone_and_not_referred_to_is_not_restored_for_ever(mesh: Mesh, folder: FolderTarget, quiet: Progress) -> None:
    class Sweeping(ServiceDatabase):
        @contextmanager
        def snapshot(self) -> Iterator[Snapshot]:
            mesh.client.remove_object(mesh.store.bucket, orphan)
            with super().snapshot() as snapshot:
                yield snapshot

    orphan = "images/00/" + "0" * 64 + ".png"
    mesh.put(orphan, b"nobody refers to it")
    databases = [Sweeping(one.service, mesh.dsn(one.service)) if one.service == "labeling" else one for one in mesh.databases]
    assert orphan not in objects_in(folder, make_backup(Source(databases, mesh.bucket), folder, quiet).id)


def test_objects_that_the_mesh_itself_has_lost_or_damaged_are_said(mesh: Mesh, folder: FolderTarget, tmp_path: Path) -> None:
    lost, damaged = mesh.add_picture(b"lost"), mesh.add_picture(b"damaged")
    mesh.client.remove_object(mesh.store.bucket, lost)
    mesh.put(damaged, b"DAMAGED")
    done = mesh.operate("backup", "--to", str(folder.root), "--metrics-file", str(tmp_path / "backup.prom"))
    assert done.returncode == 9, done.stdout
    findings = read_manifest(folder, folder.backups()[0][0]).findings
    assert any(lost in one and "missing" in one for one in findings)
    assert any(damaged in one and "damaged" in one for one in findings)
    assert metrics.read(tmp_path / "backup.prom")["labelmesh_backup_findings"] == 2
    assert verify(folder, folder.backups()[0], Progress(quiet=True)) == [], "the backup itself is whole"


def test_a_backup_that_is_killed_is_none_and_the_next_goes_on_where_it_was(mesh: Mesh, folder: FolderTarget) -> None:
    for number in range(150):
        mesh.put(f"images/{hashlib.sha256(str(number).encode()).hexdigest()}.png", str(number).encode())
    mesh.killed(lambda: len(files_of(folder)) >= 40, "backup", "--to", str(folder.root))
    left = files_of(folder)
    assert folder.backups()[0] == []
    (folder.root / "backups" / "20200101T000000Z").mkdir(parents=True)
    (folder.root / "backups" / "20200101T000000Z" / "auth.dump").write_bytes(b"half")
    assert "never finished" in mesh.operate("list", str(folder.root)).stdout
    inodes = {name: (folder.root / name).stat().st_ino for name in left}
    done = mesh.operate("backup", "--to", str(folder.root))
    assert done.returncode == 0, done.stdout
    assert {name: (folder.root / name).stat().st_ino for name in left} == inodes, "what was copied is not copied again"
    complete, begun = folder.backups()
    assert begun == [] and verify(folder, complete, Progress(quiet=True)) == []
    assert len(objects_in(folder, complete[0])) >= 150


def test_two_at_once_do_not_disturb_one_another(mesh: Mesh, target: Target, quiet: Progress) -> None:
    with target.lock(), pytest.raises(Busy, match="Another command"):
        make_backup(Source(mesh.databases, mesh.bucket), target, quiet)
    make_backup(Source(mesh.databases, mesh.bucket), target, quiet)


def test_a_lock_in_a_bucket_that_another_has_taken_over_is_left_to_it(empty: Mesh) -> None:
    target = BucketTarget(empty.bucket, "backups")
    taken = json.dumps({"holder": "another", "time": time.time()}).encode()
    with target.lock():
        # As when this process slept for longer than its lock is good for.
        empty.bucket.put_bytes("backups/lock.json", taken)
    assert target.read("lock.json") == taken
    with pytest.raises(Busy, match="another"), target.lock():
        pass


def test_a_folder_of_somebody_else_is_left_alone(mesh: Mesh, tmp_path: Path, quiet: Progress) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("Dear Ada")
    with pytest.raises(OperationError, match="holds no backups of labelmesh"):
        make_backup(Source(mesh.databases, mesh.bucket), FolderTarget(tmp_path / "letters"), quiet)
    assert [entry.name for entry in (tmp_path / "letters").iterdir()] == ["a.txt"]


def test_troubles_are_sentences_with_a_status_of_their_own(mesh: Mesh, folder: FolderTarget, tmp_path: Path, free_port: int) -> None:
    file = tmp_path / "backup.prom"
    assert mesh.operate("backup", "--to", str(folder.root), "--metrics-file", str(file)).returncode == 0
    good = metrics.read(file)
    wrong = mesh.urls["auth"].replace("auth_operated_tester:", "auth_operated_tester:not")
    cases = {
        Denied.exit_code: ({"LABELMESH_OPERATIONS_AUTH_DATABASE_URL": wrong}, "refuses the role or its password"),
        Unreachable.exit_code: ({"LABELMESH_S3_ENDPOINT": f"127.0.0.1:{free_port}"}, "is the server up"),
        2: ({"LABELMESH_OPERATIONS_AUTH_DATABASE_URL": "mysql://x"}, "LABELMESH_OPERATIONS_AUTH_DATABASE_URL: "),
    }
    for status, (environment, words) in cases.items():
        done = mesh.operate("backup", "--to", str(folder.root), "--metrics-file", str(file), **environment)
        assert done.returncode == status and words in done.stdout and "Traceback" not in done.stdout, done.stdout
        after = metrics.read(file)
        assert after["labelmesh_backup_last_attempt_success"] == 0
        assert after[metrics.LAST_SUCCESS] == good[metrics.LAST_SUCCESS]
    assert len(folder.backups()[0]) == 1


def test_pg_dump_must_not_be_older_than_the_server(mesh: Mesh, folder: FolderTarget, tmp_path: Path) -> None:
    for name in ("pg_dump", "pg_restore"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 12.3'\n")
        (tmp_path / name).chmod(0o755)
    done = mesh.operate("backup", "--to", str(folder.root), LABELMESH_OPERATIONS_POSTGRES_BIN=str(tmp_path))
    assert done.returncode == 1 and "found: 12 in" in done.stdout and "postgresql-client-" in done.stdout, done.stdout
    assert folder.backups()[0] == []


def test_no_password_stands_on_a_command_line(mesh: Mesh, tmp_path: Path, folder: FolderTarget) -> None:
    seen = tmp_path / "seen"
    for name in ("pg_dump", "pg_restore"):
        (tmp_path / name).write_text(
            f'#!/bin/sh\n[ "$1" = --version ] && echo "{name} (PostgreSQL) 99.0" && exit 0\necho "$@" >> {seen}\nexit 1\n'
        )
        (tmp_path / name).chmod(0o755)
    done = mesh.operate("backup", "--to", str(folder.root), LABELMESH_OPERATIONS_POSTGRES_BIN=str(tmp_path))
    assert done.returncode == 1 and "pg_dump failed" in done.stdout
    password = mesh.urls["auth"].partition("://")[2].partition("@")[0].partition(":")[2]
    assert "--snapshot=" in seen.read_text() and password not in seen.read_text()


def test_the_keys_that_databases_refer_to_are_those_of_the_services(mesh: Mesh) -> None:
    keys = {"labeling": labeled.object_key, "inference": predicted.object_key}
    assert set(REFERENCES) == set(keys)
    for service, (table, query) in REFERENCES.items():
        mesh.sql(service, f"DELETE FROM {table}")
        for number, media_type in enumerate(("image/png", "image/jpeg")):
            statement = f"INSERT INTO {table} (sha256, media_type, size_bytes, stored, touched_at) VALUES (%s, %s, 1, true, now())"
            mesh.sql(service, statement, bytes([number]) * 32, media_type)
        wanted = {keys[service](bytes([number]).hex() * 32, kind) for number, kind in enumerate(("image/png", "image/jpeg"))}
        assert {str(row[0]) for row in mesh.sql(service, query)} == wanted
