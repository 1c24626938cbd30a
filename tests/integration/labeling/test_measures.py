"""Labeling's figures: true, and as cheap with a long queue as with a short one."""

from __future__ import annotations

import urllib.request
from typing import Any

import pytest
from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import DeadlineExceeded
from labelmesh_labeling.__main__ import PLANNING
from labelmesh_labeling.measures import look
from sqlalchemy import text

from tests.integration.labeling.people import Person
from tests.integration.labeling.service import Labeling, until

Figures = dict[tuple[str, ...], float]


def figures(labeling: Labeling) -> Figures:
    return {(reading.name.removeprefix("labelmesh_labeling_"), *reading.labels): reading.value for reading in look(labeling.database)}


def age(labeling: Labeling, statement: str, **given: Any) -> None:
    """Makes things older than they are."""
    labeling.sql(statement, **given)


def test_the_queue_counts_images_of_open_projects_that_nobody_holds(labeling: Labeling, manager: Person, ada: Person, project: str) -> None:
    closed = manager.create_project(repeat_rate=0).id
    labeling.seed(project, 10)
    labeling.seed(closed, 100)
    labeling.sql("UPDATE projects SET state = 2 WHERE id = CAST(:id AS uuid)", id=closed)
    lease = ada.lease(project)
    ada.lease(project)
    ada.submit(lease)
    found = figures(labeling)
    assert (found["images", "waiting"], found["images", "leased"], found["projects_open",]) == (8, 1, 1)
    assert (found["leases", "live"], found["leases", "overdue"]) == (1, 0)


def test_the_oldest_image_is_found_at_either_end_of_the_queue(labeling: Labeling, project: str) -> None:
    images = labeling.seed(project, 5)
    old = "UPDATE images SET created_at = now() - make_interval(days => :days) WHERE id = CAST(:id AS uuid)"
    age(labeling, old, id=images[0], days=3)
    assert figures(labeling)["oldest_waiting_seconds",] == pytest.approx(3 * 86400, rel=0.01)
    # The last in line by its priority is the one that starves.
    age(labeling, old, id=images[2], days=9)
    labeling.sql("UPDATE queue SET priority = -1 WHERE image_id = CAST(:id AS uuid)", id=images[2])
    assert figures(labeling)["oldest_waiting_seconds",] == pytest.approx(9 * 86400, rel=0.01)


def test_an_empty_mesh_has_figures_too(labeling: Labeling) -> None:
    assert set(figures(labeling).values()) == {0}


def test_a_lease_that_ran_out_is_a_fault_only_where_somebody_was_given_an_image_since(
    labeling: Labeling, manager: Person, ada: Person, bob: Person, project: str
) -> None:
    labeling.seed(project, 5)
    ada.lease(project)
    age(labeling, "UPDATE leases SET acquired_at = now() - interval '2 hours', expires_at = now() - interval '1 hour'")
    idle = figures(labeling)
    assert (idle["leases", "overdue"], idle["unreturned_lease_seconds",]) == (1, 0)
    assert idle["oldest_lease_seconds",] == pytest.approx(7200, abs=60)
    bob.lease(project)
    assert figures(labeling)["leases", "overdue"] == 0
    # As if asking had not brought it back.
    labeling.sql("UPDATE leases SET expires_at = now() - interval '1 hour', returned = false WHERE user_id = CAST(:id AS uuid)", id=ada.id)
    assert figures(labeling)["unreturned_lease_seconds",] == 0
    carla = labeling.door.person()
    labeling.sql("UPDATE leases SET returned = true WHERE user_id = CAST(:id AS uuid)", id=ada.id)
    carla.lease(project)
    labeling.sql("UPDATE leases SET returned = false WHERE user_id <> CAST(:id AS uuid)", id=carla.id)
    labeling.sql("UPDATE leases SET expires_at = now() - interval '1 hour' WHERE user_id = CAST(:id AS uuid)", id=bob.id)
    assert figures(labeling)["unreturned_lease_seconds",] == pytest.approx(3600, abs=60)


def test_looking_reads_as_few_pages_of_a_long_queue_as_of_a_short_one(
    labeling: Labeling, labeling_url: str, manager: Person, project: str
) -> None:
    database = Database(labeling_url, application_name="figures", server_settings=PLANNING)

    def pages() -> int:
        """That the statements of one look touch, as Postgres itself says."""
        from labelmesh_labeling import measures

        touched = 0
        with database.connection() as connection:
            for statement in (measures._LEASES, measures._QUEUE):
                explained = text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement.text}")
                plan: Any = connection.execute(explained, {"most": 1000}).scalar_one()
                touched += plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"]
        return touched

    labeling.seed(project, 1_000)
    labeling.sql("ANALYZE")
    few = pages()
    labeling.seed(project, 40_000)
    labeling.sql("ANALYZE")
    assert pages() <= few + 10
    database.close()


def test_labels_are_counted_once_however_often_they_are_sent(labeling: Labeling, ada: Person, project: str) -> None:
    labeling.seed(project, 2)
    lease = ada.lease(project)
    for _ in range(3):
        ada.submit(lease, request_id="6b1c1f0e-6f0c-4d5e-9a36-3f8c8b0d5f11")
    told = page(labeling)
    assert 'labelmesh_labeling_annotations_total{author="person"} 1.0' in told
    assert "labelmesh_labeling_figures_up 1.0" in told


def test_a_scrape_tells_without_waiting_that_the_database_is_away(labeling: Labeling) -> None:
    until(lambda: "labelmesh_labeling_figures_up 1.0" in page(labeling))
    labeling.sql("ALTER TABLE queue RENAME TO elsewhere")
    # What a look finds out is told from then on; the last figures are not told on and on.
    until(lambda: "labelmesh_labeling_figures_up 0.0" in page(labeling), timeout_s=20)
    assert "labelmesh_labeling_images" not in page(labeling)
    assert "grpc_server_in_flight" in page(labeling)


def test_a_look_that_takes_long_is_ended(labeling: Labeling) -> None:
    with labeling.database.engine.begin() as blocking, pytest.raises(DeadlineExceeded):
        blocking.execute(text("LOCK TABLE leases IN ACCESS EXCLUSIVE MODE"))
        look(labeling.database)


def page(labeling: Labeling) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{labeling.server.ops.port}/metrics", timeout=5) as reply:
        return str(reply.read().decode())
