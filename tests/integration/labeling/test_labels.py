"""What people agreed on, read as a stream: each annotator has one voice, and no image is lost or read twice."""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from labelmesh.labeling.v1 import annotations_pb2 as ann
from labelmesh.labeling.v1 import images_pb2 as img
from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, ResourceExhausted, Unavailable
from labelmesh_chassis.identity import IDENTITY_HEADER, Role
from labelmesh_labeling import consensus, scans
from labelmesh_labeling.__main__ import PLANNING
from sqlalchemy import text

from tests.integration.labeling.people import Door, Person, Signer
from tests.integration.labeling.service import Labeling, statements, until

_STEPS = st.tuples(st.sampled_from(["label", "label", "label", "undo"]), st.integers(0, 3), st.sampled_from("012"))


def messages(person: Person, project: str, cursor: str = "", **more: Any) -> Iterator[ann.StreamLabelsResponse]:
    more.setdefault("metadata", person.metadata)
    stream: Iterator[ann.StreamLabelsResponse] = person.annotations.StreamLabels(
        ann.StreamLabelsRequest(project_id=project, cursor=cursor), **more
    )
    return stream


def read(person: Person, project: str) -> list[ann.LabeledImage]:
    return [labeled for message in messages(person, project) for labeled in message.images]


def recount(service: Labeling, project: str) -> list[tuple[str, set[str], int, int]]:
    """(image, classes with the most votes, votes, most) in the order of the images, from the bare annotations."""
    rows = service.sql(
        "SELECT CAST(i.id AS text) AS image, a.author_id, a.class_id, a.number FROM annotations a JOIN images i ON i.id = a.image_id "
        "WHERE a.project_id = CAST(:project AS uuid) AND a.author_kind = 1 AND a.id NOT IN (SELECT annotation_id FROM withdrawals) "
        "ORDER BY i.number, a.number",
        project=project,
    )
    votes: dict[str, dict[Any, str]] = {}
    for row in rows:
        votes.setdefault(row.image, {})[row.author_id] = row.class_id  # The last one stays.
    found = []
    for image, by_author in votes.items():
        counts = Counter(by_author.values())
        most = max(counts.values())
        found.append((image, {name for name, count in counts.items() if count == most}, len(by_author), most))
    return found


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_STEPS, min_size=8, max_size=50), overlap=st.integers(1, 4))
def test_the_labels_equal_a_recount_after_any_sequence_of_steps(
    labeling: Labeling, door: Door, manager: Person, steps: list[tuple[str, int, str]], overlap: int
) -> None:
    project = manager.create_project(repeat_rate=0.5).id
    labeling.sql("UPDATE projects SET overlap = :overlap WHERE id = CAST(:id AS uuid)", overlap=overlap, id=project)
    labeling.seed(project, 16)
    people = [door.person() for _ in range(4)]
    for step, who, class_id in steps:
        take(people[who], project, step, class_id)
    found = read(manager, project)
    truth = recount(labeling, project)
    assert [labeled.image.id for labeled in found] == [image for image, _, _, _ in truth]
    for labeled, (_, best, votes, most) in zip(found, truth, strict=True):
        assert labeled.class_id == (next(iter(best)) if len(best) == 1 else "")
        assert (labeled.annotators_count, labeled.agreeing_count) == (votes, most)


def take(person: Person, project: str, step: str, class_id: str) -> None:
    """One step of an annotator; there may be nothing to take back, or nothing left."""
    try:
        if step == "undo":
            person.undo(project)
        else:
            found = person.next(project)
            if found.HasField("lease"):
                person.submit(found.lease, class_id)
    except (FailedPrecondition, ResourceExhausted):
        pass


def test_a_repeat_is_the_later_word_of_one_annotator(start_labeling: Callable[..., Labeling]) -> None:
    service = start_labeling(chance=random.Random(3))
    manager, ada = service.door.person(Role.MANAGER), service.door.person()
    project = manager.create_project(repeat_rate=0.5).id
    service.seed(project, 60)
    for _ in range(50):
        lease = ada.lease(project)
        was_repeat = service.sql("SELECT repeat_of FROM leases WHERE id = CAST(:id AS uuid)", id=lease.id)[0].repeat_of
        ada.submit(lease, "7" if was_repeat else "1")
    repeated = {str(row.image_id) for row in service.sql("SELECT DISTINCT image_id FROM annotations WHERE repeat_of IS NOT NULL")}
    assert repeated
    for labeled in read(manager, project):
        assert labeled.class_id == ("7" if labeled.image.id in repeated else "1")
        assert (labeled.annotators_count, labeled.agreeing_count) == (1, 1)


def test_an_undone_label_is_no_label_and_a_machine_s_is_none_either(labeling: Labeling, manager: Person, ada: Person, project: str) -> None:
    first, second, third = labeling.seed(project, 3)
    ada.submit(ada.lease(project), "4")
    ada.submit(ada.lease(project), "5")
    ada.undo(project)
    request = ann.PutMachineAnnotationsRequest(request_id=third, project_id=project, model="m", model_version="1")
    request.annotations.add(image_id=third, class_id="9", score=1)
    manager.annotations.PutMachineAnnotations(request, metadata=manager.metadata)
    assert [(labeled.image.id, labeled.class_id) for labeled in read(manager, project)] == [(first, "4")]
    assert second != first


def test_a_stream_that_breaks_anywhere_goes_on_without_losing_or_repeating_an_image(
    labeling: Labeling, manager: Person, project: str
) -> None:
    images = labeling.seed(project, 1200)
    labeled = label(labeling, project, images[::2])
    chance = random.Random(11)
    found: list[str] = []
    cursor, breaks = "", 0
    while True:
        stream: Any = messages(manager, project, cursor)
        left = chance.randint(1, 2)
        for message in stream:
            found += [each.image.id for each in message.images]
            cursor = message.cursor
            left -= 1
            if left == 0:
                break
        else:
            break
        stream.cancel()
        breaks += 1
        assert breaks < 20
    assert breaks >= 3
    assert found == labeled
    assert [each.image.id for message in messages(manager, project, cursor) for each in message.images] == []


def test_few_labels_among_many_images_are_found_in_bounded_steps(labeling: Labeling, manager: Person, project: str) -> None:
    images = labeling.seed(project, 2 * scans.MOST_LOOKED_AT + 500)
    labeled = label(labeling, project, [images[5], images[scans.MOST_LOOKED_AT + 5], images[-1]])
    with statements() as seen:
        parts = list(messages(manager, project))
    assert [[each.image.id for each in part.images] for part in parts] == [[image] for image in labeled]
    executed = [statement for statement in seen if statement.startswith("EXECUTE")]
    assert len(executed) == len(parts)
    again = [each.image.id for part in messages(manager, project, parts[0].cursor) for each in part.images]
    assert again == labeled[1:]


def test_a_plan_made_while_a_project_was_empty_reads_labels_by_index_when_it_is_large(
    labeling: Labeling, labeling_url: str, manager: Person, project: str
) -> None:
    database = Database(labeling_url, application_name="test", pool_size=1, server_settings=PLANNING)

    def part() -> consensus.LabelPart:
        with database.transaction() as session:
            return consensus.next_labels(session, uuid.UUID(project), 0)

    for _ in range(8):  # Postgres keeps a plan after five.
        part()
    label(labeling, project, labeling.seed(project, 20_000))
    reads = "SELECT sum(idx_tup_read) AS read, sum(seq_scan) AS scans FROM pg_stat_user_indexes JOIN pg_stat_user_tables USING (relid)"
    time.sleep(1.1)  # Postgres's own counters come a second late.
    labeling.sql("SELECT pg_stat_force_next_flush()")
    before = labeling.sql(reads)[0]
    assert len(part().images) == consensus.MOST_IMAGES
    with database.transaction() as session:
        session.execute(text("SELECT pg_stat_force_next_flush()"))
    after = labeling.sql(reads)[0]
    database.close()
    # For each image itself, its queue row, its label, and whether that was undone or said again.
    assert after.read - before.read <= 6 * consensus.MOST_IMAGES
    assert after.scans == before.scans


def test_a_stream_ends_before_its_caller_s_identity_and_goes_on_from_its_cursor(
    labeling: Labeling, manager: Person, project: str, signer: Signer
) -> None:
    # More than fits on the way to a reader who does not read.
    labeled = label(labeling, project, labeling.seed(project, 30_000))
    found: list[str] = []
    cursor = ""
    token = signer.sign(manager.identity, lifetime_s=2)
    with pytest.raises(Unavailable) as ended:
        for message in messages(manager, project, metadata=((IDENTITY_HEADER, token),)):
            if not found:
                time.sleep(2.5)
            found += [each.image.id for each in message.images]
            cursor = message.cursor
    assert ended.value.reason == "STREAM_RENEW"
    assert 0 < len(found) < len(labeled)
    for message in messages(manager, project, cursor):
        found += [each.image.id for each in message.images]
    assert found == labeled


def test_labels_are_for_managers_and_keys_and_cursors_for_their_project(labeling: Labeling, manager: Person, door: Door) -> None:
    project, other = manager.create_project().id, manager.create_project(access=2).id
    label(labeling, project, labeling.seed(project, 2))
    with pytest.raises(PermissionDenied):
        read(door.person(), project)
    with pytest.raises(NotFound):
        read(door.person(key=True), other)
    assert len(read(door.person(key=True), project)) == 2
    cursor = next(iter(messages(manager, project))).cursor
    for wrong in (cursor[:-3], "x", "\N{SNOWMAN}"):
        with pytest.raises(InvalidArgument) as refused:
            list(messages(manager, project, wrong))
        assert refused.value.violations[0].field == "cursor"
    with pytest.raises(InvalidArgument):
        list(messages(manager, other, cursor))


def test_more_streams_than_a_process_serves_are_refused_and_places_come_back(
    start_labeling: Callable[..., Labeling], signer: Signer
) -> None:
    service = start_labeling(label_streams=1)
    manager = service.door.person(Role.MANAGER)
    project = manager.create_project().id
    # More than fits on the way to a reader who does not read.
    label(service, project, service.seed(project, 30_000))
    held = messages(manager, project)
    next(iter(held))
    with pytest.raises(ResourceExhausted) as refused:
        read(manager, project)
    assert refused.value.reason == "TOO_MANY_STREAMS"
    assert refused.value.retry_after is not None
    stop(held)

    def has_room() -> bool:
        try:
            stream = messages(manager, project)
            next(iter(stream))
            stop(stream)
        except ResourceExhausted:
            return False
        return True

    until(has_room)


def test_images_that_await_labels_are_listed_alone_and_page_by_page(labeling: Labeling, manager: Person, project: str) -> None:
    images = labeling.seed(project, 50)
    done = set(label(labeling, project, images[3:40:2]))
    awaiting = [image for image in images if image not in done]
    for size in (1, 7, len(awaiting), 1000):
        found: list[str] = []
        token = ""
        for _ in range(len(images) + 1):
            request = img.ListImagesRequest(project_id=project, page_size=size, page_token=token, awaiting=True)
            page = manager.images.ListImages(request, metadata=manager.metadata)
            assert len(page.images) <= size
            assert not any(image.completed for image in page.images)
            found += [image.id for image in page.images]
            token = page.next_page_token
            if not token:
                break
        assert found == awaiting
    everything = img.ListImagesRequest(project_id=project, page_size=10)
    token = manager.images.ListImages(everything, metadata=manager.metadata).next_page_token
    with pytest.raises(InvalidArgument):
        manager.images.ListImages(img.ListImagesRequest(project_id=project, page_token=token, awaiting=True), metadata=manager.metadata)


def test_a_page_of_awaiting_images_costs_the_same_however_many_are_completed(labeling: Labeling, manager: Person, project: str) -> None:
    images = labeling.seed(project, scans.MOST_LOOKED_AT + 10)
    labeling.sql("UPDATE queue SET labels = 1, free_slots = 0 WHERE image_id <> CAST(:last AS uuid)", last=images[-1])
    first = manager.images.ListImages(img.ListImagesRequest(project_id=project, awaiting=True), metadata=manager.metadata)
    assert (len(first.images), first.next_page_token != "") == (0, True)
    request = img.ListImagesRequest(project_id=project, awaiting=True, page_token=first.next_page_token)
    second = manager.images.ListImages(request, metadata=manager.metadata)
    assert ([image.id for image in second.images], second.next_page_token) == ([images[-1]], "")


def label(service: Labeling, project: str, images: list[str]) -> list[str]:
    """Gives images a person's label, behind the service's back; returns them."""
    service.sql(
        """
        WITH given AS (
            INSERT INTO annotations (id, project_id, image_id, slot, class_id, author_kind, author_id, author_seq, schema_version,
                request_id)
            SELECT gen_random_uuid(), CAST(:project AS uuid), i.image, 0, '3', 1, CAST(:project AS uuid), i.seq, 1, gen_random_uuid()
            FROM unnest(CAST(:images AS uuid[])) WITH ORDINALITY AS i (image, seq) RETURNING image_id
        )
        UPDATE queue q SET labels = 1, free_slots = 0 FROM given g WHERE q.image_id = g.image_id
        """,
        project=project,
        images=images,
    )
    return images


def stop(stream: Any) -> None:
    """Leaves a stream."""
    stream.cancel()
