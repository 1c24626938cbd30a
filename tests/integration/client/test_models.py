"""Models from a folder to predictions that flow into labeling, against the real mesh with a real model server."""

from __future__ import annotations

import csv
import io
import json
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from labelmesh_client import (
    Classification,
    Client,
    InvalidArgument,
    LabelmeshError,
    NotFound,
    ObjectUrl,
    Prediction,
    Project,
    ProjectImage,
    Question,
    SourceError,
    Storage,
    Tensor,
    TrainingProgress,
    TrainingState,
    classes_from_names,
    connect,
    read_manifest,
)
from labelmesh_client.importing import ImageFile
from labelmesh_client.repository import MANIFEST_NAME
from labelmesh_client.sources.png import grey_png

from tests.integration.client.mesh import Mesh
from tests.support.models import digit_of, ensure

MANIFEST = """\
model: {model}
input:
  kind: pixels
  width: 28
  height: 28
  color: gray
  scale: 0.00392156862745098
classes: {{activation: none}}
labels: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
"""


def grey(level: int, *, mark: int = 0) -> bytes:
    """A picture of one brightness, 0 to 255, but for one pixel."""
    return grey_png(28, 28, bytes([mark]) + bytes([level]) * 783)


def model_folder(folder: Path, model: str, *, version: int = 1, manifest: str = MANIFEST) -> Path:
    """One of the tiny digit models with a manifest."""
    made = folder / f"{model}-{version}-{uuid.uuid4().hex[:6]}"
    shutil.copytree(ensure() / "digits" / str(version), made)
    (made / MANIFEST_NAME).parent.mkdir(exist_ok=True)
    (made / MANIFEST_NAME).write_text(manifest.format(model=model))
    return made


@pytest.fixture
def model(model_mesh: Mesh, tmp_path: Path) -> Iterator[str]:
    """A model of the test's own with the versions 1 and 2; stable is 1."""
    name = f"m-{uuid.uuid4().hex[:8]}"
    for version in (1, 2):
        ran = model_mesh.labelmesh("model", "add", str(model_folder(tmp_path, name, version=version)))
        assert ran.code == 0, ran.out + ran.err
    yield name
    for version in model_mesh.repository.versions(name):
        model_mesh.repository.remove(name, version)


def project_of_greys(client: Client, name: str, levels: list[int]) -> Project:
    project = client.create_project(name, classes_from_names([str(digit) for digit in range(10)]), repeat_rate=0.0)
    for level in levels:
        content = grey(level)
        (added,) = project.import_images([ImageFile(f"{level}.png", len(content), lambda content=content: content)])  # type: ignore[misc]
        assert added.image_id
    return project


# --- adding ---


def test_a_model_is_checked_end_to_end_and_registered(model_mesh: Mesh, tmp_path: Path) -> None:
    name = f"m-{uuid.uuid4().hex[:8]}"
    sample = tmp_path / "sample.png"
    sample.write_bytes(grey(200))
    ran = model_mesh.labelmesh("model", "add", str(model_folder(tmp_path, name)), "--sample", str(sample), "--alias", "canary")
    assert ran.code == 0, ran.out + ran.err
    checks = [line.split(":")[0] for line in ran.out.splitlines()]
    assert checks == [f"✓ {check}" for check in ("served", "signature", "input", "output", "labels", "prediction")]
    assert f"Registered version 1 of {name}, which is canary, stable." in ran.err
    assert (model_mesh.repository.versions(name), model_mesh.repository.served(name)) == ((1,), (1,))
    shown = model_mesh.labelmesh("model", "show", name)
    assert "10 labels: 0, 1, 2" in shown.out
    assert "takes image: float32[?,28,28,1] and gives scores: float32[?,10]" in shown.out
    listed = model_mesh.labelmesh("model", "list")
    assert any(line.startswith(name) and " available " in line and "canary,stable" in line for line in listed.out.splitlines())
    model_mesh.repository.remove(name, 1)


def test_a_model_that_fails_a_check_is_taken_out_again_and_says_what_to_do(model_mesh: Mesh, tmp_path: Path) -> None:
    name = f"m-{uuid.uuid4().hex[:8]}"
    wrong = MANIFEST.replace("width: 28", "width: 32")
    folder = model_folder(tmp_path, name, manifest=wrong)
    ran = model_mesh.labelmesh("model", "add", str(folder))
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert lines[0].startswith("✓ served")
    assert any(line.startswith("✗ input: ") and "32" in line for line in lines)
    assert lines[-1].startswith("- prediction: not looked at")
    assert "Nothing was registered, and the version was taken out of the repository again." in ran.err
    assert name not in model_mesh.repository.models()
    assert model_mesh.repository.served(name) == ()
    kept = model_mesh.labelmesh("model", "add", str(folder), "--keep")
    assert (kept.code, model_mesh.repository.versions(name)) == (1, (1,))
    model_mesh.repository.remove(name, 1)


def test_a_model_that_cannot_be_loaded_is_told_with_the_server_s_words(model_mesh: Mesh, tmp_path: Path) -> None:
    name = f"m-{uuid.uuid4().hex[:8]}"
    folder = model_folder(tmp_path, name)
    (folder / "saved_model.pb").write_bytes(b"this is no graph")
    started = time.monotonic()
    ran = model_mesh.labelmesh("model", "add", str(folder))
    assert ran.code == 1
    assert time.monotonic() - started < 60
    assert ran.out.startswith("✗ served: version 1 is absent: ")
    assert name not in model_mesh.repository.models()


def test_only_checking_leaves_nothing_behind(model_mesh: Mesh, tmp_path: Path) -> None:
    name = f"m-{uuid.uuid4().hex[:8]}"
    ran = model_mesh.labelmesh("model", "add", str(model_folder(tmp_path, name)), "--check-only")
    assert (ran.code, len(ran.out.splitlines())) == (0, 6)
    assert name not in model_mesh.repository.models()
    with model_mesh.admin() as client, pytest.raises(NotFound):
        client.models.get(name)


def test_a_folder_of_versions_is_added_in_order_and_numbers_are_never_used_twice(model_mesh: Mesh, tmp_path: Path, model: str) -> None:
    both = tmp_path / "both"
    for number in (10, 3):
        shutil.move(model_folder(tmp_path, model), both / str(number))
    ran = model_mesh.labelmesh("model", "add", str(both))
    assert ran.code == 0, ran.err
    assert [line for line in ran.err.splitlines() if line.startswith("Registered")] == [
        f"Registered version 3 of {model}.",
        f"Registered version 10 of {model}.",
    ]
    # The alias' version goes on being served beside the newest three.
    assert model_mesh.repository.served(model) == (1, 2, 3, 10)
    with model_mesh.admin() as client:
        running = client.trainings.start(model)
        assert running.version == 11
        again = model_mesh.labelmesh("model", "add", str(both / "3"))
        running.fail("only to hold a number")
    assert f"Registered version 12 of {model}." in again.err
    taken = model_mesh.labelmesh("model", "add", str(both / "3"), "--version", "2")
    assert (taken.code, "has a version 2" in taken.err) == (1, True)


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        ("model: {model}\ninptu: 1\n", "line 2: inptu: there is no such field; did you mean input?"),
        ("model: {model}\ninput: {{kind: pixels, width: 10000}}\nclasses: {{}}\n", "manifest.input.width"),
        ("display_name: x\n", "does not say which model it is of"),
    ],
)
def test_a_wrong_manifest_is_refused_before_anything_is_copied(model_mesh: Mesh, tmp_path: Path, manifest: str, sentence: str) -> None:
    name = f"m-{uuid.uuid4().hex[:8]}"
    ran = model_mesh.labelmesh("model", "add", str(model_folder(tmp_path, name, manifest=manifest)))
    assert ran.code == 1
    assert sentence in ran.err
    assert name not in model_mesh.repository.models()


# --- predicting ---


def test_the_command_answers_about_files_folders_patterns_and_stdin(model_mesh: Mesh, tmp_path: Path, model: str) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for level in (10, 100, 250):
        (folder / f"{level:03}.png").write_bytes(grey(level))
    one = model_mesh.labelmesh("predict", str(folder / "100.png"), "--model", model, "--top-k", "2")
    assert one.code == 0, one.err
    best = str(digit_of(100 / 255, 1))
    assert one.out.splitlines()[0].startswith(f"{best}  ")
    assert len(one.out.splitlines()) == 2
    assert f"{model} version 1 (stable)" in one.err
    (folder / "bad.jpg").write_bytes(b"no picture")
    many = model_mesh.labelmesh("predict", str(folder), str(tmp_path / "none.png"), "--model", model, "--json")
    assert many.code == 1
    records = [json.loads(line) for line in many.out.splitlines()]
    answers = {Path(record["file"]).name: record for record in records}
    assert [Path(record["file"]).name for record in records] == ["010.png", "100.png", "250.png", "bad.jpg", "none.png"]
    for level in (10, 100, 250):
        found = answers[f"{level:03}.png"]["prediction"]
        assert (found["result"]["classes"][0]["label"], found["version"]) == (str(digit_of(level / 255, 1)), 1)
    assert answers["bad.jpg"]["reason"] == "NOT_AN_IMAGE"
    assert "there is no such file" in answers["none.png"]["error"]
    pattern = model_mesh.labelmesh("predict", str(folder / "*0.png"), "--model", model, "--alias", "stable")
    assert (pattern.code, len(pattern.out.splitlines())) == (0, 3)
    piped = model_mesh.labelmesh("predict", "-", "--model", model, "--version", "2", stdin=grey(100))
    assert piped.out.startswith(str(digit_of(100 / 255, 2)))
    nobody = model_mesh.labelmesh("predict", str(folder / "100.png"), "--model", "nobody")
    assert nobody.code == 1
    assert nobody.err.startswith("labelmesh: ")


def test_the_sdk_answers_for_every_kind_of_input(model_mesh: Mesh, client: Client, name: str, model: str, tmp_path: Path) -> None:
    project = project_of_greys(client, name, [128])
    (image,) = project.images()
    path = tmp_path / "p.png"
    path.write_bytes(grey(128))
    expected = str(digit_of((128 * 783) / (784 * 255), 1))
    tensor = Tensor("float32", (28, 28, 1), b"\0\0\0?" * 784)
    for given in (grey(128), path, ProjectImage(project.id, image.id), ObjectUrl(image.url)):
        found = client.predict(model, given)
        assert isinstance(found.result, Classification)
        assert found.result.best is not None
        assert (found.result.best.label, found.version, found.alias) == (expected, 1, "stable")
        assert found.timing.total_s > 0
    assert client.predict(model, ProjectImage(project.id, image.id)).project_image == ProjectImage(project.id, image.id)
    raw = client.predict(Question(model, version=2, top_k=1, storage=Storage.NONE), tensor)
    assert isinstance(raw.result, Classification)
    assert (raw.id, [one.label for one in raw.result.classes]) == ("", [str(digit_of(0.5, 2))])
    for wrong, kind in ((b"no picture", InvalidArgument), (b"", SourceError), (tmp_path / "none", SourceError)):
        with pytest.raises(kind):
            client.predict(model, wrong)


def test_many_inputs_are_answered_in_their_order_and_a_bad_one_alone_is_not(client: Client, model: str) -> None:
    levels = [number % 250 for number in range(300)]
    inputs = [b"bad" if number == 77 else b"" if number == 150 else grey(level, mark=number % 256) for number, level in enumerate(levels)]
    plain = Question(model, storage=Storage.NONE)
    for answers in (list(client.predict_batch(plain, iter(inputs))), list(client.predict_stream(plain, iter(inputs)))):
        assert len(answers) == 300
        for number, (answer, level) in enumerate(zip(answers, levels, strict=True)):
            if number == 77:
                assert isinstance(answer, InvalidArgument)
                assert answer.reason == "NOT_AN_IMAGE"
            elif number == 150:
                assert isinstance(answer, SourceError)
            else:
                assert isinstance(answer, Prediction), answer
                assert isinstance(answer.result, Classification)
                assert answer.result.best is not None
                assert answer.result.best.label == str(digit_of((level * 783 + number % 256) / (784 * 255), 1))
    with pytest.raises(NotFound):
        list(client.predict_stream("nobody", [grey(1)]))


def test_an_answer_comes_before_the_next_input_is_there(client: Client, model: str) -> None:
    answered = threading.Semaphore(0)
    seen: list[int] = []

    def inputs() -> Iterator[bytes]:
        for number in range(5):
            yield grey(number * 50)
            assert answered.acquire(timeout=20), "the answer did not come"
            seen.append(number)

    for answer in client.predict_stream(model, inputs()):
        assert not isinstance(answer, LabelmeshError)
        answered.release()
    assert seen == list(range(5))


def test_predictions_are_found_again_and_judged(model_mesh: Mesh, client: Client, model: str) -> None:
    found = client.predict(model, grey(60))
    again = client.predictions.get(found.id)
    assert (again.input_sha256, again.result) == (found.input_sha256, found.result)
    assert client.download(again.picture_url) == grey(60)
    assert model_mesh.labelmesh("model", "feedback", found.id, "--label", "7").code == 0
    wrong = list(client.predictions.list(model, wrong=True))
    assert [(one.id, one.feedback.label if one.feedback else None) for one in wrong] == [(found.id, "7")]
    assert model_mesh.labelmesh("model", "feedback", found.id, "--correct").code == 0
    assert list(client.predictions.list(model, wrong=True)) == []


# --- steering ---


def test_aliases_traffic_and_going_back(model_mesh: Mesh, client: Client, model: str) -> None:
    def versions() -> set[int]:
        return {client.predict(Question(model, sticky_key=f"key {number}", storage=Storage.NONE), grey(9)).version for number in range(30)}

    def until(expected: set[int]) -> None:
        deadline = time.monotonic() + 10
        while versions() != expected:
            assert time.monotonic() < deadline

    assert versions() == {1}
    assert model_mesh.labelmesh("model", "alias", model, "canary", "2").code == 0
    ran = model_mesh.labelmesh("model", "traffic", model, "stable=50", "canary=50", "--shadow", "canary=1")
    assert "stable 50%, canary 50%" in ran.err
    assert "canary shadows 100%" in ran.err
    until({1, 2})
    needed = model_mesh.labelmesh("model", "alias", model, "canary", "none")
    assert (needed.code, "Traceback" in needed.err) == (1, False)
    back = model_mesh.labelmesh("model", "rollback", model)
    assert "everything to stable; canary is version 2; stable is version 1" in back.err
    until({1})
    assert "rolled back" in model_mesh.labelmesh("model", "show", model).out
    assert model_mesh.labelmesh("model", "alias", model, "stable", "2").code == 0
    until({2})
    for wrong in (("alias", model, "stable", "two"), ("alias", model, "stable", "99"), ("traffic", model, "a=1", "a=2")):
        assert model_mesh.labelmesh("model", *wrong).code == 1
    reported = model_mesh.labelmesh("model", "report", model)
    assert reported.code == 0, reported.err


def test_keys_do_what_their_scopes_say(model_mesh: Mesh, model: str) -> None:
    with connect(model_mesh.address, api_key=model_mesh.key("inference.predict")) as asks:
        assert asks.predict(model, grey(9)).version == 1
        with pytest.raises(LabelmeshError) as refused:
            asks.models.set_alias(model, "stable", 2)
    assert refused.value.reason == "SCOPE_MISSING"


# --- into labeling ---


def test_a_model_suggests_and_orders_and_labels_come_back_out(
    model_mesh: Mesh, client: Client, name: str, model: str, tmp_path: Path
) -> None:
    levels = list(range(5, 250, 20))
    project = project_of_greys(client, name, levels)
    which = model_mesh.labelmesh("model", "suggest", name)
    assert (which.code, "say --model NAME" in which.err) == (1, True)
    project.set_suggestion_model(model)
    suggested = model_mesh.labelmesh("model", "suggest", name, "--order")
    assert suggested.code == 0, suggested.err
    assert f"{len(levels)} images of “{name}” suggested and ordered by doubt by {model} version 1" in suggested.out
    machine = {one.image_id: one.class_id for one in project.annotations()}
    images = {image.id: image for image in project.images()}
    assert {images[image_id].name: class_id for image_id, class_id in machine.items()} == {
        f"{level}.png": str(digit_of(level * 783 / (784 * 255), 1)) for level in levels
    }
    ordered = model_mesh.labelmesh("model", "order", name, "--model", model)
    assert ordered.code == 0, ordered.err
    assert len(list(project.annotations())) == len(levels)
    for lease in project.leases():
        lease.submit("3")
    nothing = model_mesh.labelmesh("model", "order", name, "--model", model)
    assert (nothing.code, f"No image of “{name}” awaits labels." in nothing.err) == (0, True)
    assert [(one.image.id, one.class_id, one.annotators, one.agreeing) for one in project.labels()] == [
        (image_id, "3", 1, 1) for image_id in images
    ]
    out = tmp_path / "labels.csv"
    assert model_mesh.labelmesh("labels", name, "--out", str(out)).code == 0
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [(row["image_id"], row["class_id"], row["annotators"]) for row in rows] == [(image_id, "3", "1") for image_id in images]
    lines = model_mesh.labelmesh("labels", name).out.splitlines()
    assert [json.loads(line)["name"] for line in lines] == [f"{level}.png" for level in levels]
    pictures = dict(project.labeled_pictures())
    assert {one.image.name: content for one, content in pictures.items()} == {f"{level}.png": grey(level) for level in levels}


# --- trainings ---


def test_a_training_is_reported_watched_and_finished(model_mesh: Mesh, client: Client, model: str, tmp_path: Path) -> None:
    running = client.trainings.start(model)
    seen: list[float] = []
    watcher = threading.Thread(target=lambda: seen.extend(one.progress.done for one in client.trainings.watch(running.id)))
    watcher.start()
    deadline = time.monotonic() + 20
    for done in (0.3, 0.7):
        running.report(TrainingProgress("training", epoch=1, epochs=2, done=done, metrics={"loss": 1 - done}))
        while done not in seen:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    with pytest.raises(LabelmeshError) as second:
        client.trainings.start(model)
    assert (second.value.reason, second.value.metadata["training_id"]) == ("TRAINING_RUNNING", running.id)
    folder = model_folder(tmp_path, model, version=3)
    model_mesh.repository.publish(model, running.version, folder, keep=client.models.get(model).needed_versions)
    version = running.finish(read_manifest(folder / MANIFEST_NAME), metrics={"accuracy": 0.9}, aliases=["canary"])
    watcher.join(timeout=20)
    assert not watcher.is_alive()
    assert (version.version, version.metrics, version.aliases) == (3, {"accuracy": 0.9}, ("canary",))
    ended = client.trainings.get(running.id)
    assert (ended.state, ended.version) == (TrainingState.SUCCEEDED, 3)
    listed = model_mesh.labelmesh("model", "trainings", "--model", model)
    assert any(line.startswith(model) and " succeeded " in line for line in listed.out.splitlines())
    assert model_mesh.labelmesh("model", "trainings", "--model", model, "--watch").code == 0
    failing = client.trainings.start(model)
    failing.fail("out of paper")
    watched = model_mesh.labelmesh("model", "trainings", "--model", model, "--watch")
    assert (watched.code, "failed: out of paper" in watched.out) == (1, True)


def test_without_a_repository_the_command_asks_for_one(model_mesh: Mesh, tmp_path: Path) -> None:
    folder = str(model_folder(tmp_path, "m"))
    environment = {key: value for key, value in model_mesh.environment().items() if key != "LABELMESH_MODELS"}
    ran = model_mesh.labelmesh("model", "add", folder, environment=environment)
    assert (ran.code, "Where is the model repository?" in ran.err) == (1, True)
