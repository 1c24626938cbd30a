"""A manifest is believed only where it can be one of ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from labelmesh_operations.errors import Damaged
from labelmesh_operations.manifest import Collection, DatabaseDump, Manifest, StoredFile, read_manifest, write_manifest
from labelmesh_operations.target import FolderTarget

ID = "20261121T163632Z"


def stored(name: str) -> StoredFile:
    return StoredFile(name, 1, "0" * 64)


DUMP = DatabaseDump("auth", stored("auth.dump"), "18.4", 18, "0001", "2026-11-21T16:36:32.000+00:00", {})
LIST = Collection(stored("objects.jsonl.gz"), 0, 0)
MANIFEST = Manifest(ID, "0.1.0", DUMP.taken_at, DUMP.taken_at, (DUMP,), LIST, None, (stored("attached/admin-password"),), ())


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    target = FolderTarget(tmp_path)
    write_manifest(target, MANIFEST)
    assert read_manifest(target, ID) == MANIFEST


@pytest.mark.parametrize("name", ["attached/../../../home/somebody/.profile", "/etc/profile", "attached//etc/profile", "..", "attached/"])
def test_a_file_that_leads_out_of_its_folder_is_refused_although_the_hash_is_right(tmp_path: Path, name: str) -> None:
    target = FolderTarget(tmp_path)
    for manifest in (
        replace(MANIFEST, attachments=(stored(name),)),
        replace(MANIFEST, databases=(replace(DUMP, file=stored(name)),)),
        replace(MANIFEST, objects=replace(LIST, list=stored(name))),
    ):
        write_manifest(target, manifest)
        with pytest.raises(Damaged, match="leads out of its folder"):
            read_manifest(target, ID)
