"""How trainings stand, as figures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from labelmesh_chassis.database import Database
from labelmesh_inference.__main__ import migrate_database
from labelmesh_inference.measures import look, model_server_readings
from labelmesh_inference.serving.client import ModelServer
from labelmesh_local.ports import free_port
from prometheus_client import CollectorRegistry
from sqlalchemy import text

from tests.support.databases import FreshDatabases


@pytest.fixture
def database(fresh_database: FreshDatabases) -> Iterator[Database]:
    made = Database(fresh_database("inference", migrate_database), application_name="test")
    yield made
    made.close()


def begun(database: Database, model: str, state: int, *, ago_s: int, lease_s: int = 30) -> None:
    with database.connection() as connection:
        connection.execute(
            text("""
INSERT INTO trainings (id, model, version, state, lease, lease_expires_at, progress, started_by, started_at)
VALUES (gen_random_uuid(), :model, 1, :state, 'x', now() + make_interval(secs => :lease), '{}', gen_random_uuid(),
    now() - make_interval(secs => :ago))
"""),
            {"model": model, "state": state, "lease": lease_s, "ago": ago_s},
        )


def test_trainings_are_counted_by_state_and_a_silent_one_is_lost_at_once(database: Database) -> None:
    begun(database, "goes-on", 1, ago_s=100)
    begun(database, "longer", 1, ago_s=500)
    begun(database, "silent", 1, ago_s=9000, lease_s=-1)
    begun(database, "done", 2, ago_s=9000)
    found = {(reading.name, *reading.labels): reading.value for reading in look(database)}
    states = {labels[0]: value for (name, *labels), value in found.items() if name == "labelmesh_trainings"}
    assert states == {"running": 2, "succeeded": 1, "failed": 0, "lost": 1}
    assert found["labelmesh_training_oldest_running_seconds",] == pytest.approx(500, abs=30)


def test_a_model_server_that_is_away_is_0() -> None:
    registry = CollectorRegistry()
    server = ModelServer(f"127.0.0.1:{free_port()}")
    readings = model_server_readings(server, registry)
    readings.look()
    assert registry.get_sample_value("labelmesh_model_server_up") == 0
    server.close()
