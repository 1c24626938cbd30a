"""Traces as a collector gets them: joined across services and threads, down to the statement, and with nothing personal in them."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from labelmesh_chassis import tracing
from labelmesh_chassis.calls import Call as ServedCall
from labelmesh_chassis.channels import open_channel
from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import InternalError, NotFound
from labelmesh_chassis.methods import MethodOptions
from labelmesh_chassis.objects import ObjectStore
from labelmesh_chassis.statements import PreparedStatement
from labelmesh_chassis.workers import PoolSettings, WorkerPool
from sqlalchemy import text

from tests.integration.chassis.service import GET, SEND, SERVICES, WATCH, Caller, Service, priorities, settings, until
from tests.support.certificates import Authority
from tests.support.collector import CollectedSpan, Collector
from tests.support.databases import FreshDatabases
from tests.support.stores import StoreAddress

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = ("traceparent", f"00-{TRACE}-{PARENT}-01")
SECRET = "ada.lovelace@example.org"
Serve = Callable[..., Service]
Call = Callable[[Service], Caller]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as opened:
        yield opened


@pytest.fixture
def traced(collector: Collector) -> Iterator[tracing.Tracing]:
    """Traces of this process go to the collector."""
    started = tracing.start_tracing("sample", settings(otlp_endpoint=collector.endpoint))
    assert started is not None
    with started:
        yield started


@pytest.fixture
def serve() -> Iterator[Serve]:
    started: list[Service] = []

    def start(**does: Any) -> Service:
        started.append(Service(settings(), **does))
        return started[-1]

    yield start
    for service in started:
        service.stop()


@pytest.fixture
def call() -> Iterator[Call]:
    """Callers that make no spans of their own, as nothing is being served where they are."""
    opened: list[Caller] = []

    def make(service: Service) -> Caller:
        opened.append(Caller(service.target))
        return opened[-1]

    yield make
    for caller in opened:
        caller.close()


@pytest.fixture
def database(fresh_database: FreshDatabases, traced: tracing.Tracing) -> Iterator[Database]:
    opened = Database(fresh_database(), application_name="test", pool_size=2)
    with opened.connection() as connection:
        connection.execute(text("CREATE TABLE people (name text PRIMARY KEY)"))
    yield opened
    opened.close()


@pytest.fixture
def objects(object_store_settings: StoreAddress) -> ObjectStore:
    store = object_store_settings
    return ObjectStore(store.endpoint, store.access_key, store.secret_key, store.bucket)


def named(spans: list[CollectedSpan], name: str) -> CollectedSpan:
    (found,) = [span for span in spans if span.name == name]
    return found


def has(*names: str) -> Callable[[list[CollectedSpan]], bool]:
    return lambda spans: set(names) <= {span.name for span in spans}


def test_one_call_through_two_services_is_one_trace_down_to_statement_and_object(
    collector: Collector, serve: Serve, call: Call, database: Database, objects: ObjectStore
) -> None:
    find = PreparedStatement("SELECT name FROM people WHERE name = :name", {"name": "text"})

    def inner() -> None:
        with database.connection() as connection:
            connection.execute(text("INSERT INTO people (name) VALUES (:name)"), {"name": SECRET})
            find.run(connection, {"name": SECRET})
        objects.put(f"people/{SECRET}", SECRET.encode(), "text/plain")

    back = serve(get=inner)
    between = Caller(back.target)
    front = serve(get=lambda: between.get())
    call(front).get(GIVEN, ("tracestate", "vendor=1"))
    between.close()

    spans = collector.wait_for(has("INSERT people", "SELECT people", "S3/PutObject", GET))
    spans = collector.wait_for(lambda found: sum(span.name == GET for span in found) == 3)
    assert {span.trace_id for span in spans} == {TRACE}
    outer = next(span for span in spans if span.parent_id == PARENT)
    asked = next(span for span in spans if span.parent_id == outer.span_id)
    served = next(span for span in spans if span.parent_id == asked.span_id)
    assert [(span.name, span.kind) for span in (outer, asked, served)] == [(GET, "server"), (GET, "client"), (GET, "server")]
    for name in ("INSERT people", "SELECT people", "S3/PutObject"):
        assert (named(spans, name).parent_id, named(spans, name).kind) == (served.span_id, "client")
    assert served.attributes["rpc.response.status_code"] == "OK" and served.attributes["rpc.system.name"] == "grpc"
    told = named(spans, "INSERT people").attributes
    assert told["db.query.text"] == "INSERT INTO people (name) VALUES (%(name)s)"
    assert (told["db.system.name"], told["db.operation.name"]) == ("postgresql", "INSERT")
    assert "db.response.returned_rows" not in told, "an INSERT answers with none"
    asked_for = named(spans, "SELECT people").attributes
    assert asked_for["db.query.text"] == "SELECT name FROM people WHERE name = :name"
    assert asked_for["db.response.returned_rows"] == 1
    assert SECRET not in repr(spans) and "u1" not in repr([span.attributes for span in spans])
    # Both services gave the call the same id, which its log lines have.
    assert outer.attributes["labelmesh.request_id"] == served.attributes["labelmesh.request_id"] != ""


def test_failures_are_told_by_their_kind_and_not_by_their_text(collector: Collector, serve: Serve, call: Call, database: Database) -> None:
    def work() -> None:
        with database.connection() as connection:
            connection.execute(text("INSERT INTO people (name) VALUES (:name)"), {"name": SECRET})
            connection.execute(text("INSERT INTO people (name) VALUES (:name)"), {"name": SECRET})

    def miss() -> None:
        raise NotFound("NOT_THERE", SECRET)

    with pytest.raises(InternalError):
        call(serve(get=work)).get(GIVEN)
    with pytest.raises(NotFound):
        call(serve(get=miss)).get(GIVEN)
    spans = collector.wait_for(lambda found: sum(span.name == GET for span in found) == 2)
    outcomes = {(span.attributes["rpc.response.status_code"], span.failed) for span in spans if span.name == GET}
    # What a caller asks for wrongly is no fault of the server's.
    assert outcomes == {("INTERNAL", True), ("NOT_FOUND", False)}
    inserts = [(span.failed, span.attributes.get("error.type")) for span in spans if span.name == "INSERT people"]
    assert inserts == [(False, None), (True, "23505")]
    assert SECRET not in repr(spans)


def test_a_stream_is_one_span_and_what_it_does_between_two_messages_is_a_part_of_it(
    collector: Collector, serve: Serve, call: Call, database: Database
) -> None:
    def watch() -> Iterator[int]:
        for number in range(3):
            with database.connection() as connection:
                connection.execute(text("SELECT 1"))
            yield number

    def send(messages: Iterator[Any]) -> None:
        for _ in messages:
            with database.connection() as connection:
                connection.execute(text("DELETE FROM people"))

    caller = call(serve(watch=watch, send=send))
    assert [reply.cursor for reply in caller.watch(GIVEN)] == ["0", "1", "2"]
    caller.send(iter([priorities()] * 2), GIVEN)
    spans = collector.wait_for(has(WATCH, SEND))
    for name, statement, times in ((WATCH, "SELECT", 3), (SEND, "DELETE people", 2)):
        parents = [span.parent_id for span in spans if span.name == statement]
        assert parents == [named(spans, name).span_id] * times


def test_a_stream_that_its_caller_gives_up_ends_its_span_and_leaves_nothing_behind(
    collector: Collector, traced: tracing.Tracing, serve: Serve, call: Call
) -> None:
    left: list[tuple[str, str] | None] = []

    def watch() -> Iterator[int]:
        number = 0
        while True:
            yield (number := number + 1)
            time.sleep(0.01)

    service = serve(watch=watch, get=lambda: left.append(tracing.current_ids()))
    caller = call(service)
    stream = caller.watch(GIVEN)
    assert next(iter(stream)).cursor == "1"
    stream.cancel()
    spans = collector.wait_for(has(WATCH))
    assert named(spans, WATCH).attributes["rpc.response.status_code"] == "CANCELLED"
    # Every thread of the pool has served a call afterwards, none of them as a part of the stream.
    with ThreadPoolExecutor(8) as callers:
        list(callers.map(lambda _: caller.get(), range(24)))
    assert TRACE not in {ids[0] for ids in left if ids is not None}
    assert tracing.current_ids() is None


def test_what_a_call_has_done_in_other_threads_is_a_part_of_it(collector: Collector, serve: Serve, call: Call, database: Database) -> None:
    def one() -> None:
        with database.connection() as connection:
            connection.execute(text("SELECT 1"))

    def work() -> None:
        with ThreadPoolExecutor(2) as threads:
            for done in [threads.submit(copy_context().run, one) for _ in range(4)]:
                done.result()

    call(serve(get=work)).get(GIVEN)
    spans = collector.wait_for(has(GET))
    assert [span.parent_id for span in spans if span.name == "SELECT"] == [named(spans, GET).span_id] * 4


def test_a_call_to_another_service_is_a_span_also_as_a_stream(
    collector: Collector, traced: tracing.Tracing, serve: Serve, call: Call
) -> None:
    back = serve(watch=lambda: iter(range(2)))
    between = Caller(back.target)

    def work() -> None:
        list(between.watch())
        between.send(iter([priorities()]))

    call(serve(get=work)).get(GIVEN)
    between.close()
    spans = collector.wait_for(lambda found: len(found) == 5)
    for name in (WATCH, SEND):
        asked, served = sorted((span for span in spans if span.name == name), key=lambda span: span.kind)
        assert (asked.kind, served.kind, served.parent_id) == ("client", "server", asked.span_id)
        assert asked.parent_id == named(spans, GET).span_id


def test_a_job_for_a_worker_is_a_span(collector: Collector, serve: Serve, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    traced = tracing.start_tracing("sample", settings(otlp_endpoint=collector.endpoint))
    pool = WorkerPool(PoolSettings("tests.integration.chassis.jobs:make", 1, most_weight=100, most_of_caller=100))
    pool.start()

    def work() -> None:
        ticket = pool.ticket(SECRET, time.monotonic() + 30)
        pool.submit(ticket, [b"echo", SECRET.encode()], 7, patient=True).result(30)
        with pytest.raises(InternalError):
            pool.submit(ticket, [b"fail"], 7).result(30)

    try:
        call(serve(get=work)).get(GIVEN, timeout=60)
    finally:
        pool.close()
        assert traced is not None
        traced.stop()
    spans = collector.spans()
    jobs = [span for span in spans if span.name == "worker job"]
    assert [(job.parent_id, job.failed, job.attributes["labelmesh.job.weight"]) for job in jobs] == [
        (named(spans, GET).span_id, False, 7),
        (named(spans, GET).span_id, True, 7),
    ]
    assert SECRET not in repr(spans)


def test_health_is_asked_for_without_a_trace(collector: Collector, traced: tracing.Tracing, serve: Serve, call: Call) -> None:
    caller = call(serve())
    stub: Any = health_pb2_grpc.HealthStub(caller.channel)
    stub.Check(health_pb2.HealthCheckRequest(), metadata=(GIVEN,))
    caller.get(GIVEN)
    traced.stop()
    assert [span.name for span in collector.spans()] == [GET]


def test_the_caller_decides_what_is_traced_and_the_ratio_where_it_did_not(collector: Collector, serve: Serve, call: Call) -> None:
    for ratio, metadata, expected in (
        (1.0, [("traceparent", f"00-{TRACE}-{PARENT}-00")], 0),
        (0.0, [GIVEN], 1),
        (0.0, [], 0),
        (1.0, [], 1),
        (1.0, [("traceparent", f"nonsense {SECRET}")], 1),
    ):
        collector.forget()
        traced = tracing.start_tracing("sample", settings(otlp_endpoint=collector.endpoint, trace_ratio=ratio))
        assert traced is not None
        service = serve()
        with traced:
            call(service).get(*metadata)
            service.stop()
        assert len(collector.spans()) == expected, (ratio, metadata)


def test_who_sends_says_who_it_is(collector: Collector, traced: tracing.Tracing, serve: Serve, call: Call) -> None:
    call(serve()).get(GIVEN)
    assert [span.service for span in collector.wait_for(has(GET))] == ["sample"]


def test_a_collector_that_is_away_costs_a_line_a_minute_and_no_call(
    serve: Serve, call: Call, free_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    traced = tracing.start_tracing("sample", settings(otlp_endpoint=f"127.0.0.1:{free_port}"), export_s=0.2)
    assert traced is not None
    caller = call(serve())
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            caller.get(GIVEN)
            time.sleep(1.1)
        traced.stop()
    said = [record for record in caplog.records if record.name.startswith(("labelmesh_chassis.spans", "opentelemetry"))]
    assert [record.getMessage() for record in said] == ["traces cannot be sent"]


def test_a_collector_that_hangs_does_not_hold_up_a_stop(serve: Serve, call: Call) -> None:
    # Connections are made, and nobody ever says a word.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        traced = tracing.start_tracing("sample", settings(otlp_endpoint=f"127.0.0.1:{silent.getsockname()[1]}"), export_s=60)
        assert traced is not None
        call(serve()).get(GIVEN)
        stopping = threading.Thread(target=traced.stop, daemon=True)
        stopping.start()
        stopping.join(20)
        assert not stopping.is_alive()


def test_after_a_call_nothing_is_current_in_any_thread_that_served_it(collector: Collector, traced: tracing.Tracing) -> None:
    served: Any = None
    one = ServedCall("/labelmesh.test.v1.Test/Test", served, MethodOptions("labelmesh.test.v1.Test.Test"), {}, unauthenticated=True)

    def stream() -> Generator[tuple[str, str] | None, None, None]:
        with tracing.TracingLayer().around(one):
            while True:
                yield tracing.current_ids()

    begun = stream()
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        assert first.submit(next, begun).result() is not None
        # Given up by its client, a stream is closed wherever it happens to be.
        second.submit(begun.close).result()
        assert second.submit(tracing.current_ids).result() is None
    with tracing.TracingLayer().around(one):
        assert tracing.current_ids() is not None
    assert tracing.current_ids() is None


def test_spans_go_by_mutual_tls_where_the_service_has_a_certificate(tmp_path: Path, serve: Serve, call: Call) -> None:
    authority = Authority(tmp_path)
    own, key = authority.issue("sample", lifetime=timedelta(hours=1))
    theirs, their_key = authority.issue("collector", addresses=["127.0.0.1"])
    pair = (their_key.read_bytes(), theirs.read_bytes())
    credentials = grpc.ssl_server_credentials([pair], authority.ca.read_bytes(), require_client_auth=True)
    service = serve()
    with Collector(credentials=credentials) as collector:
        told = settings(otlp_endpoint=collector.endpoint, tls_certificate=own, tls_private_key=key, tls_ca=authority.ca)
        traced = tracing.start_tracing("sample", told)
        assert traced is not None
        with traced:
            call(service).get(GIVEN)
            collector.wait_for(has(GET))


def test_without_a_collector_opentelemetry_is_not_even_imported() -> None:
    script = """
import sys
import labelmesh_augment.__main__, labelmesh_auth.__main__, labelmesh_inference.__main__, labelmesh_labeling.__main__
from tests.integration.chassis.service import Caller, Service, settings
from labelmesh_chassis import tracing
from labelmesh_chassis.calls import Call as ServedCall
assert tracing.start_tracing("sample", settings()) is None
service = Service(settings())
caller = Caller(service.target)
caller.get(("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
caller.close()
service.stop()
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[3])
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_a_call_outside_of_any_makes_no_trace(collector: Collector, traced: tracing.Tracing, database: Database) -> None:
    with database.connection() as connection:
        connection.execute(text("SELECT 1"))
    assert database.is_up()
    channel = open_channel("127.0.0.1:1", SERVICES)
    channel.close()
    traced.stop()
    assert collector.spans() == []


def test_a_collector_that_comes_back_gets_what_comes_then(serve: Serve, call: Call, free_port: int) -> None:
    traced = tracing.start_tracing("sample", settings(otlp_endpoint=f"127.0.0.1:{free_port}"))
    assert traced is not None
    caller = call(serve())
    with traced:
        caller.get(GIVEN)
        with Collector(port=free_port) as collector:

            def arrived() -> bool:
                caller.get(GIVEN)
                time.sleep(0.2)
                return bool(collector.spans())

            until(arrived, timeout_s=30)
