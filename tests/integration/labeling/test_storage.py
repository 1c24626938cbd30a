"""The schema."""

from __future__ import annotations

import uuid

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from labelmesh_chassis.database import Database
from labelmesh_labeling.answers import KEEP_DAYS
from labelmesh_labeling.housekeeping import Housekeeper
from labelmesh_labeling.tables import Base
from sqlalchemy.exc import IntegrityError

from tests.integration.labeling.people import Person
from tests.integration.labeling.service import Labeling, migrate_database


def test_the_migrations_make_the_tables_that_the_code_knows(labeling_url: str) -> None:
    database = Database(labeling_url, application_name="test")
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    database.close()


def test_migrating_again_changes_nothing(labeling_url: str) -> None:
    migrate_database(labeling_url)
    migrate_database(labeling_url)


def test_the_database_itself_refuses_a_second_lease_of_a_slot_and_a_label_too_many(labeling: Labeling, ada: Person, project: str) -> None:
    labeling.seed(project, 1)
    ada.lease(project)
    copy = (
        "INSERT INTO leases SELECT gen_random_uuid(), project_id, image_id, slot, repeat_of, gen_random_uuid(), client_id, session_id, "
        "NULL, previous_class_id, acquired_at, expires_at, returned FROM leases"
    )
    for statement in (copy, "UPDATE queue SET labels = 2"):
        with pytest.raises(IntegrityError):
            labeling.sql(statement)


class NoObjects:
    """An object store that nothing is put into."""

    def put(self, key: str, data: bytes, media_type: str) -> None:
        raise AssertionError(key)

    def delete(self, key: str) -> None:
        raise AssertionError(key)


def test_old_answers_and_ended_leases_are_forgotten_and_new_ones_kept(labeling: Labeling, ada: Person, project: str) -> None:
    labeling.seed(project, 4)
    for _ in range(2):
        ada.submit(ada.lease(project))
        ada.release(ada.lease(project))
    old = labeling.sql("SELECT request_id FROM requests WHERE method = 'submit' LIMIT 1")[0].request_id
    age = f"now() - interval '{KEEP_DAYS + 1} days'"
    labeling.sql(f"UPDATE requests SET created_at = {age} WHERE request_id = :id", id=old)
    labeling.sql(f"UPDATE ended_leases SET ended_at = {age} WHERE id = (SELECT id FROM ended_leases LIMIT 1)")
    Housekeeper(labeling.database, NoObjects()).sweep()
    kept = {row.request_id for row in labeling.sql("SELECT request_id FROM requests WHERE method = 'submit'")}
    assert len(kept) == 1
    assert old not in kept
    assert isinstance(old, uuid.UUID)
    assert labeling.sql("SELECT count(*) AS n FROM ended_leases")[0].n == 1
