"""The other commands of `labelmesh augment`: one picture, previews, what there is, and pipelines that projects keep."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from labelmesh.labeling.v1 import projects_pb2
from labelmesh_client import Pipeline
from labelmesh_client.command.main import main
from labelmesh_client.command.terminal import Terminal

from tests.unit.client.answers import PROJECT
from tests.unit.client.augmenter import Augmenter
from tests.unit.client.server import ScriptedServer, Serve
from tests.unit.client.test_command import labelmesh

ROTATE = '{"steps": [{"transform": "rotate"}]}'


def with_project(augmenter: Augmenter, serve: Serve) -> ScriptedServer:
    def projects(_: object, __: object) -> projects_pb2.ListProjectsResponse:
        return projects_pb2.ListProjectsResponse(projects=[projects_pb2.Project(id=PROJECT, display_name="Camera traps / 1")])

    return serve({**augmenter.behaviours(), "ProjectService.ListProjects": projects})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "p.json").write_text(ROTATE)
    (tmp_path / "fox.png").write_bytes(b"\x89PNG fox")
    (tmp_path / "labels.json").write_text('{"boxes": [{"x": 1, "y": 2, "width": 3, "height": 4, "label": "fox"}]}')
    return tmp_path


def test_one_picture_and_its_recipe_make_the_same_file(serve: Serve, folder: Path) -> None:
    server = Augmenter().serve(serve)
    arguments = ("--pipeline", str(folder / "p.json"), "--seed", "7", "--copy", "3", "--labels", str(folder / "labels.json"))
    outputs = ("--labels-out", str(folder / "l.json"), "--recipe-out", str(folder / "r.json"))
    ran = labelmesh(server, "augment", "image", str(folder / "fox.png"), *arguments, *outputs, "--out", str(folder / "new.png"))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"{folder}/new.png: image/png, 100 x 80 pixels, 12 bytes\n  translate  x 0.4286\n"
    assert (folder / "new.png").read_bytes() == b"\x89PNG fox|7|3"
    assert json.loads((folder / "l.json").read_text())["boxes"][0]["x"] == 4
    sources: tuple[tuple[Path, tuple[str, ...]], ...] = ((folder / "r.json", ()), (folder / "recipes.jsonl", ("--of", "b.png")))
    for recipe, more in sources:
        made = json.loads((folder / "r.json").read_text())
        lines = [json.dumps({"file": name, "recipe": made | {"versions": {"of": name}}}) for name in ("a.png", "b.png")]
        (folder / "recipes.jsonl").write_text("\n".join(lines))
        again = labelmesh(
            server, "augment", "image", str(folder / "fox.png"), "--recipe", str(recipe), *more, "--out", str(folder / "x.png"), "--json"
        )
        versions = json.loads(again.out)["recipe"]["versions"]
        assert versions == ({"of": "b.png"} if more else made["versions"])
    for argument, part in (("--recipe", "say whose with --of"), ("--pipeline", "--of says which")):
        more = (argument, str(folder / "recipes.jsonl"), *(("--of", "a") if argument == "--pipeline" else ()))
        wrong = labelmesh(server, "augment", "image", str(folder / "fox.png"), *more, "--out", str(folder / "x.png"))
        assert (wrong.code, part in wrong.err) == (1, True)
    missing = ("--recipe", str(folder / "recipes.jsonl"), "--of", "none.png", "--out", str(folder / "x.png"))
    assert "has no recipe of none.png" in labelmesh(server, "augment", "image", str(folder / "fox.png"), *missing).err


def test_addresses_and_stdin_are_pictures_too(serve: Serve, folder: Path) -> None:
    augmenter = Augmenter()
    server = augmenter.serve(serve)
    arguments = ("--pipeline", str(folder / "p.json"), "--out", str(folder / "x.png"))
    assert labelmesh(server, "augment", "image", "https://example.org/fox.jpg", *arguments).code == 0
    piped = io.TextIOWrapper(io.BytesIO(b"\x89PNG\xff"))
    settings = {"LABELMESH_ADDRESS": server.address, "LABELMESH_API_KEY": "k", "HOME": "/nonexistent"}
    assert main(["augment", "image", "-", *arguments], Terminal(settings, piped, io.StringIO(), io.StringIO())) == 0
    assert [content for content, _ in augmenter.made] == [b"https://example.org/fox.jpg", b"\x89PNG\xff"]
    gone = labelmesh(server, "augment", "image", str(folder / "none.png"), *arguments)
    assert (gone.code, "cannot be read: No such file or directory" in gone.err) == (1, True)


def test_previews_become_a_page_that_needs_nothing_else_or_a_folder(serve: Serve, folder: Path) -> None:
    server = Augmenter().serve(serve)
    arguments = ("augment", "preview", str(folder / "fox.png"), "--pipeline", str(folder / "p.json"), "--count", "4")
    labels = ("--labels", str(folder / "labels.json"))
    ran = labelmesh(server, *arguments, *labels, "--out", str(folder / "sheet.html"))
    assert (ran.code, ran.out) == (0, f"{folder}/sheet.html: 4 previews with seed 0\n")
    assert ran.err == "warning: steps: there is but one step\n"
    page = (folder / "sheet.html").read_text()
    assert page.count("<figure>") == 5
    assert '<rect x="4" y="2" width="3" height="4"><title>fox</title></rect>' in page
    assert "http" not in page.replace("http-equiv", "")
    assert labelmesh(server, *arguments, "--out", str(folder / "previews")).code == 0
    assert sorted(path.name for path in (folder / "previews").iterdir()) == [
        *("0.png", "0.recipe.json", "1.png", "1.recipe.json", "2.png", "2.recipe.json", "3.png", "3.recipe.json", "original.png"),
    ]


def test_a_page_shows_names_as_they_are(serve: Serve, folder: Path) -> None:
    (folder / "labels.json").write_text(json.dumps({"boxes": [{"x": 1, "y": 2, "width": 3, "height": 4, "label": "<script>"}]}))
    arguments = ("--pipeline", str(folder / "p.json"), "--labels", str(folder / "labels.json"), "--out", str(folder / "sheet.html"))
    (folder / "<b>.png").write_bytes(b"\x89PNG")
    assert labelmesh(Augmenter().serve(serve), "augment", "preview", str(folder / "<b>.png"), *arguments).code == 0
    page = (folder / "sheet.html").read_text()
    assert "<script>" not in page
    assert "<b>.png" not in page
    assert "&lt;script&gt;" in page


def test_transforms_are_told_with_all_that_they_take(serve: Serve) -> None:
    server = Augmenter().serve(serve)
    listing = labelmesh(server, "augment", "transforms")
    assert listing.out.splitlines()[:4] == ["geometry", "  rotate  Turns the picture.", "", "mixing"]
    shown = labelmesh(server, "augment", "transforms", "rotate").out
    assert "angle: number or [low, high] in °, -180 to 180; default [-15, 15]" in shown
    assert "Labels: They follow." in shown
    example = Pipeline.from_json([json.loads(shown.splitlines()[-1])])
    assert example.steps[0].transform == "rotate"
    assert "It takes 3 further pictures." in labelmesh(server, "augment", "transforms", "mosaic").out
    assert len(labelmesh(server, "augment", "transforms", "--json").out.splitlines()) == 3
    unknown = labelmesh(server, "augment", "transforms", "rotat")
    assert (unknown.code, "There is no transform “rotat”" in unknown.err) == (1, True)


def test_a_check_says_all_that_is_wrong(serve: Serve, folder: Path) -> None:
    server = Augmenter().serve(serve)
    assert labelmesh(server, "augment", "check", str(folder / "p.json")).out == "It is right.\n"
    assert json.loads(labelmesh(server, "augment", "check", str(folder / "p.json"), "--json").out) == json.loads(ROTATE)
    wrong = labelmesh(server, "augment", "check", "-", stdin='[{"transform": "a"}, {"transform": "b"}]')
    assert wrong.code == 1
    assert wrong.err.splitlines() == [
        "steps[0].transform: there is no transform “a”",
        "steps[1].transform: there is no transform “b”",
        "2 things are wrong with it",
    ]
    assert "is not JSON" in labelmesh(server, "augment", "check", "-", stdin="{").err


def test_the_example_is_a_pipeline(serve: Serve) -> None:
    ran = labelmesh("http://127.0.0.1:1", "augment", "example")
    pipeline = Pipeline.from_json(ran.out)
    assert len(pipeline.steps) == 7
    assert Pipeline.from_json(pipeline.to_json()) == pipeline


def test_projects_keep_pipelines_by_version(serve: Serve, folder: Path) -> None:
    server = with_project(Augmenter(), serve)
    project = "Camera traps / 1"
    for version in (1, 2):
        (folder / "p.json").write_text(json.dumps({"steps": [{"transform": "rotate"}] * version}))
        saved = labelmesh(server, "augment", "pipelines", "save", project, "night", str(folder / "p.json"), "--note", f"n{version}")
        assert saved.out == f"“night” of “{project}” is at version {version}\n"
    assert labelmesh(server, "augment", "pipelines", "list", project).out.splitlines()[1].split() == ["night", "2", "2", "-", "n2"]
    assert len(labelmesh(server, "augment", "pipelines", "list", project, "night").out.splitlines()) == 3
    shown = labelmesh(server, "augment", "pipelines", "show", project, "night", "--version", "1")
    assert json.loads(shown.out) == json.loads(ROTATE)
    as_json = json.loads(labelmesh(server, "augment", "pipelines", "show", project, "night", "--json").out)
    assert Pipeline.from_json(as_json) == Pipeline.read(folder / "p.json")
    out = ("--out", str(folder / "x.png"))
    assert labelmesh(server, "augment", "image", str(folder / "fox.png"), "--saved", f"{project}/night@1", *out).code == 0
    none = labelmesh(server, "augment", "image", str(folder / "fox.png"), "--saved", f"{project}/day", *out)
    assert (none.code, "There is no such pipeline" in none.err) == (1, True)
    assert labelmesh(server, "augment", "pipelines", "delete", project, "night").code == 0
    assert labelmesh(server, "augment", "pipelines", "list", project).out.splitlines()[1:] == []


@pytest.mark.parametrize(
    "argv",
    [
        ["augment"],
        ["augment", "image", "a.png", "--out", "b"],
        ["augment", "image", "a.png", "--pipeline", "p", "--saved", "a/b", "--out", "b"],
        ["augment", "image", "a.png", "--saved", "night", "--out", "b"],
        ["augment", "image", "a.png", "--pipeline", "p", "--seed", "4294967296", "--out", "b"],
        ["augment", "preview", "a.png", "--pipeline", "p", "--count", "25", "--out", "b"],
        ["augment", "preview", "a.png", "--pipeline", "p", "--side", "0", "--out", "b"],
        ["augment", "folder", "a", "--pipeline", "p", "--out", "b", "--copies", "0"],
        ["augment", "folder", "a", "--pipeline", "p", "--out", "b", "--in-flight", "1001"],
        ["augment", "folder", "a", "--pipeline", "p", "--out", "b", "--format", "bmp"],
        ["augment", "folder", "a", "--pipeline", "p", "--out", "b", "--annotations", "x", "--no-annotations"],
        ["augment", "pipelines", "list"],
    ],
)
def test_arguments_that_make_no_sense_end_with_2(argv: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as left:
        labelmesh("http://127.0.0.1:1", *argv)
    assert left.value.code == 2
    assert "usage: labelmesh augment" in capsys.readouterr().err
