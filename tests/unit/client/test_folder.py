from __future__ import annotations

import os
from pathlib import Path

import pytest
from labelmesh_client import SourceError
from labelmesh_client.sources.folder import scan_folder


def names(folder: Path, *, recursive: bool = True) -> list[str]:
    return [file.name for file in scan_folder(folder, recursive=recursive).files]


def test_images_are_found_in_the_order_of_their_names_and_hidden_ones_passed_over(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", ".hidden.png", "sub/c.jpeg", "sub/.cache/d.png", "sub/deeper/e.Png", "notes.txt", "Thumbs.db", "README"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    scan = scan_folder(tmp_path)
    assert [file.name for file in scan.files] == ["a.png", "b.JPG", "sub/c.jpeg", "sub/deeper/e.Png"]
    assert dict(scan.other_endings) == {".txt": 1, ".db": 1, "without": 1}
    assert names(tmp_path, recursive=False) == ["a.png", "b.JPG"]


def test_links_in_a_loop_and_links_that_leave_the_folder_are_not_followed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    (inside / "sub").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret.png").write_bytes(b"secret")
    (inside / "real.png").write_bytes(b"real")
    os.symlink(inside, inside / "sub" / "loop")
    os.symlink(outside, inside / "elsewhere")
    os.symlink(outside / "secret.png", inside / "leaves.png")
    os.symlink(inside / "real.png", inside / "stays.png")
    os.symlink("self.png", inside / "self.png")
    os.symlink("nothing", inside / "broken.png")
    scan = scan_folder(inside)
    assert [file.name for file in scan.files] == ["real.png", "stays.png"]
    assert [file.read() for file in scan.files] == [b"real", b"real"]
    assert scan.linked_folders == ["elsewhere", "sub/loop"]
    reasons = dict(scan.unusable)
    assert set(reasons) == {"leaves.png", "self.png", "broken.png"}
    assert "leads out of the folder" in reasons["leaves.png"]


def test_a_folder_that_is_a_link_itself_may_be_given(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.png").write_bytes(b"x")
    os.symlink(tmp_path / "real", tmp_path / "link")
    assert names(tmp_path / "link") == ["a.png"]


def test_a_file_swapped_for_a_link_after_the_scan_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "in" / "a.png").write_bytes(b"x")
    file = scan_folder(tmp_path / "in").files[0]
    (tmp_path / "in" / "a.png").unlink()
    os.symlink(tmp_path / "secret", tmp_path / "in" / "a.png")
    with pytest.raises(OSError, match="symbolic links"):
        file.read()


def test_pipes_are_no_images_and_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    scan = scan_folder(tmp_path)
    assert scan.files == []
    assert scan.unusable == [("pipe.png", "it is not a regular file")]


def test_a_name_that_is_no_text_is_shown_with_replacement_characters(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9\n.png")).write_bytes(b"x")
    scan = scan_folder(tmp_path)
    assert [file.name for file in scan.files] == ["caf\ufffd\ufffd.png"]
    assert scan.files[0].read() == b"x"


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(SourceError, match=path.name):
            scan_folder(path)
