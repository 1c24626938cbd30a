"""Training code says what comes first."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from labelmesh.labeling.v1 import images_pb2 as img
from labelmesh_chassis.errors import InvalidArgument, MeshError, NotFound, PermissionDenied
from labelmesh_chassis.identity import Role

from tests.integration.labeling.people import Door, Person, new_id
from tests.integration.labeling.service import Labeling, until


def test_an_image_set_to_the_top_is_the_next_one_handed_out_under_load_every_time(
    labeling: Labeling, door: Door, manager: Person, project: str
) -> None:
    images = labeling.seed(project, 3000)
    machine = door.person(Role.MANAGER, key=True)
    stop = threading.Event()
    failures: list[BaseException] = []
    # When the call began that got a lease.
    began: dict[str, float] = {}

    def work() -> None:
        person = door.person()
        try:
            start = time.monotonic()
            lease = person.lease(project)
            began[lease.id] = start
            while not stop.is_set():
                start = time.monotonic()
                lease = person.submit(lease, lease_next=True).next.lease
                began[lease.id] = start
        except BaseException as failure:
            failures.append(failure)

    def shuffle() -> None:
        try:
            turn = 0
            while not stop.is_set():
                turn += 1
                machine.prioritize(project, {image: float((index * turn) % 7) for index, image in enumerate(images[1000:1500])})
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work) for _ in range(4)] + [threading.Thread(target=shuffle)]
    for thread in threads:
        thread.start()
    asked = door.person()
    got_it = 0
    try:
        for turn, image in enumerate(images[-100:]):
            machine.prioritize(project, {image: 1000.0 + turn})
            lease = asked.lease(project)
            answered = time.monotonic()
            got = str(labeling.sql("SELECT image_id FROM leases WHERE id = CAST(:id AS uuid)", id=lease.id)[0].image_id)
            got_it += got == image
            if got != image:
                # Then it went to a call that was under way at the same time as ours.
                assert began[taker_of(labeling, image, began)] <= answered
            asked.submit(lease)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert got_it > 10


def taker_of(service: Labeling, image: str, began: dict[str, float]) -> str:
    """The lease that an image went to, once the call that took it has been answered."""
    found = "SELECT CAST(id AS text) AS id FROM {} WHERE image_id = CAST(:image AS uuid)"
    look = " UNION ".join(found.format(table) for table in ("leases", "annotations"))
    until(lambda: any(row.id in began for row in service.sql(look, image=image)))
    return str(service.sql(look, image=image)[0].id)


def test_priorities_are_all_set_or_none(labeling: Labeling, manager: Person, ada: Person, project: str) -> None:
    images = labeling.seed(project, 3)
    with pytest.raises(NotFound) as caught:
        manager.prioritize(project, {images[2]: 5, new_id(): 6})
    assert caught.value.violations[0].field == "priorities[1].image_id"
    assert labeling.sql("SELECT count(*) AS n FROM queue WHERE priority <> 0")[0].n == 0
    with pytest.raises(PermissionDenied):
        ada.prioritize(project, {images[2]: 5})
    twice = [img.ImagePriority(image_id=images[0], priority=value) for value in (1, 2)]
    with pytest.raises(InvalidArgument):
        manager.images.SetPriorities(img.SetPrioritiesRequest(project_id=project, priorities=twice), metadata=manager.metadata)


def test_a_stream_sets_thousands_of_priorities_in_order(labeling: Labeling, manager: Person, ada: Person, project: str) -> None:
    images = labeling.seed(project, 6000)

    def messages() -> Iterator[img.StreamPrioritiesRequest]:
        for start in range(0, 6000, 2000):
            priorities = [
                img.ImagePriority(image_id=image, priority=start + index) for index, image in enumerate(images[start : start + 2000])
            ]
            yield img.StreamPrioritiesRequest(project_id=project if start == 0 else "", priorities=priorities)

    answer = manager.images.StreamPriorities(messages(), metadata=manager.metadata, timeout=30)
    assert answer.set_count == 6000
    lease = ada.lease(project)
    assert str(labeling.sql("SELECT image_id FROM leases WHERE id = CAST(:id AS uuid)", id=lease.id)[0].image_id) == images[5999]


def test_a_stream_names_one_project(labeling: Labeling, manager: Person, project: str) -> None:
    (image,) = labeling.seed(project, 1)
    priority = img.ImagePriority(image_id=image, priority=1)
    for project_ids in (["", project], ["nonsense"], [project, new_id()]):
        requests = [img.StreamPrioritiesRequest(project_id=each, priorities=[priority]) for each in project_ids]
        with pytest.raises(MeshError) as caught:
            manager.images.StreamPriorities(iter(requests), metadata=manager.metadata)
        assert caught.value.violations[0].field == "project_id"


def test_two_programs_that_set_the_same_images_at_once_do_not_get_in_each_other_s_way(
    labeling: Labeling, manager: Person, project: str
) -> None:
    images = labeling.seed(project, 400)
    failures: list[BaseException] = []

    def work(order: list[str], value: float) -> None:
        try:
            for turn in range(15):
                manager.prioritize(project, dict.fromkeys(order, value + turn))
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(order, value)) for order, value in ((images, 0.0), (images[::-1], 0.5))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert labeling.sql("SELECT count(DISTINCT priority) AS n FROM queue")[0].n == 1
