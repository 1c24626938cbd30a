"""The counters say what the annotations say, whatever happened."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from labelmesh.labeling.v1 import annotations_pb2 as ann
from labelmesh.labeling.v1 import statistics_pb2 as stat
from labelmesh_chassis.errors import FailedPrecondition, PermissionDenied, ResourceExhausted, Unavailable
from labelmesh_chassis.identity import IDENTITY_HEADER, Role

from tests.integration.labeling.people import Door, Person, Signer
from tests.integration.labeling.service import Labeling, until

_RECOUNT = """
SELECT CAST(a.author_id AS text) AS who, count(*) AS labels, count(DISTINCT a.image_id) FILTER (WHERE a.repeat_of IS NULL) AS images,
    count(a.repeat_of) AS repeats, count(*) FILTER (WHERE f.class_id = a.class_id) AS consistent,
    max(a.created_at) AS last
FROM annotations a LEFT JOIN annotations f ON f.id = a.repeat_of
WHERE a.project_id = CAST(:project AS uuid) AND a.author_kind = 1 AND NOT EXISTS (SELECT 1 FROM withdrawals w WHERE w.annotation_id = a.id)
GROUP BY a.author_id
"""
_QUEUE = """
SELECT count(*) AS images,
    count(*) FILTER (WHERE wanted = (SELECT count(*) FROM annotations a WHERE a.image_id = q.image_id AND a.repeat_of IS NULL
        AND NOT EXISTS (SELECT 1 FROM withdrawals w WHERE w.annotation_id = a.id))) AS completed,
    count(*) FILTER (WHERE labels <> (SELECT count(*) FROM annotations a WHERE a.image_id = q.image_id AND a.repeat_of IS NULL
        AND NOT EXISTS (SELECT 1 FROM withdrawals w WHERE w.annotation_id = a.id))) AS wrong_labels,
    count(*) FILTER (WHERE free_slots <> ((1 << wanted) - 1) & ~coalesce((SELECT bit_or(1 << slot) FROM (
        SELECT slot FROM leases l WHERE l.image_id = q.image_id AND l.repeat_of IS NULL AND NOT l.returned
        UNION SELECT a.slot FROM annotations a WHERE a.image_id = q.image_id AND a.repeat_of IS NULL
            AND NOT EXISTS (SELECT 1 FROM withdrawals w WHERE w.annotation_id = a.id)) s), 0)) AS wrong_slots
FROM queue q WHERE q.project_id = CAST(:project AS uuid)
"""
_STEPS = st.sampled_from(
    ["lease", "submit", "submit", "submit and lease", "skip", "undo", "release", "renew", "expire", "late submit", "late submit and lease"]
)


def recount(service: Labeling, project: str, people: list[Person]) -> None:
    """Fails unless counters, queue and slots are what annotations and leases say."""
    truth = {row.who: row for row in service.sql(_RECOUNT, project=project)}
    queue = service.sql(_QUEUE, project=project)[0]
    assert (queue.wrong_labels, queue.wrong_slots) == (0, 0)
    for person in people:
        numbers = person.numbers(project)
        own, real = numbers.own, truth.get(person.id)
        found = (own.labels_given, own.distinct_images_labeled, own.repeats, own.repeats_consistent)
        assert found == ((real.labels, real.images, real.repeats, real.consistent) if real else (0, 0, 0, 0))
        assert own.HasField("last_label_time") == (real is not None)
        if real is not None:
            assert abs(own.last_label_time.ToNanoseconds() / 1e9 - real.last.timestamp()) < 0.001
        assert numbers.project.labels == sum(row.labels for row in truth.values())
        assert (numbers.project.images, numbers.project.images_completed) == (queue.images, queue.completed)
        assert numbers.project.images_awaiting == queue.images - queue.completed


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(_STEPS, st.integers(0, 1), st.integers(0, 2)), min_size=5, max_size=45), overlap=st.integers(1, 2))
def test_statistics_equal_a_recount_after_any_sequence_of_steps(
    labeling: Labeling, door: Door, manager: Person, steps: list[tuple[str, int, int]], overlap: int
) -> None:
    project = manager.create_project(repeat_rate=0.5).id
    labeling.sql("UPDATE projects SET overlap = :overlap WHERE id = CAST(:id AS uuid)", overlap=overlap, id=project)
    labeling.seed(project, 12)
    people = [door.person(), door.person()]
    hands: list[list[ann.Lease]] = [[], []]
    for step, who, what in steps:
        take(labeling, people[who], hands[who], project, step, what)
    recount(labeling, project, people)


def take(service: Labeling, person: Person, hand: list[ann.Lease], project: str, step: str, what: int) -> None:
    """One step of one annotator; those that the state forbids are refused without a trace."""
    lease = hand[what % len(hand)] if hand else None
    try:
        if step == "lease":
            found = person.next(project)
            if found.HasField("lease"):
                hand.append(found.lease)
        elif step == "undo":
            hand.append(person.undo(project).lease)
        elif step == "expire":
            service.sql("UPDATE leases SET expires_at = now() - interval '1 ms' WHERE project_id = CAST(:id AS uuid)", id=project)
        elif lease is not None:
            if step in ("submit", "submit and lease", "skip", "release"):
                hand.remove(lease)
            if step == "skip":
                person.skip(lease)
            elif step == "release":
                person.release(lease)
            elif step == "renew":
                person.renew(lease)
            else:
                following = person.submit(lease, str(what), lease_next=step.endswith("and lease")).next
                if following.HasField("lease"):
                    hand.append(following.lease)
    except (FailedPrecondition, ResourceExhausted):
        pass


def test_an_image_is_labeled_by_as_many_different_people_as_its_project_asks_for_and_no_more(
    labeling: Labeling, door: Door, manager: Person, project: str
) -> None:
    labeling.sql("UPDATE projects SET overlap = 2")
    labeling.seed(project, 60)
    failures: list[BaseException] = []

    def work(person: Person) -> None:
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                found = person.next(project)
                if found.HasField("lease"):
                    person.submit(found.lease)
                elif found.nothing.reason == 1:
                    return
                else:
                    time.sleep(0.02)
            raise AssertionError("it took too long")
        except BaseException as failure:
            failures.append(failure)

    people = [door.person() for _ in range(6)]
    threads = [threading.Thread(target=work, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    rows = labeling.sql(
        "SELECT count(*) AS n, count(DISTINCT author_id) AS people, count(DISTINCT slot) AS slots FROM annotations GROUP BY image_id"
    )
    assert [tuple(row) for row in rows] == [(2, 2, 2)] * 60
    recount(labeling, project, people)


def test_annotators_see_their_own_numbers_and_managers_everybody_s(
    labeling: Labeling, manager: Person, ada: Person, bob: Person, project: str
) -> None:
    labeling.seed(project, 10)
    for person, count in ((ada, 2), (bob, 3)):
        for _ in range(count):
            person.submit(person.lease(project))
    with pytest.raises(PermissionDenied):
        ada.statistics.ListAnnotatorStatistics(stat.ListAnnotatorStatisticsRequest(project_id=project), metadata=ada.metadata)
    token, found = "", []
    for _ in range(2):
        request = stat.ListAnnotatorStatisticsRequest(project_id=project, page_size=1, page_token=token)
        answer = manager.statistics.ListAnnotatorStatistics(request, metadata=manager.metadata)
        found += [(each.author_id, each.labels_given) for each in answer.annotators]
        token = answer.next_page_token
    assert found == [(bob.id, 3), (ada.id, 2)]
    assert token == ""
    ada.lease(project)
    numbers = ada.numbers(project).project
    assert (numbers.images, numbers.images_completed, numbers.images_awaiting, numbers.images_held) == (10, 5, 5, 1)


def test_a_watcher_is_told_of_changes_and_sent_on_with_a_cursor(labeling: Labeling, ada: Person, signer: Signer, project: str) -> None:
    labeling.seed(project, 5)
    token = signer.sign(ada.identity, lifetime_s=4)
    received: list[stat.WatchStatisticsResponse] = []
    ended: list[Unavailable] = []

    def watch() -> None:
        try:
            for message in ada.statistics.WatchStatistics(
                stat.WatchStatisticsRequest(project_id=project), metadata=((IDENTITY_HEADER, token),)
            ):
                received.append(message)
        except Unavailable as end:
            ended.append(end)

    thread = threading.Thread(target=watch)
    thread.start()
    until(lambda: len(received) == 1)
    ada.submit(ada.lease(project))
    until(lambda: bool(received) and received[-1].project.labels == 1)
    thread.join(timeout=10)
    assert [end.reason for end in ended] == ["STREAM_RENEW"]
    cursors = [message.cursor for message in received]
    assert len(set(cursors)) == len(cursors)
    again = ada.statistics.WatchStatistics(
        stat.WatchStatisticsRequest(project_id=project, cursor=cursors[-1]), metadata=ada.metadata, timeout=3
    )
    ada.submit(ada.lease(project))
    assert any(message.project.labels == 2 for message in itertools.islice(again, 2))
    stop(again)


def test_more_watchers_than_a_process_can_serve_are_refused(start_labeling: Callable[..., Labeling]) -> None:
    service = start_labeling(watchers=2)
    manager = service.door.person(Role.MANAGER)
    project = manager.create_project().id

    def watch() -> object:
        request = stat.WatchStatisticsRequest(project_id=project)
        stream = manager.statistics.WatchStatistics(request, metadata=manager.metadata, timeout=20)
        next(iter(stream))
        return stream

    streams = [watch(), watch()]
    with pytest.raises(ResourceExhausted):
        watch()
    stop(streams[0])

    def has_room() -> bool:
        try:
            streams.append(watch())
        except ResourceExhausted:
            return False
        return True

    until(has_room)
    for stream in streams:
        stop(stream)


def stop(stream: Any) -> None:
    """Leaves a stream."""
    stream.cancel()
