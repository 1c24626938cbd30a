"""What is measured of the parts that a service stands on, with real parts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import NotFound, Unavailable
from labelmesh_chassis.measures import CertificateMeasure, Measures
from labelmesh_chassis.objects import ObjectStore
from labelmesh_chassis.readings import Figure, Reading, Readings, brief
from labelmesh_local.ports import free_port
from labelmesh_local.postgres import Postgres
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from tests.integration.chassis.service import until
from tests.support.certificates import Authority
from tests.support.stores import StoreAddress


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    made = Database(postgres.admin_url, application_name="measures", pool_size=2)
    yield made
    made.close()


def test_a_pool_tells_its_size_what_is_in_use_and_who_waits(registry: CollectorRegistry, database: Database) -> None:
    Measures(registry).database("main", database)

    def value(name: str) -> float | None:
        return registry.get_sample_value(name, {"pool": "main"})

    assert (value("database_pool_size"), value("database_pool_in_use"), value("database_pool_waiting")) == (2, 0, 0)
    first, second = database.engine.connect(), database.engine.connect()
    assert value("database_pool_in_use") == 2
    waiting = threading.Thread(target=database.is_up)
    waiting.start()
    until(lambda: value("database_pool_waiting") == 1)
    first.close()
    waiting.join()
    second.close()
    assert (value("database_pool_in_use"), value("database_pool_waiting"), value("database_pool_timeouts_total")) == (0, 0, 0)
    assert value("database_pool_wait_seconds_count") == 3


def test_whoever_waits_for_a_connection_in_vain_is_counted(registry: CollectorRegistry, database: Database) -> None:
    Measures(registry).database("main", database)
    database.engine.pool._timeout = 0.05  # type: ignore[attr-defined]
    with database.engine.connect(), database.engine.connect(), pytest.raises(Unavailable), database.connection():
        pass
    assert registry.get_sample_value("database_pool_timeouts_total", {"pool": "main"}) == 1


def test_statements_that_fail_are_told_apart(registry: CollectorRegistry, database: Database) -> None:
    measures = Measures(registry)
    measures.database("main", database)
    with pytest.raises(ProgrammingError), database.connection() as connection:
        connection.execute(text("SELECT nonsense"))
    with pytest.raises(Exception, match="longer"), brief(database, seconds=0.05) as connection:
        connection.execute(text("SELECT pg_sleep(5)"))
    nobody = Database(f"postgresql+psycopg2://a:b@127.0.0.1:{free_port()}/c", application_name="measures")
    measures.database("nobody", nobody)
    with pytest.raises(Unavailable), nobody.connection():
        pass

    def value(pool: str, kind: str) -> float | None:
        return registry.get_sample_value("database_errors_total", {"pool": pool, "kind": kind})

    assert (value("main", "other"), value("main", "cancelled"), value("main", "away")) == (1, 1, 0)
    assert value("nobody", "away") == 1


def test_requests_to_object_storage_are_counted_by_what_came_of_them(
    registry: CollectorRegistry, object_store_settings: StoreAddress
) -> None:
    measures = Measures(registry)
    given = object_store_settings
    store = ObjectStore(given.endpoint, given.access_key, given.secret_key, given.bucket)
    measures.objects(store)
    store.put("a.txt", b"a", "text/plain")
    store.get("a.txt", max_bytes=10)
    with pytest.raises(NotFound):
        store.get("none.txt", max_bytes=10)
    assert store.stat("none.txt") is None
    away = ObjectStore(f"127.0.0.1:{free_port()}", given.access_key, given.secret_key, given.bucket)
    measures.objects(away)
    with pytest.raises(Unavailable):
        away.delete("a.txt")

    def value(operation: str, outcome: str) -> float | None:
        return registry.get_sample_value("object_store_requests_total", {"operation": operation, "outcome": outcome})

    assert (value("put", "ok"), value("get", "ok"), value("get", "missing"), value("stat", "missing")) == (1, 1, 1, 1)
    assert value("delete", "unavailable") == 1
    assert registry.get_sample_value("object_store_request_seconds_count", {"operation": "get"}) == 2


def test_figures_are_looked_up_apart_from_scrapes_and_are_left_out_while_they_cannot_be(registry: CollectorRegistry) -> None:
    answers: list[float | None] = [7.0]
    asked_by: set[str] = set()

    def look() -> Iterable[Reading]:
        asked_by.add(threading.current_thread().name)
        if answers[-1] is None:
            raise Unavailable("DATABASE_UNAVAILABLE", "away")
        return (Reading("things", answers[-1], ("red",)),)

    readings = Readings("things_figures", [Figure("things", "Things.", ("colour",))], look, registry=registry, interval_s=0.05)
    assert registry.get_sample_value("things_figures_up") == 0
    readings.start()
    until(lambda: registry.get_sample_value("things", {"colour": "red"}) == 7)
    assert registry.get_sample_value("things_figures_up") == 1
    answers.append(None)
    until(lambda: registry.get_sample_value("things_figures_up") == 0)
    assert registry.get_sample_value("things", {"colour": "red"}) is None
    answers.append(8.0)
    until(lambda: registry.get_sample_value("things", {"colour": "red"}) == 8)
    readings.stop()
    until(lambda: registry.get_sample_value("things_figures_up") == 0)
    assert asked_by == {"readings"}


def test_a_look_that_hangs_holds_up_no_scrape(registry: CollectorRegistry) -> None:
    hanging, asked = threading.Event(), threading.Event()

    def look() -> Iterable[Reading]:
        asked.set()
        hanging.wait(30)
        return ()

    readings = Readings("slow_figures", (), look, registry=registry, interval_s=0.05)
    readings.start()
    assert asked.wait(10)
    assert b"slow_figures_up 0.0" in generate_latest(registry)
    hanging.set()
    readings.stop()


def test_a_certificate_s_end_is_told_and_read_again_when_it_is_renewed(registry: CollectorRegistry, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, _ = authority.issue("auth", lifetime=timedelta(hours=1))
    CertificateMeasure(certificate, registry)
    name = "tls_certificate_expiry_timestamp_seconds"
    assert (registry.get_sample_value(name) or 0) - time.time() == pytest.approx(3600, abs=120)
    authority.issue("auth", lifetime=timedelta(hours=5))
    assert (registry.get_sample_value(name) or 0) - time.time() == pytest.approx(5 * 3600, abs=120)
    certificate.write_text("nonsense")
    assert registry.get_sample_value(name) is None
