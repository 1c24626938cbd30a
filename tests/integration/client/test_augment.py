"""Augmenting through the gateway: folders that are interrupted, labels that an independent reader finds on the pixels, and programs."""

from __future__ import annotations

import base64
import io
import json
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
from labelmesh_client import (
    Augmented,
    BoxLabel,
    Client,
    InvalidArgument,
    LabelClass,
    PictureLabels,
    Pipeline,
    PipelineReference,
    ProjectImage,
    Recipe,
    Sample,
    StreamSample,
    connect,
)
from labelmesh_client.augmenting.example import EXAMPLE
from labelmesh_client.augmenting.rle import counts_of
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tests.integration.client.mesh import Mesh

MOVING = {
    "steps": [
        {"transform": "horizontal_flip", "probability": 0.5},
        {"transform": "affine", "parameters": {"angle": [-25, 25], "zoom": [0.8, 1.2], "x": [-0.1, 0.1], "y": [-0.1, 0.1]}},
        {"transform": "quarter_turn", "probability": 0.3},
        {"transform": "random_crop", "probability": 0.3},
    ],
    "labels": {"minVisibleShare": 0.3},
}
GREY = (90, 90, 90)
RED, GREEN, BLUE, YELLOW, CYAN = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255)


@pytest.fixture
def augmenting(augment_mesh: Mesh) -> Iterator[Client]:
    with connect(augment_mesh.address, api_key=augment_mesh.key()) as opened:
        yield opened


def noise(number: int, form: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(numpy.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=numpy.uint8)).save(out, form)
    return out.getvalue()


def scene(folder: Path, number: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A picture with a red box, a green triangle, a blue crowd, and a face with a yellow and a cyan eye, and COCO's words for them."""
    random = numpy.random.default_rng(number)
    width, height = 160 + 10 * (number % 3), 120
    image = Image.new("RGB", (width, height), GREY)
    draw = ImageDraw.Draw(image)
    x, y = (int(one) for one in random.integers(10, 40, 2))
    draw.rectangle((x, y, x + 29, y + 19), RED)  # the last pixel is inside
    triangle = [(90, 20), (130, 25), (100, 60)]
    draw.polygon(triangle, GREEN)
    crowd = Image.new("L", (width, height))
    ImageDraw.Draw(crowd).ellipse((20, 70, 60, 105), 1)
    image.paste(BLUE, mask=crowd.point(lambda value: value * 255))
    eyes = [(100, 90), (130, 92)]
    for eye, colour in zip(eyes, (YELLOW, CYAN), strict=True):
        draw.rectangle((eye[0] - 1, eye[1] - 1, eye[0] + 1, eye[1] + 1), colour)
    name = f"{'sub/' if number % 2 else ''}{number:03}.png"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    facts = {"id": number + 1, "file_name": name, "width": width, "height": height}
    common = {"image_id": number + 1, "category_id": 1, "iscrowd": 0}
    return facts, [
        {**common, "id": 10 * number + 1, "bbox": [x, y, 30, 20], "area": 600, "what": "red"},
        {
            **common,
            "id": 10 * number + 2,
            "bbox": [90.5, 20.5, 40, 40],
            "area": 775,
            "segmentation": [[90.5, 20.5, 130.5, 25.5, 100.5, 60.5]],
            "what": "green",
        },
        {
            **common,
            "id": 10 * number + 3,
            "iscrowd": 1,
            "bbox": [20, 70, 41, 36],
            "area": crowd.tobytes().count(1),
            "segmentation": {"size": [height, width], "counts": counts_of(crowd.tobytes(), width, height)},
            "what": "blue",
        },
        {
            **common,
            "id": 10 * number + 4,
            "category_id": 2,
            "bbox": [98, 88, 35, 7],
            "keypoints": [100, 90, 2, 130, 92, 2],
            "num_keypoints": 2,
            "what": "yellow",
        },
    ]


def scenes(folder: Path, count: int) -> Path:
    made = [scene(folder / "photos", number) for number in range(count)]
    categories = [
        {"id": 1, "name": "thing"},
        {"id": 2, "name": "face", "keypoints": ["left_eye", "right_eye"], "skeleton": []},
    ]
    document = {"images": [facts for facts, _ in made], "annotations": [one for _, many in made for one in many], "categories": categories}
    (folder / "photos" / "annotations.json").write_text(json.dumps(document))
    (folder / "p.json").write_text(json.dumps(MOVING))
    return folder / "photos"


def near(pixels: NDArray[numpy.uint8], colour: tuple[int, int, int]) -> NDArray[numpy.bool_]:
    """Where a picture has this colour, edges that were mixed with the grey around it by more than half left out."""
    return numpy.asarray((numpy.abs(pixels.astype(int) - numpy.array(colour)).sum(-1) < 255 * 0.9).astype(bool))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def decoded(segmentation: dict[str, Any]) -> NDArray[numpy.bool_]:
    """A run-length mask, by numpy alone."""
    height, width = segmentation["size"]
    values = numpy.repeat(numpy.arange(len(segmentation["counts"])) % 2, segmentation["counts"])
    return values.reshape(width, height).T.astype(bool)


def test_labels_lie_on_the_pixels_that_they_are_of(augment_mesh: Mesh, tmp_path: Path) -> None:
    photos = scenes(tmp_path, 12)
    out = tmp_path / "out"
    arguments = ("--pipeline", str(tmp_path / "p.json"), "--copies", "4", "--out", str(out), "--originals")
    ran = augment_mesh.labelmesh("augment", "folder", str(photos), *arguments)
    assert ran.code == 0, ran.err
    assert ran.out.startswith("12 pictures: 60 results made")
    assert "left_eye and right_eye change places" in ran.err
    made = json.loads((out / "annotations.json").read_text())
    images = {image["id"]: image for image in made["images"]}
    seen = {"red": 0, "green": 0, "blue": 0, "yellow": 0}
    recipes = [json.loads(line) for line in (out / "recipes.jsonl").read_text().splitlines()]
    mirrored = {one["file"] for one in recipes if any(step["transform"] == "horizontal_flip" for step in one["recipe"]["steps"])}
    assert 10 < len(mirrored) < 38
    for one in made["annotations"]:
        facts = images[one["image_id"]]
        with Image.open(out / facts["file_name"]) as image:
            pixels = numpy.asarray(image.convert("RGB"))
        assert pixels.shape[:2] == (facts["height"], facts["width"])
        if one["what"] == "yellow":
            # In a mirror the right eye becomes the left one.
            colours = (CYAN, YELLOW) if facts["file_name"] in mirrored else (YELLOW, CYAN)
            for place, colour in zip((0, 3), colours, strict=True):
                x, y, visibility = one["keypoints"][place : place + 3]
                if visibility == 2 and 1 <= x < facts["width"] - 2 and 1 <= y < facts["height"] - 2:
                    assert near(pixels[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2], colour).any(), (facts, one)
                    seen["yellow"] += 1
            continue
        colour = {"red": RED, "green": GREEN, "blue": BLUE}[one["what"]]
        inside = near(pixels, colour)
        ys, xs = numpy.nonzero(inside)
        assert len(xs), (facts, one)
        x, y, width, height = one["bbox"]
        found = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        # A sharp corner has no pixel that is mostly of its colour within a pixel or two.
        slack = 1.6 if one["what"] != "green" else 4
        assert numpy.abs(numpy.array(found) - (x, y, x + width, y + height)).max() <= slack, (facts, one, found)
        if one["what"] == "blue":
            mask = decoded(one["segmentation"])
            assert mask.shape == inside.shape
            assert (mask & inside).sum() / (mask | inside).sum() > 0.9
            assert mask.sum() == one["area"]
        elif one["what"] == "green":
            drawn = Image.new("L", (facts["width"], facts["height"]))
            for ring in one["segmentation"]:
                ImageDraw.Draw(drawn).polygon([(value - 0.5) for value in ring], 1)
            outline = numpy.asarray(drawn).astype(bool)
            assert (outline & inside).sum() / (outline | inside).sum() > 0.85
            assert abs(one["area"] - inside.sum()) < 0.15 * one["area"] + 10
        seen[one["what"]] += 1
    assert all(count > 30 for count in seen.values()), seen


@pytest.mark.parametrize("count", [2, 9])
def test_labels_of_mixed_pictures_lie_on_their_pixels_too(augment_mesh: Mesh, tmp_path: Path, count: int) -> None:
    photos = scenes(tmp_path, count)
    (tmp_path / "p.json").write_text('{"steps": [{"transform": "mosaic"}], "labels": {"minVisibleShare": 0}}')
    arguments = ("--pipeline", str(tmp_path / "p.json"), "--copies", "5", "--out", str(tmp_path / "out"))
    ran = augment_mesh.labelmesh("augment", "folder", str(photos), *arguments)
    assert ran.code == 0, ran.err
    made = json.loads((tmp_path / "out" / "annotations.json").read_text())
    dots = 0
    for image in made["images"]:
        with Image.open(tmp_path / "out" / image["file_name"]) as opened:
            pixels = numpy.asarray(opened.convert("RGB"))
        red = near(pixels, RED)
        uncovered = red.copy()
        annotations = [one for one in made["annotations"] if one["image_id"] == image["id"]]
        for one in annotations:
            if one["what"] == "red":
                x, y, width, height = one["bbox"]
                assert red[round(y + 1.5) : round(y + height - 1.5), round(x + 1.5) : round(x + width - 1.5)].all(), (image, one)
                uncovered[max(0, round(y - 1.5)) : round(y + height + 1.5), max(0, round(x - 1.5)) : round(x + width + 1.5)] = False
            elif one["what"] == "yellow":
                for place, colour in ((0, YELLOW), (3, CYAN)):
                    x, y, visibility = one["keypoints"][place : place + 3]
                    if visibility == 2 and 2 <= x < image["width"] - 3 and 2 <= y < image["height"] - 3:
                        around = pixels[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2].astype(int)
                        assert (numpy.abs(around - numpy.array(colour)).sum(-1) < 330).any(), (image, one)
                        dots += 1
        assert not uncovered.any(), image
        sources = {image["labelmesh"]["source_file"], *image["labelmesh"]["further"]}
        assert {one["labelmesh"].get("source_file", image["labelmesh"]["source_file"]) for one in annotations} <= sources
    assert dots > 5 * count


def test_a_recipe_makes_its_picture_again(augment_mesh: Mesh, augmenting: Client, tmp_path: Path) -> None:
    photos = scenes(tmp_path, 3)
    out = tmp_path / "out"
    ran = augment_mesh.labelmesh("augment", "folder", str(photos), "-p", str(tmp_path / "p.json"), "--copies", "2", "--out", str(out))
    assert ran.code == 0, ran.err
    for line in (out / "recipes.jsonl").read_text().splitlines():
        entry = json.loads(line)
        again = augmenting.augmentations.apply(photos / entry["source"], Recipe.from_json(entry["recipe"]))
        assert again.image == (out / entry["file"]).read_bytes()
        command = ("--recipe", str(out / "recipes.jsonl"), "--of", entry["file"], "--out", str(tmp_path / "again.png"))
        assert augment_mesh.labelmesh("augment", "image", str(photos / entry["source"]), *command).code == 0
        assert (tmp_path / "again.png").read_bytes() == again.image


def test_kill_9_in_the_middle_and_once_more_gives_the_bytes_of_a_run_that_nobody_stopped(augment_mesh: Mesh, tmp_path: Path) -> None:
    photos = scenes(tmp_path, 60)
    (photos / "broken.png").write_bytes(noise(1)[:200])
    (tmp_path / "mix.json").write_text(json.dumps([{"transform": "mosaic", "probability": 0.5}, *MOVING["steps"]]))
    for pipeline in ("p.json", "mix.json"):
        arguments = ("augment", "folder", str(photos), "--pipeline", str(tmp_path / pipeline), "--copies", "3", "--seed", "11")
        whole = augment_mesh.labelmesh(*arguments, "--out", str(tmp_path / f"whole-{pipeline}"))
        assert whole.code == 1
        assert "180 results made, 0 there already, 1 file failed" in whole.out
        cut = tmp_path / f"cut-{pipeline}"
        journal = cut / ".labelmesh" / "journal.jsonl"
        stops = 0
        for least in (5, 60, 110):
            process = augment_mesh.start_labelmesh(*arguments, "--out", str(cut))
            deadline = time.monotonic() + 60
            while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < least):
                assert time.monotonic() < deadline
                time.sleep(0.005)
            stops += process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.communicate()
        assert stops >= 2
        done = journal.read_bytes().count(b'"recipe"')
        last = augment_mesh.labelmesh(*arguments, "--out", str(cut))
        assert last.code == 1
        assert f"{done:,} there already" in last.out
        assert tree(cut) == tree(tmp_path / f"whole-{pipeline}")
        again = augment_mesh.labelmesh(*arguments, "--out", str(cut))
        assert again.out == f"nothing to do: 180 results are in {cut}, 1 file failed\n"
        assert tree(cut) == tree(tmp_path / f"whole-{pipeline}")


def test_a_folder_outlives_a_service_that_restarts(augment_mesh: Mesh, tmp_path: Path) -> None:
    photos = scenes(tmp_path, 60)
    arguments = ("augment", "folder", str(photos), "--pipeline", str(tmp_path / "p.json"), "--copies", "3")
    process = augment_mesh.start_labelmesh(*arguments, "--out", str(tmp_path / "out"))
    journal = tmp_path / "out" / ".labelmesh" / "journal.jsonl"
    try:
        while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < 20):
            time.sleep(0.005)
        assert process.poll() is None, process.communicate()
        augment_mesh.stop_service("augment")
        augment_mesh.start_service("augment")
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, err
    assert "60 pictures: 180 results made, 0 there already" in out
    assert augment_mesh.labelmesh(*arguments, "--out", str(tmp_path / "whole")).code == 0
    assert tree(tmp_path / "whole") == tree(tmp_path / "out")


def test_ctrl_c_stops_a_run_that_then_goes_on(augment_mesh: Mesh, tmp_path: Path) -> None:
    photos = scenes(tmp_path, 60)
    arguments = ("augment", "folder", str(photos), "--pipeline", str(tmp_path / "p.json"), "--copies", "3", "--out", str(tmp_path / "out"))
    process = augment_mesh.start_labelmesh(*arguments)
    journal = tmp_path / "out" / ".labelmesh" / "journal.jsonl"
    try:
        while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < 20):
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "of 180 results are there; the same command goes on from there" in err
    assert augment_mesh.labelmesh(*arguments).code == 0
    assert len(list((tmp_path / "out").rglob("*.png"))) == 180


def test_streams_are_answered_in_order_with_what_apply_makes(augmenting: Client) -> None:
    pipeline = Pipeline.from_json(EXAMPLE)
    samples: list[StreamSample] = []
    for number in range(40):
        content = b"no picture" if number == 17 else noise(number, "JPEG" if number % 2 else "PNG")
        samples.append(StreamSample(Sample(content, PictureLabels(boxes=(BoxLabel(10, 10, 20, 20, "a"),))), (0, 3)))
    answers = list(augmenting.augmentations.stream(samples, pipeline, seed=5, in_flight=8))
    assert len(answers) == 80
    for place, answer in enumerate(answers):
        if place // 2 == 17:
            assert isinstance(answer, InvalidArgument)
            assert answer.reason == "NOT_AN_IMAGE"
        else:
            assert isinstance(answer, Augmented)
            assert (answer.copy, answer.seed) == ((0, 3)[place % 2], 5)
    for place in (0, 3, 41):
        alone = augmenting.augmentations.apply(samples[place // 2].sample, pipeline, seed=5, copy=(0, 3)[place % 2])
        assert alone == answers[place]


def test_a_pipeline_is_saved_previewed_and_used_by_its_name(augment_mesh: Mesh, augmenting: Client, name: str, tmp_path: Path) -> None:
    project = augmenting.create_project(name, [LabelClass("a", "A")])
    example = augment_mesh.labelmesh("augment", "example")
    (tmp_path / "p.json").write_text(example.out)
    assert augment_mesh.labelmesh("augment", "check", str(tmp_path / "p.json")).code == 0
    saved = augment_mesh.labelmesh("augment", "pipelines", "save", name, "start", str(tmp_path / "p.json"), "--note", "the example")
    assert saved.out == f"“start” of “{name}” is at version 1\n", saved.err
    assert "the example" in augment_mesh.labelmesh("augment", "pipelines", "list", name).out
    shown = augment_mesh.labelmesh("augment", "pipelines", "show", name, "start")
    assert [step.transform for step in Pipeline.from_json(shown.out).steps] == [step["transform"] for step in EXAMPLE["steps"]]
    (tmp_path / "a.jpg").write_bytes(noise(1, "JPEG"))
    sheet = ("--saved", f"{name}/start@1", "--out", str(tmp_path / "sheet.html"))
    assert augment_mesh.labelmesh("augment", "preview", str(tmp_path / "a.jpg"), *sheet).code == 0
    assert (tmp_path / "sheet.html").read_text().count("data:image/jpeg;base64,") == 10
    reference = PipelineReference(project.id, "start")
    (added,) = project.import_images([_file(noise(1, "JPEG"))])
    by_image = augmenting.augmentations.apply(ProjectImage(project.id, added.image_id), reference, seed=3)
    assert by_image == augmenting.augmentations.apply(tmp_path / "a.jpg", Pipeline.from_json(example.out), seed=3)
    assert augment_mesh.labelmesh("augment", "pipelines", "delete", name, "start").code == 0
    assert list(augmenting.pipelines.list(project.id)) == []


def _file(content: bytes) -> Any:
    from labelmesh_client import ImageFile

    return ImageFile("a.jpg", len(content), lambda: content)


def test_every_transform_is_told_and_its_example_is_right(augment_mesh: Mesh, augmenting: Client) -> None:
    transforms = augmenting.pipelines.transforms()
    assert len(transforms) > 45
    for one in transforms:
        shown = augment_mesh.labelmesh("augment", "transforms", one.name).out
        if not one.holds_steps:
            checked = augmenting.pipelines.validate(Pipeline.from_json([json.loads(shown.splitlines()[-1])]))
            assert checked.valid, (one.name, checked.findings)


def test_a_wrong_pipeline_is_said_with_every_place(augment_mesh: Mesh, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('[{"transform": "rotat"}, {"transform": "rotate", "parameters": {"angle": 900}}]')
    ran = augment_mesh.labelmesh("augment", "check", str(tmp_path / "p.json"))
    assert ran.code == 1
    assert "steps[0].transform" in ran.err
    assert "steps[1].parameters.angle" in ran.err


def test_keys_need_the_scopes_that_the_guide_names(augment_mesh: Mesh, tmp_path: Path) -> None:
    photos = scenes(tmp_path, 1)
    environment = {"LABELMESH_ADDRESS": augment_mesh.address, "HOME": str(tmp_path)}
    arguments = ("augment", "folder", str(photos), "--pipeline", str(tmp_path / "p.json"), "--out", str(tmp_path / "out"))
    for scopes, code in ((("augment.read",), 1), (("augment.apply",), 1), (("augment.apply", "augment.read"), 0)):
        ran = augment_mesh.labelmesh(*arguments, environment={**environment, "LABELMESH_API_KEY": augment_mesh.key(*scopes)})
        assert ran.code == code, (scopes, ran.err)
        assert bool(code) == ("labelmesh keys create --scope" in ran.err)


def test_every_format_keeps_its_own_and_rotated_photographs_their_labels(augment_mesh: Mesh, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    upright = Image.new("RGB", (80, 60), GREY)
    ImageDraw.Draw(upright).rectangle((10, 20, 39, 34), RED)
    exif = Image.Exif()
    exif[274] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(photos / "lying.jpg", exif=exif, quality=95, subsampling=0)
    upright.save(photos / "plain.webp", lossless=True)
    upright.save(photos / "plain.tif")
    upright.quantize(16).save(photos / "still.gif")
    frames = [upright, upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    frames[0].save(photos / "moving.gif", save_all=True, append_images=frames[1:], duration=[100, 300], loop=0)
    deep = numpy.zeros((60, 80), numpy.uint16) + 1234
    deep[20:35, 10:40] = 65432
    Image.fromarray(deep).save(photos / "deep.png")
    names = sorted(path.name for path in photos.iterdir())
    box = {"category_id": 1, "bbox": [10, 20, 30, 15], "area": 450, "iscrowd": 0}
    document = {
        "images": [{"id": number, "file_name": name, "width": 80, "height": 60} for number, name in enumerate(names)],
        "annotations": [{**box, "id": number, "image_id": number} for number in range(len(names))],
        "categories": [{"id": 1, "name": "box"}],
    }
    (photos / "annotations.json").write_text(json.dumps(document))
    (tmp_path / "p.json").write_text('[{"transform": "quarter_turn", "parameters": {"turns": 1}}]')
    ran = augment_mesh.labelmesh("augment", "folder", str(photos), "-p", str(tmp_path / "p.json"), "--out", str(tmp_path / "out"))
    assert ran.code == 0, ran.err
    made = json.loads((tmp_path / "out" / "annotations.json").read_text())
    forms = {"deep.png": "PNG", "lying.jpg": "JPEG", "moving.gif": "GIF", "plain.tif": "TIFF", "plain.webp": "WEBP", "still.gif": "GIF"}
    for image, one in zip(made["images"], made["annotations"], strict=True):
        assert (image["width"], image["height"]) == (60, 80)
        x, y, width, height = one["bbox"]
        assert (width, height) == (15, 30)
        with Image.open(tmp_path / "out" / image["file_name"]) as result:
            source = image["labelmesh"]["source_file"]
            assert result.format == forms[source]
            assert result.getexif().get(274, 1) == 1
            assert getattr(result, "n_frames", 1) == (2 if source == "moving.gif" else 1)
            pixels = numpy.asarray(result) if source == "deep.png" else numpy.asarray(result.convert("RGB"))
        inside = pixels == 65432 if source == "deep.png" else near(pixels, RED)
        ys, xs = numpy.nonzero(inside)
        assert (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) == (x, y, x + width, y + height), source


def test_programs_without_grpc_get_the_same_result(augment_mesh: Mesh, augmenting: Client) -> None:
    content = noise(5, "JPEG")
    box = {"x": 31, "y": 20, "width": 20, "height": 10, "label": "fox"}
    body = {
        "sample": {"source": {"image": base64.b64encode(content).decode()}, "labels": {"boxes": [box]}},
        "pipeline": {"steps": [{"transform": "rotate", "parameters": {"angle": [-20, 20]}}]},
        "seed": 7,
        "copy": 3,
    }
    headers = {"x-api-key": augment_mesh.key("augment.apply"), "content-type": "application/json"}
    request = urllib.request.Request(f"{augment_mesh.address}/v1/augmentations", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as reply:
        answer = json.load(reply)["augmented"]
    sample = Sample(content, PictureLabels(boxes=(BoxLabel(31, 20, 20, 10, "fox"),)))
    result = augmenting.augmentations.apply(sample, Pipeline.from_json(body["pipeline"]), seed=7, copy=3)  # type: ignore[arg-type]
    assert base64.b64decode(answer["image"]) == result.image
    assert PictureLabels.from_json(answer["labels"]) == result.labels
    assert Recipe.from_json(answer["recipe"]) == result.recipe


def test_the_guides_programs_and_pipelines_run_as_they_stand(
    augment_mesh: Mesh, augmenting: Client, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "guide" / "augmentation.md").read_text()
    (pipeline,) = re.findall(r"```json\n(.*?)```", guide, re.S)
    assert augmenting.pipelines.validate(Pipeline.from_json(pipeline)).findings == ()
    (program,) = re.findall(r"```python\n(.*?)```", guide, re.S)
    augmenting.create_project(name, [LabelClass("a", "A")])
    (tmp_path / "photos").mkdir()
    (tmp_path / "p.json").write_text(pipeline)
    (tmp_path / "fox.jpg").write_bytes(noise(1, "JPEG"))
    (tmp_path / "photos" / "a.jpg").write_bytes(noise(2, "JPEG"))
    monkeypatch.chdir(tmp_path)
    trained: list[bytes] = []
    program = program.replace("https://labels.example.org", augment_mesh.address).replace("Camera traps", name)
    exec(program, {"key": augment_mesh.key(), "train_on": lambda image, labels: trained.append(image)})
    assert len(trained) == 3
    assert [one.name for one in augmenting.pipelines.list(augmenting.project(name).id)] == ["night"]
