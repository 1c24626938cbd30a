"""A restored mesh is the one that was backed up, or the command says that it is not."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import BinaryIO

import psycopg2
import pytest
from labelmesh_operations import modelfolder
from labelmesh_operations.backup import Source, make_backup
from labelmesh_operations.errors import Busy, Damaged, NotEmpty, OperationError
from labelmesh_operations.postgres import ServiceDatabase
from labelmesh_operations.progress import Progress
from labelmesh_operations.restore import Compared, Destination, Wishes, restore, table
from labelmesh_operations.target import FolderTarget, Target

from tests.integration.operations.meshes import Mesh, make_models


def contents(mesh: Mesh) -> dict[str, object]:
    """Every row of every table but signing keys, and every object."""
    found: dict[str, object] = {key: mesh.get(key) for key in mesh.objects()}
    for service in mesh.urls:
        names = mesh.sql(service, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        for (name,) in names:
            if name != "signing_keys":
                rows = mesh.sql(service, f'SELECT x::text FROM "{name}" x')
                found[f"{service} {name}"] = sorted(str(row[0]) for row in rows)
    return found


def test_everything_comes_back_into_an_empty_mesh_whose_roles_have_other_names(
    mesh: Mesh, empty: Mesh, target: Target, tmp_path: Path, quiet: Progress
) -> None:
    (tmp_path / "note").write_text("a note")
    models = make_models(tmp_path / "models")
    manifest = make_backup(Source(mesh.databases, mesh.bucket, models, {"note": tmp_path / "note"}), target, quiet)
    there = tmp_path / "there"
    destination = Destination(empty.databases, empty.bucket, there, "/models", tmp_path / "attached")
    lines = restore(target, manifest.id, destination, Wishes(), quiet)
    assert all(line.equal for line in lines) and len(lines) > 40
    assert contents(empty) == contents(mesh)
    assert modelfolder.versions(there) == modelfolder.versions(models)
    for model, version in modelfolder.versions(models):
        assert modelfolder.version_entries(there / model / version) == modelfolder.version_entries(models / model / version)
    assert 'base_path: "/models/digits"' in (there / "models.config").read_text()
    assert (tmp_path / "attached" / "note").read_text() == "a note"
    # What a sequence has given out is not given out again.
    empty.sql("augment", "SELECT 1")
    assert empty.sql("labeling", "SELECT last_value FROM image_numbers") == mesh.sql("labeling", "SELECT last_value FROM image_numbers")
    assert empty.sql("auth", "SELECT count(*) FROM signing_keys") == [(0,)], "sessions of then have ended"
    assert [database.is_marked() for database in empty.databases] == [None] * 4


def test_signing_keys_stay_where_that_was_asked_for(mesh: Mesh, empty: Mesh, folder: FolderTarget, quiet: Progress) -> None:
    manifest = make_backup(Source(mesh.databases, mesh.bucket), folder, quiet)
    restore(folder, manifest.id, Destination(empty.databases, empty.bucket), Wishes(keep_signing_keys=True), quiet)
    assert empty.sql("auth", "SELECT key_id FROM signing_keys") == [("key-1",)]


def test_a_mesh_with_anything_in_it_is_refused_and_left_as_it_is(mesh: Mesh, empty: Mesh, folder: FolderTarget) -> None:
    quiet = Progress(quiet=True)
    manifest = make_backup(Source(mesh.databases, mesh.bucket), folder, quiet)
    before = contents(mesh)
    done = mesh.operate("restore", str(folder.root))
    assert done.returncode == NotEmpty.exit_code, done.stdout
    for words in ("auth: signing_keys 1, users 500", "blobs 4", "objects such as", "--force"):
        assert words in done.stdout
    assert contents(mesh) == before
    # A single object, a single row.
    empty.bucket.ensure()
    empty.put("images/somebody's", b"?")
    with pytest.raises(NotEmpty, match="objects such as images/somebody's"):
        restore(folder, manifest.id, Destination(empty.databases, empty.bucket), Wishes(), quiet)
    empty.client.remove_object(empty.store.bucket, "images/somebody's")
    empty.sql("augment", "CREATE TABLE mine (x integer); INSERT INTO mine VALUES (1)")
    with pytest.raises(NotEmpty, match="augment: mine 1"):
        restore(folder, manifest.id, Destination(empty.databases, empty.bucket), Wishes(), quiet)
    lines = restore(folder, manifest.id, Destination(empty.databases, empty.bucket), Wishes(force=True), quiet)
    assert all(line.equal for line in lines), "what was there is gone"
    assert empty.sql("augment", "SELECT to_regclass('mine')") == [(None,)]


def test_services_that_run_are_named_and_nothing_is_changed(mesh: Mesh, empty: Mesh, folder: FolderTarget, quiet: Progress) -> None:
    manifest = make_backup(Source(mesh.databases, mesh.bucket), folder, quiet)
    connection = psycopg2.connect(empty.dsn("labeling"), application_name="labelmesh-labeling")
    try:
        with pytest.raises(Busy, match="labeling: labelmesh-labeling"):
            restore(folder, manifest.id, Destination(empty.databases, empty.bucket), Wishes(force=True), quiet)
    finally:
        connection.close()
    assert not empty.bucket.exists()


def test_a_restore_that_is_killed_is_known_and_the_same_command_ends_it(mesh: Mesh, empty: Mesh, folder: FolderTarget) -> None:
    quiet = Progress(quiet=True)
    older = make_backup(Source(mesh.databases, mesh.bucket), folder, quiet)
    for number in range(80):
        mesh.add_picture(f"more {number}".encode())
    make_backup(Source(mesh.databases, mesh.bucket), folder, quiet)
    for moment in ("among the objects", "among the databases"):
        empty.killed(functools.partial(_has_reached, empty, moment), "restore", str(folder.root))
        assert any(database.is_marked() for database in empty.databases)
        with pytest.raises(NotEmpty, match="an interrupted restore of"):
            restore(folder, older.id, Destination(empty.databases, empty.bucket), Wishes(), quiet)
    done = empty.operate("restore", str(folder.root))
    assert done.returncode == 0 and "comparisons are equal" in done.stdout, done.stdout
    assert contents(empty) == contents(mesh)


def _has_reached(mesh: Mesh, moment: str) -> bool:
    if moment == "among the objects":
        return mesh.bucket.exists() and len(mesh.objects()) > 15
    return mesh.sql("auth", "SELECT to_regclass('users')") != [(None,)]


def test_a_row_that_differs_by_one_character_is_found_by_the_comparison(
    mesh: Mesh, folder: FolderTarget, empty: Mesh, quiet: Progress
) -> None:
    manifest = make_backup(Source(mesh.databases, mesh.bucket), folder, quiet)

    class Careless(ServiceDatabase):
        """Somebody changes a row as soon as it is back."""

        def load(self, dump: BinaryIO, binaries: Path) -> None:
            super().load(dump, binaries)
            self.execute("UPDATE users SET display_name = display_name || '.' WHERE name = 'user 7'")

    databases = [Careless("auth", empty.dsn("auth")), *empty.databases[1:]]
    with pytest.raises(Damaged, match=r"auth: users: 500 rows, \d+ in the backup, 500 rows, \d+ restored"):
        restore(folder, manifest.id, Destination(databases, empty.bucket), Wishes(verify=False), quiet)
    assert empty.databases[0].is_marked() == manifest.id, "nobody takes it for a mesh"


def test_an_object_that_arrives_as_another_is_found_by_the_comparison(
    mesh: Mesh, folder: FolderTarget, empty: Mesh, quiet: Progress
) -> None:
    manifest = make_backup(Source(mesh.databases, mesh.bucket), folder, quiet)
    digest = hashlib.sha256(b"picture 0").hexdigest()
    (folder.root / "objects" / digest[:2] / digest).write_bytes(b"picture !")
    with pytest.raises(Damaged, match=r"objects, by SHA-256: 6 in the backup, 5 restored"):
        restore(folder, manifest.id, Destination(empty.databases, empty.bucket), Wishes(verify=False), quiet)


def test_an_older_server_and_an_unknown_backup_are_refused_in_words(mesh: Mesh, folder: FolderTarget, quiet: Progress) -> None:
    make_backup(Source(mesh.databases, mesh.bucket), folder, quiet)
    done = mesh.operate("restore", str(folder.root), "--backup", "20010101T000000Z")
    assert done.returncode == OperationError.exit_code and "there are: 2" in done.stdout
    assert "holds no backups" in mesh.operate("restore", str(folder.root / "objects")).stdout


def test_the_table_says_what_differs() -> None:
    lines = [Compared("auth: users", "2 rows, 17", "2 rows, 17"), Compared("objects", "3", "2")]
    assert table(lines).splitlines() == ["  auth: users             2  equal", "  objects                 3  DIFFERENT"]
