"""One call in five shows an image seen before, and nothing tells which."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import sqrt

from labelmesh_chassis.identity import Role

from tests.integration.labeling.people import Person
from tests.integration.labeling.service import Labeling


def test_the_share_of_repeats_over_two_thousand_calls_is_a_fifth(start_labeling: Callable[..., Labeling]) -> None:
    service = start_labeling(chance=random.Random(20))
    manager, ada = service.door.person(Role.MANAGER), service.door.person()
    project = manager.create_project().id
    service.seed(project, 2000)
    for _ in range(12):  # Nothing can be repeated before.
        ada.submit(ada.lease(project))
    before = ada.numbers(project).own
    lease = ada.lease(project)
    for _ in range(2000):
        lease = ada.submit(lease, lease_next=True).next.lease
    after = ada.numbers(project).own
    repeats = after.repeats - before.repeats
    # 3.29 standard deviations hold 99.9 % of a binomial distribution.
    assert abs(repeats - 400) <= 3.29 * sqrt(2000 * 0.2 * 0.8)
    assert after.labels_given == 2012
    assert after.distinct_images_labeled == 2012 - after.repeats
    assert after.consistency == 1
    assert ada.numbers(project).project.images_completed == after.distinct_images_labeled
    # Which image is repeated is left to chance: the first half of them is not preferred to the second.
    rows = service.sql("SELECT f.author_seq AS first, r.author_seq AS again FROM annotations r JOIN annotations f ON f.id = r.repeat_of")
    assert all(row.again - row.first >= 10 for row in rows)
    early = sum(row.first <= (row.again - 10) / 2 for row in rows)
    assert abs(early - repeats / 2) <= 4 * sqrt(repeats * 0.25)


def label_until_repeat(service: Labeling, ada: Person, project: str, class_id: str) -> None:
    """Labels with the class until the lease in hand is a repeat, and labels that with another class."""
    for _ in range(200):
        lease = ada.lease(project)
        again = service.sql("SELECT repeat_of FROM leases WHERE id = CAST(:id AS uuid)", id=lease.id)[0].repeat_of
        if again is not None:
            ada.submit(lease, "9")
            return
        ada.submit(lease, class_id)
    raise AssertionError("no repeat came in 200 calls")


def test_an_inconsistent_repeat_counts_and_can_be_undone(labeling: Labeling, manager: Person, ada: Person) -> None:
    project = manager.create_project(repeat_rate=0.5).id
    labeling.seed(project, 300)
    label_until_repeat(labeling, ada, project, "1")
    numbers = ada.numbers(project)
    assert (numbers.own.repeats, numbers.own.repeats_consistent, numbers.own.consistency) == (1, 0, 0)
    lease = ada.undo(project).lease
    assert lease.previous_class_id == "9"
    assert ada.numbers(project).own.repeats == 0
    assert not ada.numbers(project).own.HasField("consistency")
    ada.submit(lease, "1")
    numbers = ada.numbers(project)
    assert (numbers.own.repeats, numbers.own.consistency) == (1, 1)
    assert numbers.project.images_completed == numbers.own.distinct_images_labeled


def test_the_end_of_the_queue_says_so_and_shows_no_repeats(labeling: Labeling, manager: Person, ada: Person) -> None:
    project = manager.create_project(repeat_rate=0.5).id
    labeling.seed(project, 30)
    for _ in range(200):
        found = ada.next(project)
        if not found.HasField("lease"):
            break
        ada.submit(found.lease)
    assert [ada.reason(project) for _ in range(10)] == ["ALL_LABELED"] * 10
    assert ada.numbers(project).own.distinct_images_labeled == 30


def test_nothing_in_a_lease_or_an_answer_tells_a_repeat(labeling: Labeling, manager: Person, ada: Person) -> None:
    project = manager.create_project(repeat_rate=0.5).id
    labeling.seed(project, 200)
    shapes: dict[bool, set[tuple[str, ...]]] = {False: set(), True: set()}
    for given in range(1, 81):
        lease = ada.lease(project)
        again = labeling.sql("SELECT repeat_of FROM leases WHERE id = CAST(:id AS uuid)", id=lease.id)[0].repeat_of is not None
        answer = ada.submit(lease)
        assert answer.labels_given == given
        fields = [field.name for field, _ in lease.ListFields()] + [field.name for field, _ in answer.ListFields()]
        parts = [lease.image_url.split("?")[0].count("/"), len(lease.image_url), lease.time_left.seconds]
        shapes[again].add((*fields, *map(str, parts)))
    assert len(shapes[True]) == 1
    assert shapes[True] == shapes[False]
