"""Who gets which image, for how long, and what becomes of it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from labelmesh.labeling.v1 import annotations_pb2 as ann
from labelmesh_chassis.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from labelmesh_chassis.identity import Role

from tests.integration.labeling.people import Door, Person, new_id
from tests.integration.labeling.service import Labeling


def seconds(value: float) -> Duration:
    duration = Duration()
    duration.FromTimedelta(timedelta(seconds=value))
    return duration


@pytest.fixture
def hasty(manager: Person) -> str:
    """A project whose leases last one second."""
    return manager.create_project(repeat_rate=0, lease_duration=seconds(1)).id


def test_images_come_by_priority_and_then_by_age(labeling: Labeling, manager: Person, ada: Person, project: str) -> None:
    images = labeling.seed(project, 4)
    manager.prioritize(project, {images[2]: 5, images[3]: -1})
    given = []
    for _ in range(4):
        given.append(holder_image(labeling, ada.lease(project)))
    assert given == [images[2], images[0], images[1], images[3]]


def holder_image(labeling: Labeling, lease: ann.Lease) -> str:
    return str(labeling.sql("SELECT image_id FROM leases WHERE id = CAST(:id AS uuid)", id=lease.id)[0].image_id)


def test_a_lease_says_what_it_is_and_how_long_it_lasts(labeling: Labeling, ada: Person, project: str) -> None:
    labeling.seed(project, 1)
    lease = ada.lease(project)
    assert (lease.width, lease.height, lease.media_type, lease.project_id) == (8, 8, "image/png", project)
    assert lease.image_url.startswith("/objects/")
    assert lease.time_left.ToTimedelta() == timedelta(seconds=120)
    assert abs(lease.expire_time.ToSeconds() - time.time() - 120) < 5


def test_two_annotators_never_hold_the_same_image(labeling: Labeling, door: Door, project: str) -> None:
    labeling.seed(project, 40)
    people = [door.person() for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        leases = list(pool.map(lambda index: people[index % 10].lease(project), range(40)))
    assert len({holder_image(labeling, lease) for lease in leases}) == 40


def test_nobody_holds_more_than_eight_images_even_when_asking_all_at_once(labeling: Labeling, ada: Person, project: str) -> None:
    labeling.seed(project, 40)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: ada.next(project), range(20)))
    assert sum(answer.HasField("lease") for answer in answers) == 8
    assert ada.reason(project) == "TOO_MANY_HELD"


def test_the_same_request_gets_the_same_lease_however_often_it_comes(labeling: Labeling, ada: Person, project: str) -> None:
    labeling.seed(project, 30)
    request_id = new_id()
    with ThreadPoolExecutor(20) as pool:
        leases = list(pool.map(lambda _: ada.lease(project, request_id=request_id), range(20)))
    assert len({lease.id for lease in leases}) == 1
    assert labeling.sql("SELECT count(*) AS n FROM leases")[0].n == 1


def test_a_request_id_of_somebody_else_is_refused(labeling: Labeling, ada: Person, bob: Person, project: str) -> None:
    labeling.seed(project, 3)
    request_id = new_id()
    ada.lease(project, request_id=request_id)
    with pytest.raises(InvalidArgument) as caught:
        bob.lease(project, request_id=request_id)
    assert caught.value.violations[0].field == "request_id"


def test_a_reloaded_page_gets_the_images_back_that_it_lost_track_of(labeling: Labeling, ada: Person, project: str) -> None:
    labeling.seed(project, 5)
    first = ada.lease(project, client_id="page")
    second = ada.lease(project, client_id="page", held=[first.id])
    assert second.id != first.id
    assert ada.lease(project, client_id="page").id == first.id
    assert ada.lease(project, client_id="page", held=[first.id]).id == second.id
    assert ada.lease(project, client_id="another page").id not in {first.id, second.id}


def test_an_image_comes_back_by_itself_when_its_time_runs_out(labeling: Labeling, ada: Person, bob: Person, hasty: str) -> None:
    labeling.seed(hasty, 1)
    ada.lease(hasty)
    answer = bob.next(hasty)
    assert answer.nothing.reason == ann.NOTHING_REASON_ALL_HELD
    wait = answer.nothing.retry_time.ToNanoseconds() / 1e9 - time.time()
    assert 0 < wait <= 1.1
    time.sleep(wait + 0.05)
    assert bob.lease(hasty)


def test_a_late_submit_counts_while_nobody_else_has_the_image(labeling: Labeling, ada: Person, bob: Person, hasty: str) -> None:
    labeling.seed(hasty, 2)
    late, unwanted = ada.lease(hasty), ada.lease(hasty)
    time.sleep(1.05)
    taken = bob.lease(hasty)  # Returns both, takes the first.
    with pytest.raises(FailedPrecondition) as caught:
        ada.submit(late)
    assert (caught.value.reason, caught.value.violations[0].field) == ("LEASE_LOST", "lease_id")
    assert ada.submit(unwanted, "3").labels_given == 1
    assert bob.reason(hasty) == "ALL_HELD"
    bob.submit(taken)
    assert bob.reason(hasty) == "ALL_LABELED"
    assert labeling.sql("SELECT sum(labels) AS labels, sum(free_slots) AS free FROM queue")[0] == (2, 0)


def test_a_renewed_lease_lasts_again_and_a_taken_one_is_left_out(labeling: Labeling, ada: Person, bob: Person, hasty: str) -> None:
    labeling.seed(hasty, 2)
    first, second = ada.lease(hasty), ada.lease(hasty)
    time.sleep(1.05)
    bob.lease(hasty)
    renewed = ada.renew(first, second)
    assert [lease.lease_id for lease in renewed] == [second.id]
    assert bob.reason(hasty) == "ALL_HELD"
    assert ada.submit(second).labels_given == 1


def test_a_released_image_is_there_at_once_and_its_lease_is_over(labeling: Labeling, ada: Person, bob: Person, project: str) -> None:
    labeling.seed(project, 1)
    lease = ada.lease(project)
    assert ada.release(lease) == 1
    assert ada.release(lease) == 0
    assert bob.lease(project)
    with pytest.raises(FailedPrecondition) as caught:
        ada.submit(lease)
    assert caught.value.reason == "LEASE_ENDED"


def test_a_skipped_image_goes_to_others_and_comes_back_at_the_end_oldest_first(
    labeling: Labeling, ada: Person, bob: Person, project: str
) -> None:
    images = labeling.seed(project, 4)
    for _ in range(2):
        ada.skip(ada.lease(project))
    assert holder_image(labeling, bob.lease(project)) == images[0]
    labeling.sql("UPDATE leases SET expires_at = now()")
    rest = [ada.lease(project) for _ in range(2)]
    assert [holder_image(labeling, lease) for lease in rest] == images[2:]
    assert [holder_image(labeling, ada.lease(project)) for _ in range(2)] == images[:2]


def test_a_skip_sent_twice_is_done_once(labeling: Labeling, ada: Person, project: str) -> None:
    labeling.seed(project, 3)
    lease, request_id = ada.lease(project), new_id()
    first = ada.skip(lease, request_id=request_id, lease_next=True)
    assert ada.skip(lease, request_id=request_id, lease_next=True) == first
    assert labeling.sql("SELECT count(*) AS n FROM leases")[0].n == 1


def test_the_end_of_a_project_has_a_reason(labeling: Labeling, manager: Person, ada: Person, project: str) -> None:
    assert ada.reason(project) == "NO_IMAGES"
    labeling.seed(project, 1)
    ada.submit(ada.lease(project))
    assert ada.reason(project) == "ALL_LABELED"
    secret = manager.create_project(access=2).id
    assert ada.reason(secret) == "NO_ACCESS"
    with pytest.raises(NotFound):
        ada.next(new_id())


def test_a_closed_project_gives_nothing_and_still_takes_what_is_out(labeling: Labeling, manager: Person, ada: Person, project: str) -> None:
    labeling.seed(project, 2)
    lease = ada.lease(project)
    labeling.sql("UPDATE projects SET state = 2")
    assert ada.reason(project) == "PROJECT_CLOSED"
    answer = ada.submit(lease, lease_next=True)
    assert answer.labels_given == 1
    assert answer.next.nothing.reason == ann.NOTHING_REASON_PROJECT_CLOSED


def test_a_restricted_project_is_open_to_those_who_name_it(labeling: Labeling, manager: Person, door: Door) -> None:
    project = manager.create_project(access=2, repeat_rate=0).id
    labeling.seed(project, 3)
    assert door.person(projects=[project]).lease(project)
    assert door.person(Role.MANAGER).lease(project)
    assert door.person(Role.MANAGER, key=True, projects=[new_id()]).reason(project) == "NO_ACCESS"


def test_access_that_is_taken_away_ends_at_the_next_call_whatever_is_in_hand(labeling: Labeling, manager: Person, door: Door) -> None:
    project = manager.create_project(access=2, repeat_rate=0).id
    labeling.seed(project, 6)
    before = door.person(projects=[project])
    labeled, held = before.lease(project), before.lease(project)
    request_id = new_id()
    before.submit(labeled, request_id=request_id, lease_next=True)
    now = door.person(user_id=before.id)
    assert_all_refused(now, project, held)
    with pytest.raises(NotFound):  # The answer of that time has the next image in it.
        now.submit(labeled, request_id=request_id, lease_next=True)
    assert labeling.sql("SELECT count(*) AS n FROM annotations")[0].n == 1
    assert before.release(held) == 1


def test_a_key_bound_to_projects_touches_nothing_of_its_owner_elsewhere(labeling: Labeling, manager: Person, door: Door) -> None:
    own, other = (manager.create_project(repeat_rate=0).id for _ in range(2))
    labeling.seed(other, 6)
    manager.submit(manager.lease(other))
    held = manager.lease(other)
    key = door.person(Role.MANAGER, user_id=manager.id, key=True, projects=[own])
    assert_all_refused(key, other, held)
    assert labeling.sql("SELECT count(*) AS n FROM withdrawals")[0].n == 0
    with pytest.raises(PermissionDenied) as refused:
        key.create_project()
    assert refused.value.reason == "KEY_BOUND_TO_PROJECTS"


def assert_all_refused(person: Person, project: str, held: ann.Lease) -> None:
    for call in (
        lambda: person.submit(held),
        lambda: person.submit(held, lease_next=True),
        lambda: person.skip(held, lease_next=True),
        lambda: person.undo(project),
        lambda: person.renew(held),
        lambda: person.release(held),
    ):
        with pytest.raises(NotFound) as refused:
            call()
        assert refused.value.reason == "PROJECT_NOT_FOUND"
    assert person.reason(project) == "NO_ACCESS"
