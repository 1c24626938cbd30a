"""The model repository's way to object storage and to a GPU node."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
from labelmesh_client.repository import ModelRepository
from labelmesh_operations import modelfolder
from labelmesh_operations.errors import Damaged, OperationError
from labelmesh_operations.models import StoredModels
from labelmesh_operations.progress import Progress

from tests.integration.operations.meshes import Mesh, make_models


@pytest.fixture
def stored(empty: Mesh, quiet: Progress) -> StoredModels:
    return StoredModels(empty.bucket, "models", quiet)


def test_models_go_there_and_back_and_only_what_differs_moves(empty: Mesh, stored: StoredModels, tmp_path: Path) -> None:
    here, there = make_models(tmp_path / "here"), tmp_path / "there"
    stored.push(here)
    keys = empty.objects()
    assert len([key for key in keys if "/files/" in key]) == 3, "what is the same in two versions is stored once"
    stored.fetch(there)
    assert modelfolder.versions(there) == [("digits", "1"), ("digits", "2")]
    assert f'base_path: "{there}/digits"' in (there / "models.config").read_text()
    inodes = {path: path.stat().st_ino for path in there.rglob("*") if path.is_file()}
    modified = {found.object_name: found.last_modified for found in empty.client.list_objects(empty.store.bucket, recursive=True)}
    stored.push(here)
    stored.fetch(there)
    assert {path: path.stat().st_ino for path in there.rglob("*") if path.is_file()} == inodes
    assert {found.object_name: found.last_modified for found in empty.client.list_objects(empty.store.bucket, recursive=True)} == modified


def test_a_changed_version_is_brought_up_to_date_and_others_go_only_where_asked(stored: StoredModels, tmp_path: Path) -> None:
    here, there = make_models(tmp_path / "here"), tmp_path / "there"
    stored.push(here)
    stored.fetch(there, served_path="/models")
    (there / "digits" / "2" / "saved_model.pb").write_bytes(b"cut off")
    (here / "digits" / "1" / "saved_model.pb").write_bytes(b"another graph")
    shutil.rmtree(here / "digits" / "2")
    stored.push(here)
    stored.fetch(there, served_path="/models")
    assert (there / "digits" / "1" / "saved_model.pb").read_bytes() == b"another graph"
    assert (there / "digits" / "2" / "saved_model.pb").read_bytes() == b"graph of digits 2" * 1000
    assert 'base_path: "/models/digits"' in (there / "models.config").read_text()
    stored.push(here, delete=True)
    stored.fetch(there, delete=True)
    assert modelfolder.versions(there) == [("digits", "1")]


def test_a_version_is_seen_whole_or_not_at_all(stored: StoredModels, tmp_path: Path) -> None:
    here, there = make_models(tmp_path / "here", [("digits", number) for number in range(1, 20)]), tmp_path / "there"
    stored.push(here)
    wanted = {number: modelfolder.version_entries(here / "digits" / number) for _, number in modelfolder.versions(here)}
    half: list[str] = []
    seen: set[str] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            configured = (there / "models.config").exists()
            names = [number for _, number in modelfolder.versions(there)]
            seen.update(names)
            half.extend(number for number in names if modelfolder.version_entries(there / "digits" / number) != wanted[number])
            if configured and len(names) < len(wanted):
                half.append("the configuration came before the versions")

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        stored.fetch(there)
    finally:
        done.set()
        watcher.join()
    assert not half
    assert modelfolder.versions(there) == modelfolder.versions(here)


def test_damaged_content_never_becomes_a_version(empty: Mesh, stored: StoredModels, tmp_path: Path) -> None:
    stored.push(make_models(tmp_path / "here"))
    key = next(key for key in sorted(empty.objects()) if "/files/" in key)
    empty.put(key, b"damaged")
    with pytest.raises(Damaged):
        stored.fetch(tmp_path / "there")
    assert not (tmp_path / "there" / "models.config").exists()
    whole = modelfolder.versions(tmp_path / "there")
    assert len(whole) < 2
    assert [entry.name for entry in (tmp_path / "there").iterdir() if entry.name.startswith(".incoming")] == []


def test_nothing_there_yet_gives_a_repository_that_a_model_server_starts_on(empty: Mesh, tmp_path: Path) -> None:
    done = empty.operate("models", "fetch", "--prefix", "models", "--to", str(tmp_path / "models"))
    assert done.returncode == 0, done.stdout
    assert ModelRepository(tmp_path / "models").served("digits") == ()
    with pytest.raises(OperationError, match=r"no models\.config"):
        StoredModels(empty.bucket, "models", Progress(quiet=True)).push(tmp_path / "nowhere")


def test_a_name_that_leads_out_of_the_folder_is_refused(empty: Mesh, stored: StoredModels, tmp_path: Path) -> None:
    stored.push(make_models(tmp_path / "here"))
    listing = empty.get("models/versions/digits/1.json")
    empty.put("models/versions/digits/1.json", listing.replace(b'"saved_model.pb"', b'"../../../escaped"'))
    with pytest.raises(Damaged, match="leads out"):
        stored.fetch(tmp_path / "there")
    assert not (tmp_path / "escaped").exists()
