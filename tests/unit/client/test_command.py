"""The command as a person meets it: sentences, exit codes, going on after an interruption."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from labelmesh.labeling.v1 import images_pb2
from labelmesh_client.command.main import main
from labelmesh_client.command.terminal import Terminal

from tests.unit.client.server import ScriptedServer, Serve
from tests.unit.client.shelf import Shelf


@dataclass
class Ran:
    code: int
    out: str
    err: str


def labelmesh(server: ScriptedServer | str, *argv: str, stdin: str = "", **environment: str) -> Ran:
    address = server if isinstance(server, str) else server.address
    out, err = io.StringIO(), io.StringIO()
    settings = {"LABELMESH_ADDRESS": address, "LABELMESH_API_KEY": "lmk_test", "HOME": "/nonexistent", **environment}
    code = main(argv, Terminal(settings, io.StringIO(stdin), out, err))
    return Ran(code, out.getvalue(), err.getvalue())


def test_a_folder_with_bad_files_goes_in_but_for_them_and_says_which_and_why(serve: Serve, tmp_path: Path) -> None:
    shelf = Shelf()
    server = shelf.serve(serve)
    for number in range(20):
        (tmp_path / f"{number:02}.png").write_bytes(b"content %d" % number)
    (tmp_path / "bad.jpg").write_bytes(b"bad")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_bytes(b"notes")
    os.symlink("/etc/hostname", tmp_path / "outside.png")
    ran = labelmesh(server, "import", "folder", str(tmp_path), "--project", "mine", "--classes", "fox, Red deer")
    assert ran.code == 1
    assert ran.out.startswith("23 images: 20 added, 0 there already, 3 refused (")
    assert "made the project “mine” with the classes fox, Red deer" in ran.err
    assert "refused bad.jpg: it is no image" in ran.err
    assert "refused empty.png: the file is empty" in ran.err
    assert "refused outside.png: it is a link that leads out of the folder" in ran.err
    assert "left out 1 file that is neither JPEG nor PNG by name (1 .txt)" in ran.err
    assert [(one.id, one.display_name, one.hotkey) for one in shelf.projects[0].classes] == [
        ("fox", "fox", "1"),
        ("red-deer", "Red deer", "2"),
    ]
    again = labelmesh(server, "import", "folder", str(tmp_path), "--project", "mine", "--allow-bad", "3", "--json")
    assert again.code == 0
    summary = json.loads(again.out)
    assert (summary["added"], summary["present"], summary["refused"]) == (0, 20, 3)
    assert {problem["name"] for problem in summary["problems"]} == {"bad.jpg", "empty.png", "outside.png"}
    assert len(shelf.projects) == 1


def test_a_project_that_is_missing_is_made_only_when_its_classes_are_said(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    ran = labelmesh(Shelf().serve(serve), "import", "folder", str(tmp_path), "--project", "mine")
    assert ran.code == 1
    assert ran.err == "labelmesh: There is no project “mine” yet. Say which classes it has to make it: --classes fox,deer,nothing.\n"


def test_mnist_files_go_in_part_by_part_with_a_limit(serve: Serve, tmp_path: Path) -> None:
    for prefix, count in (("train", 30), ("t10k", 10)):
        pixels = b"".join(bytes([number, len(prefix)] + [7] * 782) for number in range(count))
        (tmp_path / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(struct.pack(">IIII", 2051, count, 28, 28) + pixels))
    shelf = Shelf()
    server = shelf.serve(serve)
    ran = labelmesh(server, "import", "mnist", str(tmp_path), "--split", "all", "--limit", "20")
    assert (ran.code, ran.out[:34]) == (0, "30 images: 30 added, 0 there alrea")
    names = {image.name for batch in shelf.batches for image in batch.images}
    assert {"mnist-train-00000.png", "mnist-train-00019.png", "mnist-test-00009.png"} <= names
    labels = labelmesh(server, "import", "mnist", str(tmp_path), "--labels", "as-machine")
    assert labels.code == 1
    assert "has no file train-labels-idx1-ubyte or train-labels-idx1-ubyte.gz" in labels.err


@pytest.mark.parametrize("argv", [[], ["import"], ["import", "folder"], ["stats"], ["demo", "digits", "--workers", "0"], ["nonsense"]])
def test_arguments_that_make_no_sense_end_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        labelmesh("http://127.0.0.1:1", *argv)
    assert left.value.code == 2
    assert "usage: labelmesh" in capsys.readouterr().err


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (
        ["import", "mnist"],
        ["demo", "digits"],
        ["priorities", "set"],
        ["annotations", "export"],
        ["keys", "create"],
        ["users", "create"],
    ):
        with pytest.raises(SystemExit) as left:
            labelmesh("http://127.0.0.1:1", *argv, "--help")
        assert left.value.code == 0
        assert "examples:" in capsys.readouterr().out


def test_priorities_are_set_by_id_content_or_name_and_nothing_is_set_when_a_line_is_wrong(serve: Serve) -> None:
    ids = [f"00000000-0000-0000-0000-00000000000{number}" for number in range(4)]
    set_to: dict[str, float] = {}

    def listing(_: object, __: grpc.ServicerContext) -> images_pb2.ListImagesResponse:
        return images_pb2.ListImagesResponse(
            images=[images_pb2.Image(id=ids[0], name="a.png"), images_pb2.Image(id=ids[1], name="b, b.png")]
        )

    def apply(request: images_pb2.SetPrioritiesRequest, __: grpc.ServicerContext) -> images_pb2.SetPrioritiesResponse:
        set_to.update({one.image_id: one.priority for one in request.priorities})
        return images_pb2.SetPrioritiesResponse(set_count=len(request.priorities))

    shelf = Shelf()
    shelf.contents = {"ab" * 32: ids[2]}
    server = serve({**shelf.behaviours(), "ImageService.ListImages": listing, "ImageService.SetPriorities": apply})
    labelmesh(server, "projects", "create", "mine", "--classes", "a,b")
    lines = f'image,priority\na.png,1\n"b, b.png",2.5\n{"ab" * 32},-3\n\n{ids[3]},4e2\n'
    ran = labelmesh(server, "priorities", "set", "-", "--project", "mine", stdin=lines)
    assert (ran.code, ran.err) == (0, "4 priorities set in “mine”.\n")
    assert set_to == {ids[0]: 1.0, ids[1]: 2.5, ids[2]: -3.0, ids[3]: 400.0}
    set_to.clear()
    for wrong, part in (
        (f"a.png,1\nb.png,high\n{ids[0]},nan\n", "line 2"),
        ("c.png,1\n", "no image c.png"),
        (f"a.png,1\n\n{ids[0]},2\n", "stands in line 1 already"),
        ("x,inf\n", "line 1"),
        ("", "no priorities"),
    ):
        ran = labelmesh(server, "priorities", "set", "-", "--project", "mine", stdin=wrong)
        assert ran.code == 1
        assert part in ran.err
    assert set_to == {}


def test_names_cannot_steer_the_terminal_and_stay_as_they_are_in_json(serve: Serve) -> None:
    shelf = Shelf()
    server = shelf.serve(serve)
    name = "evil\x1b]0;title\x07\x9b2J"
    labelmesh(server, "projects", "create", name, "--classes", "a")
    shown = labelmesh(server, "projects", "list").out
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown.replace("\n", ""))
    as_json = labelmesh(server, "projects", "list", "--json").out
    assert "\x1b" not in as_json
    assert "\x9b" not in as_json
    assert json.loads(as_json)["display_name"] == name
