"""Apply and Preview: the same again for the same question, typed errors for everything else."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from google.protobuf.struct_pb2 import Value
from labelmesh.augment.v1 import augmentations_pb2 as aug
from labelmesh.augment.v1 import labels_pb2 as lab
from labelmesh_chassis.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    MeshError,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
)

from tests.integration.augment.service import pictures
from tests.integration.augment.service.conftest import StartAugment
from tests.integration.augment.service.people import Person, new_id, pipeline, sample
from tests.integration.augment.service.service import Augment, until
from tests.integration.labeling.people import Person as Labeler

RANDOM = pipeline({"transform": "horizontal_flip", "probability": 0.5}, "rotate", "colour_jitter", "gaussian_noise", "cutout")
FLIP = pipeline("horizontal_flip")
SLOW = pipeline(*[{"transform": "gaussian_blur", "parameters": {"sigma": [20, 20]}}] * 4, "clahe", "elastic", "iso_noise", "gaussian_noise")


# --- results ---


def test_a_result_is_a_file_like_the_one_that_came_with_everything_that_was_drawn(ada: Person) -> None:
    image = pictures.png()
    answer = ada.applied(image, RANDOM, seed=7, copy=3)
    result = answer.augmented
    assert (result.media_type, result.width, result.height, result.frames) == ("image/png", 96, 64, 1)
    assert pictures.pixels_of(result.image).shape == (64, 96, 3)
    assert (result.seed, result.copy) == (7, 3)
    assert result.input_sha256 == hashlib.sha256(image).hexdigest()
    assert [step.transform for step in result.recipe.steps][-4:] == ["rotate", "colour_jitter", "gaussian_noise", "cutout"]
    assert [list(step.path) for step in result.recipe.steps][-4:] == [[1], [2], [3], [4]]
    assert set(result.recipe.versions) == {"labelmesh-augment", "numpy", "opencv", "pillow"}
    assert answer.timing.work.ToNanoseconds() > 0


def test_a_flip_does_what_it_says_and_nothing_else(ada: Person) -> None:
    image = pictures.png()
    result = ada.apply(image, FLIP)
    assert np.array_equal(pictures.pixels_of(result.image), pictures.pixels_of(image)[:, ::-1])
    assert pictures.pixels_of(ada.apply(pictures.jpeg(), FLIP).image).shape == (64, 96, 3)


def test_the_same_question_has_the_same_answer_and_another_seed_or_copy_has_another(ada: Person) -> None:
    image = pictures.jpeg()
    first = ada.apply(image, RANDOM, seed=1, copy=2)
    assert ada.apply(image, RANDOM, seed=1, copy=2) == first
    others = [ada.apply(image, RANDOM, seed=seed, copy=copy).image for seed, copy in ((1, 0), (1, 1), (2, 2))]
    assert len({first.image, *others}) == 4


def test_a_recipe_makes_the_same_picture_again_byte_by_byte(ada: Person) -> None:
    labels = lab.Labels(boxes=[lab.Box(id="b", x=10, y=10, width=30, height=20)], keypoints=[lab.Keypoint(x=5, y=6, label="nose")])
    for image in (pictures.png(), pictures.jpeg()):
        for copy in range(4):
            first = ada.apply(sample(image, labels), RANDOM, seed=11, copy=copy)
            again = ada.apply(sample(image, labels), first.recipe, seed=99)
            assert again.image == first.image
            assert again.labels == first.labels
            assert again.dropped == first.dropped
            assert again.recipe == first.recipe


def test_a_saved_pipeline_is_used_by_its_name_and_version(manager: Person, ada: Person, project: str) -> None:
    image = pictures.png()
    manager.save(project, "p", FLIP)
    manager.save(project, "p", pipeline("vertical_flip"))
    reference = aug.PipelineReference(project_id=project, name="p")
    assert np.array_equal(pictures.pixels_of(ada.apply(image, reference).image), pictures.pixels_of(image)[::-1])
    reference.version = 1
    assert np.array_equal(pictures.pixels_of(ada.apply(image, reference).image), pictures.pixels_of(image)[:, ::-1])
    assert len(ada.preview(image, reference).previews) == 8
    assert [result.augmented.media_type for result in ada.stream([image], reference)] == ["image/png"]
    reference.version = 3
    with pytest.raises(NotFound, match="PIPELINE_NOT_FOUND"):
        ada.apply(image, reference)


def test_labels_move_along_and_what_is_gone_is_told(ada: Person) -> None:
    mask = pictures.encoded(np.pad(np.full((64, 48), 7, np.uint8), ((0, 0), (0, 48))))
    labels = lab.Labels(
        boxes=[lab.Box(id="1", label="cat", x=10, y=20, width=30, height=10), lab.Box(id="2", label="dog", x=90, y=0, width=500, height=9)],
        polygons=[lab.Polygon(id="3", rings=[lab.Ring(points=[lab.Point(x=0, y=0), lab.Point(x=20, y=0), lab.Point(x=0, y=20)])])],
        keypoints=[lab.Keypoint(label="left_eye", x=5, y=6), lab.Keypoint(label="right_eye", x=7, y=6, visibility=lab.VISIBILITY_ABSENT)],
        masks=[lab.Mask(id="4", label="ground", png=mask)],
    )
    flip = pipeline("horizontal_flip", labels={"mirrorPairs": [{"first": "left_eye", "second": "right_eye"}]})
    result = ada.apply(sample(pictures.png(), labels), flip)
    (box,) = result.labels.boxes
    assert (box.id, box.label, box.x, box.y, box.width, box.height) == ("1", "cat", 56, 20, 30, 10)
    assert (box.visible_share, box.weight) == (1, 1)
    assert [(gone.id, gone.label) for gone in result.dropped] == [("2", "dog")]
    assert result.dropped[0].visible_share == pytest.approx(6 / 500, abs=1e-3)
    assert sorted((point.x, point.y) for point in result.labels.polygons[0].rings[0].points) == [(76, 0), (96, 0), (96, 20)]
    right, left = sorted(result.labels.keypoints, key=lambda point: point.x)[::-1]
    assert (right.label, right.x, right.y, right.visibility) == ("right_eye", 91, 6, lab.VISIBILITY_VISIBLE)
    assert left.visibility == lab.VISIBILITY_ABSENT
    moved = pictures.pixels_of(result.labels.masks[0].png)[..., 0]
    assert (result.labels.masks[0].id, result.labels.masks[0].label) == ("4", "ground")
    assert set(np.unique(moved[:, 48:])) == {7}
    assert set(np.unique(moved[:, :48])) == {0}


def test_further_pictures_are_mixed_in_with_their_labels(ada: Person) -> None:
    def boxed(seed: int) -> aug.Sample:
        return sample(pictures.jpeg(seed=seed), lab.Labels(boxes=[lab.Box(id=str(seed), x=1, y=1, width=90, height=60)]))

    further = [boxed(seed) for seed in (2, 3, 4)]
    result = ada.apply(boxed(1), pipeline("mosaic"), further=further)
    assert {box.id for box in result.labels.boxes} == {"1", "2", "3", "4"}
    assert ada.apply(boxed(1), result.recipe, further=further).image == result.image


def test_sixteen_bit_masks_keep_their_values(ada: Person) -> None:
    values = np.arange(96 * 64, dtype=np.uint16).reshape(64, 96) * 10
    result = ada.apply(sample(pictures.png(), lab.Labels(masks=[lab.Mask(png=sixteen_bit(values))])), FLIP)
    assert read_sixteen_bit(result.labels.masks[0].png).tolist() == values[:, ::-1].tolist()


# --- previews ---


def test_previews_are_what_apply_makes_in_small(ada: Person) -> None:
    image = pictures.png(192, 128)
    labels = lab.Labels(boxes=[lab.Box(id="b", x=10, y=10, width=100, height=80)])
    answer = ada.preview(sample(image, labels), RANDOM, seed=5, count=24, first_copy=10, max_side=96)
    assert [preview.copy for preview in answer.previews] == list(range(10, 34))
    assert answer.input_sha256 == hashlib.sha256(image).hexdigest()
    assert (answer.original.width, answer.original.height) == (96, 64)
    assert (answer.original.full_width, answer.original.full_height) == (192, 128)
    assert answer.original.labels.boxes[0].width == 100
    for preview in answer.previews[::6]:
        full = ada.apply(sample(image, labels), RANDOM, seed=5, copy=preview.copy)
        assert preview.recipe == full.recipe
        assert preview.labels == full.labels
        assert (preview.full_width, preview.full_height) == (full.width, full.height)
        small = pictures.pixels_of(preview.image).astype(float)
        shrunk = pictures.pixels_of(full.image).reshape(64, 2, 96, 2, 3).mean(axis=(1, 3))
        assert small.shape == shrunk.shape
        assert abs(small - shrunk).mean() < 12


def test_previews_have_defaults_and_small_pictures_are_not_enlarged(ada: Person) -> None:
    answer = ada.preview(pictures.png(), FLIP)
    assert len(answer.previews) == 8
    assert {(preview.width, preview.height) for preview in answer.previews} == {(96, 64)}
    assert max(ada.preview(pictures.png(800, 600), FLIP, count=1).previews[0].width, 0) == 384
    assert answer.timing.work.ToNanoseconds() > 0


def test_a_preview_without_a_pipeline_is_the_picture_itself(ada: Person) -> None:
    answer = ada.preview(pictures.png())
    assert (answer.original.width, len(answer.previews)) == (96, 0)


def test_previews_tell_what_a_pipeline_may_not_have_meant(ada: Person) -> None:
    answer = ada.preview(pictures.png(), pipeline("mixup"), count=1)
    assert [(finding.field, finding.warning) for finding in answer.warnings] == [("steps[0].transform", True)]
    assert not ada.preview(pictures.png(), pipeline("mixup"), count=1, further=[sample(pictures.png())]).warnings


def test_previews_are_shared_out_among_all_workers(start_augment: StartAugment) -> None:
    service = start_augment(workers=2)
    until(lambda: service.metric("workers_up") == 2)
    before = service.metric("worker_work_seconds_count")
    service.door.person().preview(pictures.png(), RANDOM, count=8)
    assert service.metric("worker_work_seconds_count") - before == 2


# --- where pictures are ---


def test_images_of_projects_are_read_in_the_callers_name(ada: Person, labeling_manager: Labeler, augment: Augment, project: str) -> None:
    image = pictures.png(seed=3)
    (added,) = labeling_manager.add(project, image)
    source = aug.Source(project_image=aug.ProjectImage(project_id=project, image_id=added.image.id))
    result = ada.apply(aug.Sample(source=source), FLIP)
    assert result.input_sha256 == hashlib.sha256(image).hexdigest()
    reader = augment.door.person(scopes=["augment.apply", "labeling.read"])
    assert reader.apply(aug.Sample(source=source), FLIP) == result
    with pytest.raises(PermissionDenied, match="SCOPE_MISSING"):
        augment.door.person(scopes=["augment.apply"]).apply(aug.Sample(source=source), FLIP)
    with pytest.raises(NotFound):
        augment.door.person(scopes=["augment.apply", "labeling.read"], projects=[new_id()]).apply(aug.Sample(source=source), FLIP)
    elsewhere = aug.Source(project_image=aug.ProjectImage(project_id=project, image_id=new_id()))
    with pytest.raises(NotFound):
        ada.apply(aug.Sample(source=elsewhere), FLIP)
    several = [aug.Sample(source=source)] * 3
    assert ada.apply(aug.Sample(source=source), pipeline("mosaic"), further=several).width > 0


def test_addresses_of_the_mesh_are_read_and_no_others(ada: Person, labeling_manager: Labeler, project: str) -> None:
    (added,) = labeling_manager.add(project, pictures.png(seed=4))
    result = ada.apply(aug.Sample(source=aug.Source(object_url=added.image.url)), FLIP)
    assert result.input_sha256 == hashlib.sha256(pictures.png(seed=4)).hexdigest()
    with pytest.raises(InvalidArgument, match="OBJECT_URL_REFUSED"):
        ada.apply(aug.Sample(source=aug.Source(object_url="/objects/other-bucket/x?X-Amz-Signature=1")), FLIP)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:80/a.png", "http://localhost/", "http://[::1]/", "ftp://example.org/a", "http://169.254.169.254/"]
)
def test_addresses_inside_are_refused(ada: Person, url: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        ada.apply(aug.Sample(source=aug.Source(url=url)), FLIP)
    assert refused.value.reason in ("URL_REFUSED", "URL_FAILED")


# --- what is refused ---


def bomb(width: int, height: int) -> bytes:
    """A PNG file that claims to be huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"not a picture", "NOT_AN_IMAGE"),
        (b"%PDF-1.7 something", "FORMAT_NOT_ALLOWED"),
        (b"BM" + b"\0" * 100, "FORMAT_NOT_ALLOWED"),
        (bomb(20_000, 20_000), "TOO_MANY_PIXELS"),
        (bomb(2**31 - 1, 2**31 - 1), "TOO_MANY_PIXELS"),
        (pictures.png(400, 400)[:-5000], "TRUNCATED"),
        (pictures.jpeg(400, 400)[:-5000], "TRUNCATED"),
    ],
    ids=["text", "pdf", "bmp", "too large", "far too large", "half a png", "half a jpeg"],
)
def test_bad_pictures_are_refused_with_a_reason(ada: Person, image: bytes, reason: str) -> None:
    asks: list[Callable[[], object]] = [lambda: ada.apply(image, FLIP), lambda: ada.preview(image, FLIP)]
    for ask in asks:
        with pytest.raises(InvalidArgument) as refused:
            ask()
        assert refused.value.reason == reason
        assert refused.value.violations


def test_bad_headers_are_refused_without_a_worker(start_augment: StartAugment) -> None:
    service = start_augment(workers=1)
    person = service.door.person()
    person.apply(pictures.png(), FLIP)
    before = service.metric("worker_work_seconds_count")
    for _ in range(5):
        with pytest.raises(InvalidArgument, match="TOO_MANY_PIXELS"):
            person.apply(bomb(20_000, 20_000), FLIP)
    assert service.metric("worker_work_seconds_count") == before


@pytest.mark.parametrize(
    ("labels", "field"),
    [
        (lab.Labels(masks=[lab.Mask(png=pictures.encoded(np.zeros((10, 10), np.uint8)))]), "sample.labels.masks[0]"),
        (lab.Labels(masks=[lab.Mask(png=pictures.png())]), "sample.labels.masks[0].png"),
        (lab.Labels(masks=[lab.Mask(png=pictures.jpeg())]), "sample.labels.masks[0].png"),
        (lab.Labels(masks=[lab.Mask(png=bomb(20_000, 20_000))]), "sample.labels.masks[0].png"),
        (
            lab.Labels(polygons=[lab.Polygon(rings=[lab.Ring(points=[lab.Point(x=1, y=1)] * 20_000)] * 6)]),
            "sample.labels.polygons",
        ),
    ],
    ids=["a mask of another size", "a coloured mask", "a mask that is no PNG", "a bomb as a mask", "too many points"],
)
def test_bad_labels_are_refused_with_their_place(ada: Person, labels: lab.Labels, field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        ada.apply(sample(pictures.png(), labels), FLIP)
    assert refused.value.reason == "LABEL_INVALID"
    assert refused.value.violations[0].field == field


@pytest.mark.parametrize(
    "box",
    [lab.Box(x=1, y=1, width=0, height=1), lab.Box(x=1, y=1, width=-1, height=1), lab.Box(x=float("nan"), y=1, width=1, height=1)],
)
def test_boxes_that_are_none_are_refused(ada: Person, box: lab.Box) -> None:
    with pytest.raises(InvalidArgument, match="INVALID_FIELDS"):
        ada.apply(sample(pictures.png(), lab.Labels(boxes=[box])), FLIP)


def test_a_wrong_pipeline_is_refused_before_anything_is_done(ada: Person) -> None:
    wrong = pipeline({"transform": "rotate", "parameters": {"angle": [20, -20]}}, "nothing")
    asks: list[Callable[[], object]] = [
        lambda: ada.apply(pictures.png(), wrong),
        lambda: ada.preview(pictures.png(), wrong),
        lambda: list(ada.stream([pictures.png()], wrong)),
    ]
    for ask in asks:
        with pytest.raises(InvalidArgument) as refused:
            ask()
        assert refused.value.reason == "PIPELINE_INVALID"
        assert {violation.field for violation in refused.value.violations} == {
            "pipeline.steps[0].parameters.angle",
            "pipeline.steps[1].transform",
        }


def _set(name: str, value: Value) -> Callable[[aug.Recipe], None]:
    return lambda recipe: recipe.steps[1].parameters.fields[name].CopyFrom(value)


@pytest.mark.parametrize(
    "spoil",
    [
        _set("angle", Value(number_value=1e9)),
        _set("angle", Value(number_value=float("nan"))),
        _set("angle", Value(string_value="1")),
        _set("more", Value(number_value=1)),
        lambda recipe: recipe.steps[1].parameters.fields.pop("angle"),
        lambda recipe: recipe.steps.add(transform="nothing"),
        lambda recipe: recipe.steps.add(transform="one_of"),
        lambda recipe: recipe.fill_colour.extend([1, 2]),
        lambda recipe: recipe.steps.add(transform="resize", parameters=None),
    ],
    ids=["out of bounds", "no number", "a text", "unknown", "missing", "no transform", "a composition", "half a colour", "no parameters"],
)
def test_hostile_recipes_are_refused(ada: Person, spoil: Callable[[aug.Recipe], object]) -> None:
    recipe = ada.apply(pictures.png(), pipeline("horizontal_flip", "rotate")).recipe
    spoil(recipe)
    with pytest.raises(InvalidArgument) as refused:
        ada.apply(pictures.png(), recipe)
    assert refused.value.reason == "PIPELINE_INVALID"
    assert refused.value.violations[0].field.startswith("recipe.")


def resized(side: int) -> dict[str, object]:
    return {"transform": "resize", "parameters": {"mode": "exact", "width": side, "height": side}}


def test_results_that_are_larger_than_an_answer_are_refused(ada: Person) -> None:
    grown = pipeline(resized(4000), "gaussian_noise", "gaussian_noise")
    with pytest.raises(FailedPrecondition) as refused:
        ada.apply(pictures.noise(64, 64), grown)
    assert refused.value.reason == "RESULT_TOO_LARGE"
    again = pipeline(resized(9900), {"transform": "pad", "parameters": {"left": [1000, 1000]}})
    with pytest.raises(FailedPrecondition, match="RESULT_TOO_LARGE"):
        ada.apply(pictures.png(), again)


def test_a_result_that_takes_more_memory_than_a_worker_has_is_refused_and_the_worker_goes_on(start_augment: StartAugment) -> None:
    service = start_augment(workers=1, worker_memory_mb=256)
    person = service.door.person()
    until(lambda: service.metric("workers_up") == 1)
    grown = pipeline(resized(9900), "elastic", "gaussian_noise")
    with pytest.raises(MeshError) as refused:
        person.apply(pictures.jpeg(), grown)
    assert refused.value.reason == "RESULT_TOO_LARGE"
    assert person.apply(pictures.jpeg(), FLIP).width == 96


def test_nothing_at_all_is_told(ada: Person) -> None:
    with pytest.raises(InvalidArgument, match="INVALID_FIELDS"):
        ada.applied(pictures.png(), None)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="INVALID_FIELDS"):
        ada.apply(aug.Sample(), FLIP)
    with pytest.raises(InvalidArgument, match="INVALID_FIELDS"):
        ada.preview(pictures.png(), FLIP, count=25)


# --- under load, and when workers die ---


def test_one_caller_cannot_take_all_places_and_others_get_theirs(start_augment: StartAugment) -> None:
    service = start_augment(workers=1, work_in_flight=4_000_000)
    until(lambda: service.metric("workers_up") == 1)
    greedy, modest = service.door.person(), service.door.person()
    image = pictures.jpeg(800, 800)
    reasons: list[str] = []

    def ask() -> None:
        try:
            greedy.apply(image, SLOW)
        except ResourceExhausted as busy:
            reasons.append(f"{busy.reason} {busy.retry_after is not None}")

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    until(lambda: bool(reasons))
    assert modest.apply(pictures.jpeg(), FLIP).width == 96
    for thread in threads:
        thread.join(timeout=60)
    assert set(reasons) == {"WORKERS_BUSY True"}
    assert 0 < len(reasons) < 12
    until(lambda: service.metric("worker_weight") == 0)


def test_a_worker_that_is_killed_over_a_call_is_not_noticed_by_the_caller(start_augment: StartAugment) -> None:
    others = children()
    service = start_augment(workers=1)
    until(lambda: service.metric("workers_up") == 1)
    person = service.door.person()
    image = pictures.jpeg(1500, 1500)
    expected = person.apply(image, SLOW, seed=4)
    results: list[aug.Augmented] = []
    thread = threading.Thread(target=lambda: results.append(person.apply(image, SLOW, seed=4)))
    thread.start()
    until(lambda: service.metric("worker_weight") > 0 and service.metric("worker_jobs_waiting") == 0, step_s=0.005)
    (worker,) = children() - others
    os.kill(worker, signal.SIGKILL)
    thread.join(timeout=60)
    assert service.metric("workers_lost_total") == 1
    assert results == [expected]


def test_work_that_hangs_ends_in_time_with_an_error_of_its_own(start_augment: StartAugment) -> None:
    others = children()
    service = start_augment(workers=1, job_s=1)
    until(lambda: service.metric("workers_up") == 1)
    person = service.door.person()
    stopped = threading.Event()

    def stop_every_worker() -> None:
        # A stopped process hangs as a loop without end does.
        while not stopped.is_set():
            for worker in children() - others:
                os.kill(worker, signal.SIGSTOP)
            time.sleep(0.01)

    thread = threading.Thread(target=stop_every_worker)
    thread.start()
    try:
        with pytest.raises(MeshError) as lost:
            person.applied(pictures.jpeg(), FLIP, timeout=5)
    finally:
        stopped.set()
        thread.join()
    assert lost.value.reason in ("WORKER_LOST", "DEADLINE_EXCEEDED")
    assert service.metric("workers_lost_total") >= 1


def test_an_address_that_hangs_keeps_a_thread_no_longer_than_its_caller_waits(start_augment: StartAugment) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        service = start_augment(workers=1, fetch_networks="127.0.0.1/32", fetch_ports=str(port))
        until(lambda: service.metric("workers_up") == 1)
        person = service.door.person()
        request = aug.ApplyRequest(sample=aug.Sample(source=aug.Source(url=f"http://127.0.0.1:{port}/cat.png")), pipeline=FLIP)
        with pytest.raises(MeshError):
            person.augmentations.Apply(request, metadata=person.metadata, timeout=1)
        until(lambda: service.metric("grpc_server_in_flight") == 0, timeout_s=3)


def test_a_call_that_takes_too_long_ends_at_its_deadline_and_leaves_no_work_waiting(start_augment: StartAugment) -> None:
    service = start_augment(workers=1)
    until(lambda: service.metric("workers_up") == 1)
    person = service.door.person()
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        person.preview(pictures.jpeg(2500, 2500), SLOW, count=24, timeout=1)
    assert time.monotonic() - began < 3
    until(lambda: service.metric("worker_jobs_waiting") == 0)


def test_what_a_caller_who_went_away_had_waiting_is_dropped(start_augment: StartAugment) -> None:
    service = start_augment(workers=1)
    until(lambda: service.metric("workers_up") == 1)
    person = service.door.person()
    request = aug.PreviewRequest(sample=sample(pictures.jpeg(1500, 1500)), pipeline=SLOW, count=24)
    call = person.augmentations.Preview.future(request, metadata=person.metadata, timeout=60)
    until(lambda: service.metric("worker_jobs_waiting") > 0)
    call.cancel()
    until(lambda: service.metric("worker_jobs_waiting") == 0, timeout_s=3)


def children() -> set[int]:
    """The workers of all services in this process."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in children_of(task) if is_worker(pid)}


def children_of(task: Path) -> list[int]:
    """Of a thread, which may have ended meanwhile."""
    try:
        return list(map(int, (task / "children").read_text().split()))
    except OSError:
        return []


def is_worker(pid: int) -> bool:
    try:
        return b"labelmesh_chassis.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def sixteen_bit(values: np.ndarray[tuple[int, int], np.dtype[np.uint16]]) -> bytes:
    return bytes(cv2.imencode(".png", values)[1])


def read_sixteen_bit(content: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found.astype(np.uint16)
