"""A damaged backup is known as one, whichever of its files it is."""

from __future__ import annotations

from pathlib import Path

from labelmesh_operations.backup import Source, make_backup
from labelmesh_operations.errors import Damaged
from labelmesh_operations.progress import Progress
from labelmesh_operations.target import FolderTarget
from labelmesh_operations.verify import verify

from tests.integration.operations.meshes import Mesh, make_models


def test_each_file_of_a_backup_that_is_damaged_shortened_or_gone_is_found(
    mesh: Mesh, folder: FolderTarget, tmp_path: Path, quiet: Progress
) -> None:
    (tmp_path / "note").write_text("a note")
    source = Source(mesh.databases, mesh.bucket, make_models(tmp_path / "models"), {"note": tmp_path / "note"})
    manifest = make_backup(source, folder, quiet)
    assert verify(folder, [manifest.id], quiet) == []
    names = [name for name, _ in folder.files()]
    assert len(names) > 15
    for name in names:
        path = folder.root / name
        content = path.read_bytes()
        middle = len(content) // 2
        damages = {
            "changed": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "shortened": content[:-1],
            "gone": None,
        }
        for damage, bad in damages.items():
            path.unlink()
            if bad is not None:
                path.write_bytes(bad)
            problems = verify(folder, [manifest.id], quiet)
            assert problems, f"{name} {damage} was not found"
            assert name in " ".join(problems) or name.rpartition("/")[2] in " ".join(problems)
            path.write_bytes(content)
    assert verify(folder, [manifest.id], quiet) == []


def test_a_damaged_backup_ends_verify_and_restore_with_the_same_status_and_nothing_is_restored(
    mesh: Mesh, empty: Mesh, folder: FolderTarget, quiet: Progress
) -> None:
    manifest = make_backup(Source(mesh.databases, mesh.bucket), folder, quiet)
    name = next(name for name, _ in folder.files("objects/"))
    (folder.root / name).write_bytes(b"?")
    assert mesh.operate("verify", str(folder.root)).returncode == Damaged.exit_code
    done = empty.operate("restore", str(folder.root))
    assert done.returncode == Damaged.exit_code and name.rpartition("/")[2] in done.stdout
    assert not empty.bucket.exists()
    assert [database.rows() for database in empty.databases] == [{}] * 4
    assert all(database.is_marked() is None for database in empty.databases)
    # A look at one that is whole, as a person who was frightened takes it.
    (folder.root / name).unlink()
    again = make_backup(Source(mesh.databases, mesh.bucket), folder, quiet)
    assert again.id != manifest.id and verify(folder, [manifest.id, again.id], quiet) == [], "the next backup brought it back"


def test_files_that_do_not_belong_to_a_backup_are_named(mesh: Mesh, folder: FolderTarget, quiet: Progress) -> None:
    manifest = make_backup(Source(mesh.databases, mesh.bucket), folder, quiet)
    (folder.root / "backups" / manifest.id / "stranger").write_bytes(b"?")
    assert verify(folder, [manifest.id], quiet) == [f"backups/{manifest.id}/stranger is not of this backup."]
