"""The schema, and what is cleared away."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from labelmesh_chassis.answers import KEEP_DAYS, sweep_answers
from labelmesh_chassis.database import Database
from labelmesh_chassis.housekeeping import Housekeeper
from labelmesh_inference.predictions import tables as predictions_tables
from labelmesh_inference.registry import tables as registry_tables
from labelmesh_inference.registry.trainings import sweep_lost
from labelmesh_inference.tables import METADATA
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from tests.integration.inference.people import Person
from tests.integration.inference.service import Inference, migrate_database


def test_the_migrations_make_the_tables_that_the_code_knows(inference_url: str) -> None:
    assert predictions_tables.COUNTS.metadata is registry_tables.MODELS.metadata is METADATA
    database = Database(inference_url, application_name="test")
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
    database.close()


def test_migrating_again_changes_nothing(inference_url: str) -> None:
    migrate_database(inference_url)
    migrate_database(inference_url)


def test_the_database_itself_refuses_a_second_training_and_a_number_given_out_twice(
    inference: Inference, manager: Person, model_name: str
) -> None:
    manager.start_training(model_name)
    copy = (
        "INSERT INTO trainings (id, model, version, state, lease, lease_expires_at, progress, started_by) "
        "SELECT gen_random_uuid(), model, {version}, {state}, lease, lease_expires_at, progress, started_by FROM trainings"
    )
    for version, state in (("version + 1", "state"), ("version", "3")):
        with pytest.raises(IntegrityError):
            inference.sql(copy.format(version=version, state=state))


def test_old_answers_are_forgotten_lost_trainings_written_down_and_the_rest_is_kept(
    inference: Inference, manager: Person, model_name: str
) -> None:
    silent = manager.start_training(model_name)
    alive = manager.start_training(f"{model_name}.b")
    inference.sql("UPDATE trainings SET lease_expires_at = now() - interval '1 ms' WHERE model = :model", model=model_name)
    age = f"now() - interval '{KEEP_DAYS + 1} days'"
    inference.sql(f"UPDATE requests SET created_at = {age} WHERE answer ->> 'training_id' = :id", id=silent.training.id)

    def answers(connection: Connection) -> int:
        return sweep_answers(connection, limit=100)

    def lost(connection: Connection) -> int:
        return sweep_lost(connection, limit=100)

    keeper = Housekeeper(inference.database, [answers, lost], lock_key=1)
    keeper.sweep()
    keeper.sweep()
    assert [row.answer["training_id"] for row in inference.sql("SELECT answer FROM requests")] == [alive.training.id]
    states = {str(row.id): row.state for row in inference.sql("SELECT id, state FROM trainings")}
    assert states == {silent.training.id: 4, alive.training.id: 1}


def test_a_round_goes_on_until_nothing_is_left_and_leaves_every_sweep_its_turn(inference: Inference) -> None:
    left, steps = [5], [0, 0]

    def bounded(connection: Connection) -> int:
        taken = min(2, left[0])
        left[0] -= taken
        return taken

    def endless(connection: Connection) -> int:
        steps[0] += 1
        return 1

    def last(connection: Connection) -> int:
        steps[1] += 1
        return 1

    Housekeeper(inference.database, [bounded], lock_key=1).sweep()
    assert left == [0]
    Housekeeper(inference.database, [endless, last], lock_key=1, interval_s=0.2).sweep()
    assert steps[0] > 1 and steps[1] == 1
