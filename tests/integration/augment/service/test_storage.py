"""The schema."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from labelmesh_augment.pipelines import tables
from labelmesh_augment.tables import METADATA
from labelmesh_chassis.database import Database
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tests.integration.augment.service.service import migrate_database


def test_the_migrations_make_the_tables_that_the_code_knows(augment_url: str) -> None:
    assert tables.PIPELINES.metadata is METADATA
    database = Database(augment_url, application_name="test")
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
    database.close()


def test_migrating_again_changes_nothing(augment_url: str) -> None:
    migrate_database(augment_url)
    migrate_database(augment_url)


def test_the_database_itself_refuses_what_cannot_be(augment_url: str) -> None:
    database = Database(augment_url, application_name="test")
    insert = "INSERT INTO pipelines VALUES (gen_random_uuid(), 'p', {newest}, {listed_from})"
    for newest, listed_from in ((-1, 1), (1, 0), (1, 3)):
        with pytest.raises(IntegrityError), database.connection() as connection:
            connection.execute(text(insert.format(newest=newest, listed_from=listed_from)))
    database.close()
