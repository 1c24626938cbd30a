"""What holds when clients, the service or the database die."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest
from google.protobuf.duration_pb2 import Duration
from labelmesh.labeling.v1 import annotations_pb2 as ann
from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import Aborted, DeadlineExceeded, FailedPrecondition, Unavailable
from labelmesh_chassis.identity import Role
from labelmesh_local.ports import free_port
from labelmesh_local.postgres import Postgres
from sqlalchemy import text

from tests.integration.labeling.people import Door, Person, Signer, new_id
from tests.integration.labeling.service import Labeling, ServiceProcess, jwks_server, migrate_database, seed_images
from tests.support.stores import StoreAddress


@pytest.fixture
def database(labeling_url: str) -> Iterator[Database]:
    opened = Database(labeling_url, application_name="test", pool_size=2)
    yield opened
    opened.close()


@pytest.fixture
def process(labeling_url: str, object_store_settings: StoreAddress, signer: Signer, tmp_path: Path) -> Iterator[ServiceProcess]:
    with jwks_server(signer) as address:
        service = ServiceProcess(labeling_url, object_store_settings, address, tmp_path / "service.log")
        service.start()
        yield service
        service.kill()


@pytest.fixture
def doors(process: ServiceProcess, signer: Signer) -> Iterator[Callable[[], Door]]:
    opened: list[Door] = []

    def open_door() -> Door:
        opened.append(Door(process.target, signer))
        return opened[-1]

    yield open_door
    for door in opened:
        door.close()


@dataclass
class Holds:
    """What clients knew to hold, by the image's address: from when they were told until they let go or it ran out."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    spans: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    acknowledged: set[str] = field(default_factory=set)
    failures: list[BaseException] = field(default_factory=list)

    def add(self, lease: ann.Lease, since: float, until: float) -> None:
        with self.lock:
            self.spans[lease.image_url.partition("?")[0]].append((since, until))

    def overlaps(self) -> list[str]:
        """Images that two held at the same moment."""
        found = []
        for image, spans in self.spans.items():
            ordered = sorted(spans)
            found += [image for (_, end), (start, _) in pairwise(ordered) if start < end]
        return found


_AUDIT = """
CREATE TABLE audit (at timestamptz, image_id uuid, slot smallint, old_id uuid, old_expires timestamptz, new_id uuid);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit VALUES (clock_timestamp(), coalesce(NEW.image_id, OLD.image_id), coalesce(NEW.slot, OLD.slot), OLD.id, OLD.expires_at,
        NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON leases FOR EACH ROW EXECUTE FUNCTION note();
"""


def test_64_clients_killed_at_random_never_hold_an_image_twice_and_lose_none(database: Database, doors: Callable[[], Door]) -> None:
    channels = [doors() for _ in range(4)]
    project = channels[0].person(Role.MANAGER).create_project(repeat_rate=0, lease_duration=Duration(seconds=1)).id
    images = seed_images(database, project, 2000)
    with database.transaction() as session:
        session.connection().exec_driver_sql(_AUDIT)
    holds = Holds()
    threads = [threading.Thread(target=label_and_die, args=(channels[n % 4], project, holds, random.Random(n))) for n in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert holds.failures == []
    assert holds.overlaps() == []
    with database.transaction() as session:
        labels = session.execute(text("SELECT CAST(image_id AS text) AS image, CAST(id AS text) AS id FROM annotations")).all()
        queue = session.execute(text("SELECT min(labels), max(labels), max(free_slots), count(*) FROM queue")).one()
        early = session.execute(text("SELECT count(*) FROM audit WHERE old_id <> new_id AND at < old_expires")).scalar_one()
        given = session.execute(text("SELECT count(*) FROM audit WHERE new_id IS NOT NULL AND old_id IS DISTINCT FROM new_id")).scalar_one()
    assert sorted(row.image for row in labels) == sorted(images)
    assert holds.acknowledged <= {row.id for row in labels}
    assert tuple(queue) == (1, 1, 0, 2000)
    assert early == 0
    assert given > 2000  # Some died with an image in their hands, or the test tried nothing.


def label_and_die(door: Door, project: str, holds: Holds, chance: random.Random) -> None:
    """Labels until all is done. One time in ten the client dies: with the image in hand, or in the middle of the call."""
    person = door.person()
    deadline = time.monotonic() + 100
    try:
        while time.monotonic() < deadline:
            asked = time.monotonic()
            found = person.next(project)
            told = time.monotonic()
            if found.HasField("nothing"):
                if found.nothing.reason == ann.NOTHING_REASON_ALL_LABELED:
                    return
                time.sleep(0.3)
                continue
            runs_out = asked + found.lease.time_left.ToNanoseconds() / 1e9
            fate = chance.random()
            if fate < 0.05:
                holds.add(found.lease, told, runs_out)
                person = door.person()
                continue
            holds.add(found.lease, told, max(told, min(time.monotonic(), runs_out)))
            try:
                if fate < 0.1:
                    request = ann.SubmitAnnotationRequest(
                        request_id=new_id(), project_id=project, lease_id=found.lease.id, class_id="1", lease_next=True
                    )
                    person.annotations.SubmitAnnotation(request, metadata=person.metadata, timeout=0.02)
                    person = door.person()
                else:
                    answer = person.submit(found.lease, str(chance.randrange(10)))
                    with holds.lock:
                        holds.acknowledged.add(answer.annotation_id)
            except DeadlineExceeded:
                person = door.person()
            except FailedPrecondition as late:
                if late.reason != "LEASE_LOST":
                    raise
        raise AssertionError("not everything was labeled in time")
    except BaseException as failure:
        holds.failures.append(failure)


def test_a_service_killed_ten_times_under_load_loses_no_acknowledged_label(
    database: Database, process: ServiceProcess, doors: Callable[[], Door]
) -> None:
    project = doors().person(Role.MANAGER).create_project(repeat_rate=0.2).id
    seed_images(database, project, 40_000)  # More than they can label in the time that ten starts take.
    stop = threading.Event()
    acknowledged: list[tuple[str, str]] = []
    failures: list[BaseException] = []
    people = [doors().person() for _ in range(6)]
    threads = [threading.Thread(target=label_stubbornly, args=(each, project, stop, acknowledged, failures)) for each in people]
    for thread in threads:
        thread.start()
    for _ in range(10):
        enough = len(acknowledged) + 25
        deadline = time.monotonic() + 20
        while len(acknowledged) < enough and time.monotonic() < deadline and not failures:
            time.sleep(0.02)
        process.kill()
        process.start()
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(acknowledged) >= 250
    with database.transaction() as session:
        labels = {str(row.id): row.class_id for row in session.execute(text("SELECT id, class_id FROM annotations"))}
        more_than_asked = session.execute(text("SELECT count(*) FROM queue WHERE labels > wanted")).scalar_one()
        counts = session.execute(text("SELECT CAST(author_id AS text) AS who, count(*) AS labels FROM annotations GROUP BY author_id"))
        per_person = {row.who: row.labels for row in counts}
    assert {annotation: labels.get(annotation) for annotation, _ in acknowledged} == dict(acknowledged)
    assert len({annotation for annotation, _ in acknowledged}) == len(acknowledged)
    assert more_than_asked == 0
    assert {each.id: each.numbers(project).own.labels_given for each in people} == per_person


def label_stubbornly(
    person: Person, project: str, stop: threading.Event, acknowledged: list[tuple[str, str]], failures: list[BaseException]
) -> None:
    """Labels, and sends again what was not answered."""
    try:
        while not stop.is_set():
            lease = insist(partial(person.lease, project))
            class_id = str(len(acknowledged) % 10)
            answer = insist(partial(person.submit, lease, class_id))
            acknowledged.append((answer.annotation_id, class_id))
    except BaseException as failure:
        failures.append(failure)


Answer = TypeVar("Answer")


def insist(call: Callable[..., Answer]) -> Answer:
    """Repeats a call under one request_id until it is answered."""
    request_id = str(uuid.uuid4())
    deadline = time.monotonic() + 30
    while True:
        try:
            return call(request_id=request_id)
        except (Unavailable, Aborted):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_database_restarted_under_load_makes_calls_unavailable_and_then_all_works(
    object_store_settings: StoreAddress, signer: Signer, tmp_path: Path
) -> None:
    server = Postgres(tmp_path / "postgres", port=free_port())
    server.start()
    url = server.create_database("labeling")
    migrate_database(url)
    service = Labeling(url, object_store_settings, signer)
    try:
        project = service.door.person(Role.MANAGER).create_project(repeat_rate=0).id
        service.seed(project, 5000)
        stop = threading.Event()
        acknowledged: list[str] = []
        reasons: set[str] = set()
        failures: list[BaseException] = []

        def work(person: Person) -> None:
            try:
                while not stop.is_set():
                    try:
                        lease = person.lease(project, client_id=person.id)
                        acknowledged.append(person.submit(lease).annotation_id)
                    except Unavailable as away:
                        reasons.add(away.reason)
                        time.sleep(0.05)
            except BaseException as failure:
                failures.append(failure)

        threads = [threading.Thread(target=work, args=(service.door.person(),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(2):
            wait_for_more(acknowledged, failures)
            server.stop()
            time.sleep(0.5)
            server.start()
        wait_for_more(acknowledged, failures)
        stop.set()
        for thread in threads:
            thread.join()
        assert failures == []
        assert reasons <= {"DATABASE_UNAVAILABLE", "DATABASE_BUSY"}
        assert reasons
        service.database.engine.dispose()
        stored = {str(row.id) for row in service.sql("SELECT id FROM annotations")}
        assert set(acknowledged) <= stored
        assert service.sql("SELECT count(*) AS n FROM queue WHERE labels > 1 OR (labels = 1 AND free_slots > 0)")[0].n == 0
    finally:
        service.close()
        server.stop()


def wait_for_more(acknowledged: list[str], failures: list[BaseException]) -> None:
    enough = len(acknowledged) + 30
    deadline = time.monotonic() + 30
    while len(acknowledged) < enough and not failures:
        assert time.monotonic() < deadline, "no label was acknowledged any more"
        time.sleep(0.02)


def test_a_service_without_its_settings_says_all_that_is_missing(process: ServiceProcess) -> None:
    for name in ("LABELMESH_DATABASE_URL", "LABELMESH_S3_ENDPOINT"):
        del process.environment[name]
    ended = subprocess.run(
        [sys.executable, "-m", "labelmesh_labeling"], env=process.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    assert "LABELMESH_DATABASE_URL" in ended.stderr
    assert "LABELMESH_S3_ENDPOINT" in ended.stderr
