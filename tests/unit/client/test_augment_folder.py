"""`labelmesh augment folder`: what comes out, going on after any interruption, and what it says."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from labelmesh_client import ConfigurationError
from labelmesh_client.augmenting.journal import Journal, Lock, OutFolder
from labelmesh_client.augmenting.names import NamePattern, Stems
from labelmesh_client.augmenting.sources import scan
from PIL import Image

from tests.unit.client.augmenter import Augmenter
from tests.unit.client.server import ScriptedServer, Serve
from tests.unit.client.test_command import Ran, labelmesh

ROTATE = '{"steps": [{"transform": "rotate"}]}'


def picture(number: int, size: tuple[int, int] = (20, 10), form: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (number % 256, number // 256 % 256, 9)).save(out, form)
    return out.getvalue()


def pictures(folder: Path, count: int = 6) -> Path:
    for number in range(count):
        path = folder / "photos" / ("night" if number % 3 == 2 else "") / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
        os.utime(path, ns=(10**18, 10**18 + number))
    (folder / "p.json").write_text(ROTATE)
    return folder / "photos"


def augment(server: ScriptedServer, folder: Path, out: str = "out", *more: str, pipeline: str = "p.json", copies: int = 2) -> Ran:
    arguments = ("--pipeline", str(folder / pipeline), "--out", str(folder / out), "--copies", str(copies), *more)
    return labelmesh(server, "augment", "folder", str(folder / "photos"), *arguments)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def coco_of(*boxes: tuple[str, list[float]], **more: Any) -> dict[str, Any]:
    names = sorted({name for name, _ in boxes})
    return {
        "info": {"year": 2026},
        "images": [{"id": 10 + n, "file_name": name, "width": 20, "height": 10, "license": 1} for n, name in enumerate(names)],
        "licenses": [{"id": 1, "name": "CC0"}],
        "categories": [{"id": 3, "name": "fox", "keypoints": ["left_eye", "right_eye"], "skeleton": [[1, 2]]}],
        "annotations": [
            {"id": 100 + n, "image_id": 10 + names.index(name), "category_id": 3, "bbox": box, "area": 1, "iscrowd": 0}
            for n, (name, box) in enumerate(boxes)
        ],
    } | more


def test_pictures_and_labels_come_out_and_a_second_run_changes_nothing(serve: Serve, tmp_path: Path) -> None:
    photos, augmenter = pictures(tmp_path), Augmenter()
    labels = coco_of(("000.png", [1, 2, 3, 4]), ("night/002.png", [5, 5, 5.5, 5]), ("000.png", [0, 0, 2, 2]))
    (photos / "annotations.json").write_text(json.dumps(labels))
    (photos / "readme.txt").write_text("text")
    server = augmenter.serve(serve)
    ran = augment(server, tmp_path)
    assert ran.code == 0, ran.err
    assert ran.out.startswith("6 pictures: 12 results made, 0 there already (")
    assert "left out 1 file that is no JPEG, PNG, GIF, WebP or TIFF (1 .txt)" in ran.err
    assert "3 boxes, for 2 of 6 pictures" in ran.err
    assert "left_eye and right_eye change places" in ran.err
    out = tmp_path / "out"
    made = json.loads((out / "annotations.json").read_text())
    assert [image["file_name"] for image in made["images"]] == [
        *("000-0.png", "000-1.png", "001-0.png", "001-1.png", "003-0.png", "003-1.png", "004-0.png", "004-1.png"),
        *("night/002-0.png", "night/002-1.png", "night/005-0.png", "night/005-1.png"),
    ]
    assert (made["info"], made["licenses"], made["categories"]) == (labels["info"], labels["licenses"], labels["categories"])
    image = made["images"][1]
    content = (out / "000-1.png").read_bytes()
    assert image == {
        "id": 2,
        "file_name": "000-1.png",
        "width": 100,
        "height": 80,
        "license": 1,
        "labelmesh": {
            "source_file": "000.png",
            "copy": 1,
            "source_sha256": hashlib.sha256(picture(0)).hexdigest(),
            "seed": 0,
            "sha256": hashlib.sha256(content).hexdigest(),
        },
    }
    assert content == picture(0) + b"|0|1"
    assert [(one["id"], one["image_id"], one["bbox"], one["area"]) for one in made["annotations"]] == [
        (1, 1, [1, 2, 3, 4], 12),
        (2, 1, [0, 0, 2, 2], 4),
        (3, 2, [2, 2, 3, 4], 12),
        (4, 2, [1, 0, 2, 2], 4),
        (5, 9, [5, 5, 5.5, 5], 27.5),
        (6, 10, [6, 5, 5.5, 5], 27.5),
    ]
    recipes = [json.loads(line) for line in (out / "recipes.jsonl").read_text().splitlines()]
    assert [recipe["file"] for recipe in recipes] == [image["file_name"] for image in made["images"]]
    assert recipes[1]["recipe"]["steps"] == [{"transform": "translate", "parameters": {"x": 1 / 7}, "path": [0]}]
    before, asked = tree(out), len(augmenter.made)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file() and path.name != "lock"}
    again = augment(server, tmp_path)
    assert (again.code, again.out) == (0, f"nothing to do: 12 results are in {out}\n")
    assert tree(out) == before
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert len(augmenter.made) == asked


def test_a_run_that_breaks_off_anywhere_goes_on_and_ends_with_the_same_bytes(serve: Serve, tmp_path: Path) -> None:
    photos, augmenter = pictures(tmp_path, 12), Augmenter()
    (photos / "annotations.json").write_text(json.dumps(coco_of(*((f"{n:03}.png", [n, 1.5, 3, 4]) for n in range(0, 12, 3)))))
    (photos / "broken.png").write_bytes(picture(500) + b"bad")
    server = augmenter.serve(serve)
    augment(server, tmp_path, "whole")
    journal = tmp_path / "cut" / ".labelmesh" / "journal.jsonl"
    present = 0
    for results in (1, 7, 6):
        augmenter.breaks = [(results, "fatal")]
        ran = augment(server, tmp_path, "cut")
        present += results
        assert (ran.code, f"{present} of 26 results are there; the same command goes on from there" in ran.err) == (1, True), ran.err
        assert not (tmp_path / "cut" / "annotations.json").exists()
        with journal.open("ab") as file:
            file.write(b'{"source":"torn')
    assert journal.read_bytes().count(b'"recipe"') == present
    augmenter.made.clear()
    ran = augment(server, tmp_path, "cut")
    assert ran.code == 1
    assert f"{present} there already, 1 file failed" in ran.out
    assert len(augmenter.made) == 24 - present
    assert tree(tmp_path / "cut") == tree(tmp_path / "whole")


@pytest.mark.parametrize(
    ("more", "copies", "said"),
    [
        (("--seed", "1"), 2, "the seed is another now"),
        ((), 3, "the number of copies is another now"),
        (("--format", "jpeg", "--originals"), 2, "the pipeline and the choice of originals are others now"),
    ],
)
def test_a_folder_of_another_run_is_left_alone(serve: Serve, tmp_path: Path, more: tuple[str, ...], copies: int, said: str) -> None:
    pictures(tmp_path)
    server = Augmenter().serve(serve)
    augment(server, tmp_path)
    before = tree(tmp_path / "out")
    ran = augment(server, tmp_path, "out", *more, copies=copies)
    assert (ran.code, said in ran.err, "--overwrite" in ran.err) == (1, True, True), ran.err
    assert tree(tmp_path / "out") == before
    (tmp_path / "out" / "mine.txt").write_text("mine")
    anew = augment(server, tmp_path, "out", *more, "--overwrite", copies=copies)
    assert anew.code == 0, anew.err
    fresh = augment(server, tmp_path, "fresh", *more, copies=copies)
    assert fresh.code == 0
    (tmp_path / "out" / "mine.txt").unlink()
    assert tree(tmp_path / "out") == tree(tmp_path / "fresh")


def test_a_folder_with_other_things_in_it_is_not_written_to(serve: Serve, tmp_path: Path) -> None:
    photos = pictures(tmp_path)
    server = Augmenter().serve(serve)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("x")
    ran = augment(server, tmp_path)
    assert (ran.code, "has files in it that no run of this command made" in ran.err) == (1, True)
    for out in ("photos", "."):
        assert "name another one" in augment(server, tmp_path, out).err
    inside = augment(server, tmp_path, "photos/out")
    assert inside.code == 0
    assert augment(server, tmp_path, "photos/out").out.startswith("nothing to do")
    assert len(scan(photos, without=[photos / "out"]).files) == 6


def test_what_changed_is_done_again_and_what_is_gone_is_removed(serve: Serve, tmp_path: Path) -> None:
    photos, augmenter = pictures(tmp_path), Augmenter()
    (photos / "annotations.json").write_text(json.dumps(coco_of(("000.png", [1, 2, 3, 4]), ("001.png", [1, 2, 3, 4]))))
    server = augmenter.serve(serve)
    augment(server, tmp_path)
    augmenter.made.clear()
    (photos / "003.png").write_bytes(picture(77))
    (photos / "004.png").unlink()
    (photos / "new.png").write_bytes(picture(88))
    (photos / "annotations.json").write_text(json.dumps(coco_of(("000.png", [1, 2, 3, 4]), ("001.png", [9, 2, 3, 4]))))
    (tmp_path / "out" / "night" / "005-1.png").unlink()
    ran = augment(server, tmp_path)
    assert ran.code == 0, ran.err
    expected = sorted([(picture(n), copy) for n in (1, 77, 88) for copy in (0, 1)] + [(picture(5), 1)])
    assert sorted(augmenter.made) == expected
    assert augment(server, tmp_path, "fresh").code == 0
    assert tree(tmp_path / "out") == tree(tmp_path / "fresh")


def test_the_results_of_another_folder_are_not_removed(serve: Serve, tmp_path: Path) -> None:
    photos = pictures(tmp_path)
    server = Augmenter().serve(serve)
    augment(server, tmp_path)
    before = tree(tmp_path / "out")
    for path in list(photos.rglob("*.png")):
        path.unlink()
    (photos / "other.png").write_bytes(picture(1))
    ran = augment(server, tmp_path)
    assert (ran.code, "has the results of another folder of pictures" in ran.err) == (1, True)
    assert tree(tmp_path / "out") == before


def test_a_picture_that_failed_for_reasons_of_the_service_is_tried_again_by_the_next_run(serve: Serve, tmp_path: Path) -> None:
    photos, augmenter = pictures(tmp_path, 2), Augmenter()
    (photos / "x.png").write_bytes(picture(9) + b"deadly")
    server = augmenter.serve(serve)
    ran = augment(server, tmp_path)
    assert (ran.code, "failed x.png: Workers died over this" in ran.err) == (1, True)
    assert json.loads((tmp_path / "out" / "annotations.json").read_text())["images"][-1]["file_name"] == "001-1.png"
    again = augment(server, tmp_path)
    assert "failed x.png" in again.err
    assert sum("deadly" in str(content) for content, _ in augmenter.made) == 0


def test_a_file_that_power_loss_left_empty_is_made_again(serve: Serve, tmp_path: Path) -> None:
    pictures(tmp_path)
    server = Augmenter().serve(serve)
    augment(server, tmp_path)
    before = tree(tmp_path / "out")
    journal = tmp_path / "out" / ".labelmesh" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'{"settled":true}\n', b""))
    spoiled = tmp_path / "out" / "001-1.png"
    spoiled.write_bytes(bytes(spoiled.stat().st_size))
    assert augment(server, tmp_path).code == 0
    assert tree(tmp_path / "out") == before


def test_bad_pictures_are_named_and_the_rest_is_done(serve: Serve, tmp_path: Path) -> None:
    photos, augmenter = pictures(tmp_path), Augmenter()
    (photos / "broken.png").write_bytes(picture(500) + b"bad")
    (photos / "text.jpg").write_text("no picture")
    (photos / "empty.gif").write_bytes(b"")
    (photos / "film.avi").write_bytes(b"RIFF")
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (20, 10)).save(turned, "JPEG", exif=exif)
    (photos / "turned.jpg").write_bytes(turned.getvalue())
    (photos / "annotations.json").write_text(json.dumps(coco_of(("turned.jpg", [1, 2, 3, 4]))))
    server = augmenter.serve(serve)
    ran = augment(server, tmp_path)
    assert ran.code == 1
    assert "4 files failed" in ran.out
    assert "failed broken.png: it is no image" in ran.err
    assert "failed empty.gif: the file is empty" in ran.err
    assert "failed text.jpg: by its content it is no JPEG, PNG, GIF, WebP or TIFF" in ran.err
    assert (
        "failed turned.jpg: the picture is 10 x 20 pixels, the labels are for 20 x 10; they were made for the picture as it lies" in ran.err
    )
    assert "(1 .avi)" in ran.err
    asked = len(augmenter.made)
    again = augment(server, tmp_path, "out", "--allow-bad", "4", "--json")
    assert again.code == 0
    summary = json.loads(again.out)
    assert (summary["made"], summary["present"], summary["failed"], summary["changed"]) == (0, 12, 4, False)
    assert {one["name"]: one["reason"] for one in summary["problems"]}["turned.jpg"] == "LABEL_INVALID"
    assert summary["left_out"] == {".avi": 1}
    assert len(augmenter.made) == asked


def test_names_too_long_for_results_are_said_and_the_rest_is_done(serve: Serve, tmp_path: Path) -> None:
    photos, augmenter = pictures(tmp_path), Augmenter()
    # With "-1" and as many letters of an ending as one may have: one letter more than names can have, and just as many.
    (photos / ("0" * 249 + ".png")).write_bytes(picture(500))
    (photos / ("1" * 248 + ".png")).write_bytes(picture(501))
    server = augmenter.serve(serve)
    ran = augment(server, tmp_path)
    assert (ran.code, ran.err.count("its name is too long for names of results")) == (1, 1)
    assert "14 results made" in ran.out
    assert (tmp_path / "out" / ("1" * 248 + "-1.png")).exists()
    assert len(json.loads((tmp_path / "out" / "annotations.json").read_text())["images"]) == 14
    asked = len(augmenter.made)
    assert augment(server, tmp_path, "out", "--allow-bad", "1").code == 0
    assert len(augmenter.made) == asked
    # "-original" is longer than a number.
    named = augment(server, tmp_path, "originals", "--originals", "--allow-bad", "2")
    assert named.code == 0, named.err
    assert sorted(name[248:] for name in tree(tmp_path / "originals") if name.startswith("1")) == ["-0.png", "-1.png"]


def test_further_pictures_are_chosen_by_the_seed_and_bad_ones_replaced(serve: Serve, tmp_path: Path) -> None:
    photos, augmenter = pictures(tmp_path, 8), Augmenter()
    (photos / "zbroken.png").write_bytes(picture(500) + b"bad")
    (tmp_path / "p.json").write_text('[{"transform": "one_of", "steps": [{"transform": "mosaic"}]}]')
    server = augmenter.serve(serve)
    assert augment(server, tmp_path).code == 1
    recipes = [json.loads(line) for line in (tmp_path / "out" / "recipes.jsonl").read_text().splitlines()]
    assert len(recipes) == 16
    for recipe in recipes:
        assert len(set(recipe["further"])) == 3
        assert recipe["source"] not in recipe["further"]
        assert "zbroken.png" not in recipe["further"]
        parts = [(photos / name).read_bytes() for name in recipe["further"]]
        content = (photos / recipe["source"]).read_bytes() + b"|0|%d" % recipe["copy"] + b"".join(b"+" + part for part in parts)
        assert (tmp_path / "out" / recipe["file"]).read_bytes() == content
    assert len({tuple(recipe["further"]) for recipe in recipes}) > 8
    augment(server, tmp_path, "again")
    assert tree(tmp_path / "again") == tree(tmp_path / "out")
    assert augment(server, tmp_path).out.startswith("nothing to do")
    augment(server, tmp_path, "other", "--seed", "4")
    assert tree(tmp_path / "other") != tree(tmp_path / "out")


def test_too_few_pictures_are_mixed_in_several_times(serve: Serve, tmp_path: Path) -> None:
    pictures(tmp_path, 2)
    (tmp_path / "p.json").write_text('[{"transform": "mosaic"}]')
    assert augment(Augmenter().serve(serve), tmp_path, copies=1).code == 0
    recipes = [json.loads(line) for line in (tmp_path / "out" / "recipes.jsonl").read_text().splitlines()]
    assert [recipe["further"] for recipe in recipes] == [["001.png"] * 3, ["000.png"] * 3]


def test_originals_names_formats_and_metadata_are_as_asked(serve: Serve, tmp_path: Path) -> None:
    photos, augmenter = pictures(tmp_path, 2), Augmenter()
    (photos / "000.jpeg").write_bytes(picture(7, form="JPEG"))
    (photos / "annotations.json").write_text(json.dumps(coco_of(("000.png", [1, 2, 3, 4]))))
    server = augmenter.serve(serve)
    pattern = ("--name-pattern", "{copy:03}_{stem}", "--seed", "5", "--keep-metadata")
    assert augment(server, tmp_path, "out", "--originals", "--format", "jpeg", *pattern, copies=1).code == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("*_*")) == [
        *("000_000_jpeg.jpeg", "000_000_png.jpg", "000_001.jpg"),
        *("original_000_jpeg.jpeg", "original_000_png.png", "original_001.png"),
    ]
    assert (tmp_path / "out" / "original_000_png.png").read_bytes() == picture(0)
    first = augmenter.streams[0]
    assert (first.seed, first.pipeline.output.format, first.pipeline.output.keep_metadata) == (5, 1, True)
    made = json.loads((tmp_path / "out" / "annotations.json").read_text())
    original = next(image for image in made["images"] if image["file_name"] == "original_000_png.png")
    assert (original["width"], original["height"], original["labelmesh"]["copy"]) == (20, 10, None)
    assert [one["bbox"] for one in made["annotations"] if one["image_id"] == original["id"]] == [[1, 2, 3, 4]]


@pytest.mark.parametrize(
    "pattern", ["{copy}", "{stem}", "{stem}/{copy}", "{stem}{copy}{x}", ".{stem}{copy}", "{stem}{copy", "a:{stem}{copy}"]
)
def test_patterns_that_name_no_result_are_refused(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="--name-pattern"):
        NamePattern(pattern, copies=2, seed=0)


def test_no_two_results_have_the_same_name() -> None:
    with pytest.raises(ConfigurationError, match="two results the name"):
        Stems(["a.png", "a1.png"]).check(NamePattern("{stem}{copy}", copies=20, seed=0), 20, originals=False)
    names = ["a.jpg", "A.png", "a_jpg.gif", "b.jpg", "x/a.jpg", "a"]
    stems = Stems(names)
    made = {f"{name.rpartition('/')[0]}/{stems.of(place)}".casefold() for place, name in enumerate(names)}
    assert len(made) == len(names)
    assert [stems.of(place) for place in (2, 3, 4)] == ["a_jpg", "b", "a"]


def test_several_files_of_labels_are_asked_about(serve: Serve, tmp_path: Path) -> None:
    photos = pictures(tmp_path)
    server = Augmenter().serve(serve)
    for name in ("instances_train.json", "_annotations.coco.json"):
        (photos / name).write_text(json.dumps(coco_of(("000.png", [1, 2, 3, 4]))))
    ran = augment(server, tmp_path)
    assert (ran.code, "Say which with --annotations" in ran.err, "instances_train.json" in ran.err) == (1, True, True)
    assert augment(server, tmp_path, "out", "--annotations", str(photos / "instances_train.json")).code == 0
    assert augment(server, tmp_path, "bare", "--no-annotations").code == 0
    assert json.loads((tmp_path / "bare" / "annotations.json").read_text())["annotations"] == []


def test_a_pipeline_that_is_wrong_is_said_before_anything_is_done(serve: Serve, tmp_path: Path) -> None:
    pictures(tmp_path)
    (tmp_path / "p.json").write_text('[{"transform": "rotat"}]')
    ran = augment(Augmenter().serve(serve), tmp_path)
    assert ran.code == 1
    assert "steps[0].transform: there is no transform “rotat”" in ran.err
    assert not (tmp_path / "out").exists()


def test_two_runs_do_not_write_to_one_folder(serve: Serve, tmp_path: Path) -> None:
    pictures(tmp_path)
    server = Augmenter().serve(serve)
    augment(server, tmp_path)
    lock = Lock(tmp_path / "out" / ".labelmesh" / "lock")
    assert "Another run is writing to" in augment(server, tmp_path).err
    lock.release()
    assert augment(server, tmp_path).code == 0


def test_a_disk_that_takes_no_result_is_a_sentence(serve: Serve, tmp_path: Path) -> None:
    # Deeper than a path can be, once it is below a folder of a long name.
    deep = pictures(tmp_path).joinpath(*["n" * 239] * 16)
    deep.mkdir(parents=True)
    (deep / "a.png").write_bytes(picture(1))
    ran = augment(Augmenter().serve(serve), tmp_path, "o" * 255)
    assert ran.code == 1
    assert "cannot be written: File name too long." in ran.err


def test_the_journal_keeps_the_newest_line_and_forgets_none(tmp_path: Path) -> None:
    out = OutFolder(tmp_path)
    with Journal(tmp_path / "j", out, 3, 2) as journal:
        for source, slot, text in ((2, 1, "a"), (0, 0, "b"), (2, 1, "c"), (1, 1, "d")):
            out.write(text, b"x")
            journal.add(source, slot, {"file": text})
        assert [(source, slot, entry["file"]) for source, slot, entry in journal.newest()] == [(0, 0, "b"), (1, 1, "d"), (2, 1, "c")]
        journal.rewrite([{"bad_further": "z"}])
        assert [entry["file"] for _, _, entry in journal.newest()] == ["b", "d", "c"]
        assert [entry.get("file") for _, entry, is_settled in journal.lines() if is_settled] == [None, "b", "d", "c"]
