"""Imports into the real mesh: demo digits, folders with bad files, interruptions, MNIST."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import struct
import time
from pathlib import Path

import numpy
import pytest
from labelmesh_client import AuthorKind, Client
from labelmesh_client.sources.digits import grey_of_ink
from labelmesh_client.sources.png import grey_png
from PIL import Image
from sklearn.datasets import load_digits

from tests.integration.client.mesh import Mesh


def picture(number: int, size: int = 32, form: str = "PNG") -> bytes:
    """A picture that looks like no other."""
    random = numpy.random.default_rng(number)
    out = io.BytesIO()
    Image.fromarray(random.integers(0, 256, (size, size, 3), dtype=numpy.uint8)).save(out, form)
    return out.getvalue()


def test_demo_digits_twice_is_1797_images_with_the_very_pixels(mesh: Mesh, client: Client, name: str) -> None:
    first = mesh.labelmesh("demo", "digits", "--project", name)
    assert (first.code, first.out.partition(" (")[0]) == (0, "1,797 images: 1,797 added, 0 there already, 0 refused"), first.err
    second = mesh.labelmesh("demo", "digits", "--project", name)
    assert (second.code, second.out.partition(" (")[0]) == (0, "1,797 images: 0 added, 1,797 there already, 0 refused"), second.err
    project = client.project(name)
    assert [(one.id, one.hotkey) for one in project.facts.classes] == [(str(digit), str(digit)) for digit in range(10)]
    images = {image.name: image for image in project.images()}
    assert sorted(images) == [f"digit-{number:04}.png" for number in range(1797)]
    assert {(image.width, image.height, image.media_type) for image in images.values()} == {(8, 8, "image/png")}
    grey = numpy.array([grey_of_ink(ink) for ink in range(17)], dtype=numpy.uint8)
    original = load_digits().images.astype(int)
    for number in range(0, 1797, 17):
        content = client.download(images[f"digit-{number:04}.png"].url)
        assert (numpy.asarray(Image.open(io.BytesIO(content))) == grey[original[number]]).all()


def test_a_folder_goes_in_but_for_its_bad_files_which_are_named_with_the_reason(mesh: Mesh, name: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for number in range(40):
        form = "JPEG" if number % 2 else "PNG"
        (tmp_path / ("sub" if number > 20 else "") / f"{number:02}.{form.lower()}").write_bytes(picture(number, form=form))
    (tmp_path / "copy.png").write_bytes(picture(0))
    whole = picture(100, 200, "JPEG")
    (tmp_path / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_bytes(b"this is no picture")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "gif.png").write_bytes(b"GIF89a" + b"\0" * 50)
    huge = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0) + b"\0\0\0\0"
    (tmp_path / "huge.png").write_bytes(huge)
    (tmp_path / "long.png").write_bytes(b"\0" * (16 * 1024 * 1024 + 1))
    ran = mesh.labelmesh("import", "folder", str(tmp_path), "--project", name, "--classes", "fox,nothing", "--json")
    assert ran.code == 1, ran.err
    summary = json.loads(ran.out)
    assert (summary["added"], summary["present"], summary["refused"]) == (40, 1, 6), summary
    problems = {problem["name"]: problem for problem in summary["problems"]}
    assert set(problems) == {"truncated.jpg", "text.png", "empty.jpg", "gif.png", "huge.png", "long.png"}
    assert problems["empty.jpg"]["reason"] == "EMPTY"
    assert problems["long.png"]["reason"] == "TOO_LARGE"
    for bad, problem in problems.items():
        assert f"refused {bad}: {problem['problem']}" in ran.err
        assert len(problem["problem"]) > 10


def test_an_import_stopped_by_ctrl_c_goes_on_with_the_same_command(mesh: Mesh, client: Client, name: str, tmp_path: Path) -> None:
    for number in range(1500):
        (tmp_path / f"{number:04}.png").write_bytes(grey_png(64, 64, numpy.random.default_rng(number).bytes(64 * 64)))
    command = ("import", "folder", str(tmp_path), "--project", name, "--classes", "a,b", "--workers", "1")
    process = mesh.start_labelmesh(*command)
    try:
        deadline = time.monotonic() + 60
        while (found := client.find_project(name)) is None or found.facts.images_count < 100:
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "the same command goes on from there" in err
    before = client.project(name).facts.images_count
    assert 100 <= before < 1500
    ran = mesh.labelmesh(*command, "--json")
    summary = json.loads(ran.out)
    assert (ran.code, summary["added"], summary["present"]) == (0, 1500 - before, before)
    assert client.project(name).facts.images_count == 1500


def test_an_import_outlives_a_labeling_service_that_restarts(mesh: Mesh, client: Client, name: str, tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"{number:04}.png").write_bytes(grey_png(16, 16, numpy.random.default_rng(number).bytes(256)))
    process = mesh.start_labelmesh("import", "folder", str(tmp_path), "--project", name, "--classes", "a,b", "--workers", "2", "--json")
    try:
        deadline = time.monotonic() + 60
        while (found := client.find_project(name)) is None or found.facts.images_count < 1:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        mesh.stop_service("labeling")
        assert process.poll() is None, "the import was over before the service went away"
        mesh.start_service("labeling")
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert json.loads(out)["added"] + json.loads(out)["present"] == 3000
    assert client.project(name).facts.images_count == 3000


def test_mnist_files_go_in_with_their_labels_beside_them_once(mesh: Mesh, client: Client, name: str, tmp_path: Path) -> None:
    random = numpy.random.default_rng(7)
    pixels, labels = random.integers(0, 256, (60, 28, 28), dtype=numpy.uint8), bytes(number % 10 for number in range(60))
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(struct.pack(">IIII", 2051, 60, 28, 28) + pixels.tobytes()))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, 60) + labels)
    command = ("import", "mnist", str(tmp_path), "--split", "test", "--project", name, "--labels", "as-machine")
    for _ in range(2):
        ran = mesh.labelmesh(*command)
        assert ran.code == 0, ran.err
    project = client.project(name)
    images = {image.id: image for image in project.images()}
    assert len(images) == 60
    one = next(image for image in images.values() if image.name == "mnist-test-00042.png")
    assert (numpy.asarray(Image.open(io.BytesIO(client.download(one.url)))) == pixels[42]).all()
    machine = list(project.annotations(author_kind=AuthorKind.MACHINE))
    assert {(images[each.image_id].name, each.class_id, each.model) for each in machine} == {
        (f"mnist-test-{number:05}.png", str(number % 10), "mnist-labels") for number in range(60)
    }
    assert len(machine) == 60


@pytest.mark.parametrize("bad", ["..", "/etc"])
def test_nothing_outside_the_folder_is_ever_sent(mesh: Mesh, client: Client, name: str, tmp_path: Path, bad: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.png").write_bytes(picture(1))
    (tmp_path / "in" / "a.png").write_bytes(picture(2))
    os.symlink(bad, tmp_path / "in" / "out")
    os.symlink(tmp_path / "secret.png", tmp_path / "in" / "b.png")
    ran = mesh.labelmesh("import", "folder", str(tmp_path / "in"), "--project", name, "--classes", "a")
    assert ran.code == 1
    assert [image.name for image in client.project(name).images()] == ["a.png"]
