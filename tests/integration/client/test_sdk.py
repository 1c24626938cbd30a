"""The SDK against the real mesh: labeling, priorities, statistics, sessions, errors."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from labelmesh_client import (
    AuthorKind,
    Client,
    FailedPrecondition,
    ImageFile,
    InvalidArgument,
    MachineLabel,
    NotFound,
    NothingReason,
    Outcome,
    PermissionDenied,
    Project,
    Unauthenticated,
    classes_from_names,
    connect,
)
from labelmesh_client.sources.png import grey_png
from PIL import Image

from tests.integration.client.mesh import ADMIN, ADMIN_PASSWORD, Mesh


def project_with(client: Client, name: str, count: int, *, repeat_rate: float | None = None) -> Project:
    """A project with classes a and b and `count` grey pictures, each of a width and height of its own."""
    project = client.create_project(name, classes_from_names(["a", "b"]), repeat_rate=repeat_rate)
    sizes = [(1 + number % 40, 1 + number // 40) for number in range(count)]
    pictures = [grey_png(width, height, bytes(width * height)) for width, height in sizes]
    files = [ImageFile(f"{number}.png", len(png), lambda png=png: png) for number, png in enumerate(pictures)]  # type: ignore[misc]
    assert all(one.outcome is Outcome.ADDED for one in project.import_images(files))
    return project


@pytest.fixture
def project(client: Client, name: str) -> Project:
    return project_with(client, name, 30, repeat_rate=0.0)


def test_a_program_labels_a_project_to_its_end_and_is_told_why_there_is_no_more(project: Project) -> None:
    loop = project.leases()
    labeled = []
    for lease in loop:
        image = Image.open(io.BytesIO(lease.image()))
        assert image.size == (lease.width, lease.height)
        labeled.append(lease.submit("a" if lease.width % 2 else "b"))
        assert loop.labels_given == len(labeled)
    assert len(labeled) == 30
    assert loop.nothing is not None
    assert loop.nothing.reason is NothingReason.ALL_LABELED
    annotations = list(project.annotations())
    assert [one.id for one in annotations] == labeled
    numbers = project.statistics()
    assert (numbers.own.labels_given, numbers.project.images_completed, numbers.project.images_awaiting) == (30, 30, 0)
    assert [one.labels_given for one in project.annotator_statistics()] == [30]


def test_four_programs_share_a_project_and_every_image_is_labeled_once(mesh: Mesh, client: Client, name: str) -> None:
    project = project_with(client, name, 80, repeat_rate=0.0)
    key = mesh.key()

    def label() -> int:
        with connect(mesh.address, api_key=key) as mine:
            return sum(1 for lease in mine.project(project.id).leases() if lease.submit("a"))

    with ThreadPoolExecutor(4) as pool:
        given = [future.result() for future in [pool.submit(label) for _ in range(4)]]
    assert sum(given) == 80
    assert len({one.image_id for one in project.annotations()}) == 80


def test_leaving_the_loop_gives_back_what_is_held(project: Project) -> None:
    with project.leases() as loop:
        for lease in loop:
            lease.submit("a")
            break
    assert project.statistics().project.images_held == 0
    assert project.statistics().project.labels == 1


def test_a_lease_is_settled_once_and_an_unknown_class_leaves_it_held(project: Project) -> None:
    loop = iter(project.leases())
    lease = next(loop)
    with pytest.raises(InvalidArgument) as unknown:
        lease.submit("zebra")
    assert [violation.field for violation in unknown.value.violations] == ["class_id"]
    lease.renew()
    lease.submit("a")
    with pytest.raises(FailedPrecondition) as ended:
        lease.submit("b")
    assert ended.value.reason == "LEASE_ENDED"


def test_a_priority_set_is_obeyed_by_the_very_next_call(project: Project) -> None:
    images = list(project.images())
    wanted = [images[17], images[3], images[29]]
    assert project.set_priorities((image.id, 10.0 - place) for place, image in enumerate(wanted)) == 3
    handed_out = []
    for lease in project.leases():
        handed_out.append((lease.width, lease.height))
        lease.submit("a")
        if len(handed_out) == 3:
            break
    assert handed_out == [(image.width, image.height) for image in wanted]


def test_priorities_in_bulk_go_over_streams_and_reach_every_image(client: Client, name: str) -> None:
    project = project_with(client, name, 5600)
    pairs = [(image.id, float(place)) for place, image in enumerate(project.images())]
    assert project.set_priorities(iter(pairs)) == 5600
    assert {image.id: image.priority for image in project.images()} == dict(pairs)


def test_a_priority_for_an_image_that_is_not_there_is_refused(project: Project) -> None:
    with pytest.raises(NotFound):
        project.set_priorities([(str(uuid.uuid4()), 1.0)])


def test_labels_of_a_model_stand_beside_those_of_people_and_complete_nothing(project: Project) -> None:
    images = list(project.images())
    labels = [MachineLabel(image.id, "b", 0.75) for image in images]
    assert project.put_machine_labels(iter(labels), model="cnn", model_version="3") == 30
    machine = list(project.annotations(author_kind=AuthorKind.MACHINE))
    assert {(one.model, one.model_version, one.score, one.class_id) for one in machine} == {("cnn", "3", 0.75, "b")}
    numbers = project.statistics().project
    assert (numbers.machine_labels, numbers.images_completed) == (30, 0)


def test_watching_shows_every_change_of_the_numbers(project: Project) -> None:
    def labels_seen() -> Iterator[int]:
        for numbers in project.watch_statistics():
            yield numbers.labels

    watching = labels_seen()
    assert next(watching) == 0
    for lease in project.leases():
        lease.submit("a")
        break
    assert next(watching) == 1


def test_a_password_signs_in_and_a_wrong_one_is_refused(mesh: Mesh) -> None:
    with connect(mesh.address, user=ADMIN, password=ADMIN_PASSWORD) as client:
        list(client.projects())
        client.sign_out()
        list(client.projects())  # the session has ended, so another is opened
    with connect(mesh.address, user=ADMIN, password="wrong") as client, pytest.raises(Unauthenticated) as error:
        list(client.projects())
    assert error.value.reason == "WRONG_CREDENTIALS"


def test_a_key_without_the_scope_is_told_so(mesh: Mesh, project: Project) -> None:
    with connect(mesh.address, api_key=mesh.key("labeling.read")) as client:
        reader = client.project(project.id)
        assert reader.facts.images_count == 30
        with pytest.raises(PermissionDenied) as error:
            list(reader.import_images([ImageFile("a.png", 1, lambda: b"x")]))
        assert error.value.reason == "SCOPE_MISSING"


def test_a_revoked_key_fails_on_its_very_next_call(mesh: Mesh) -> None:
    with mesh.admin() as admin:
        facts, secret = admin.api_keys.create("short", ["labeling.read"])
        with connect(mesh.address, api_key=secret) as client:
            list(client.projects())
            admin.api_keys.revoke(facts.id)
            with pytest.raises(Unauthenticated):
                list(client.projects())


def test_a_closed_project_hands_out_nothing_and_says_so(mesh: Mesh, project: Project) -> None:
    project.close()
    loop = project.leases()
    assert list(loop) == []
    assert loop.nothing is not None
    assert loop.nothing.reason is NothingReason.PROJECT_CLOSED
    project.open()
    assert next(iter(project.leases())).submit("a")
