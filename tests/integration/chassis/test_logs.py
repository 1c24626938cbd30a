"""What a service writes while things go well and wrong, with what must not be in it."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from labelmesh_chassis import tracing
from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import DeadlineExceeded, InternalError, Unavailable
from labelmesh_chassis.objects import ObjectStore
from labelmesh_chassis.telemetry import JsonFormatter
from sqlalchemy import text

from tests.integration.chassis.service import GET, Caller, Service, settings, until
from tests.support.collector import Collector
from tests.support.databases import FreshDatabases

SECRET = "ada.lovelace@example.org"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """The lines of this process as `configure_logging` has them written at the level "info"."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonFormatter("sample"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield lines
    root.removeHandler(handler)
    root.setLevel(level)


def entries(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_lines_of_a_call_name_its_request_its_trace_and_its_span(written: io.StringIO) -> None:
    log = logging.getLogger("labelmesh_sample")
    with Collector() as collector:
        traced = tracing.start_tracing("sample", settings(otlp_endpoint=collector.endpoint))
        assert traced is not None
        service = Service(settings(), get=lambda: log.info("working"))
        caller = Caller(service.target)
        with traced:
            caller.get(("x-request-id", "r-1"))
            caller.close()
            service.stop()
        (span,) = collector.spans()
    lines = {entry["message"]: entry for entry in entries(written)}
    for message in ("working", "call"):
        assert (lines[message]["trace_id"], lines[message]["span_id"]) == (span.trace_id, span.span_id)
        assert lines[message]["request_id"] == span.attributes["labelmesh.request_id"] == "r-1"
    assert lines["call"]["method"] == f"/{GET}" and lines["call"]["subject"] == "user:u1"
    assert "trace_id" not in lines["stopped"]


def test_a_fault_of_ours_is_told_without_what_it_was_about(written: io.StringIO, fresh_database: FreshDatabases) -> None:
    database = Database(fresh_database(), application_name="test", pool_size=1)
    with database.connection() as connection:
        connection.execute(text("CREATE TABLE people (name text PRIMARY KEY, age int)"))

    def work() -> None:
        with database.connection() as connection:
            for _ in range(2):
                # Postgres' own words would be: Key (name)=(ada.lovelace@example.org) already exists.
                connection.execute(text("INSERT INTO people (name) VALUES (:name)"), {"name": SECRET})

    service = Service(settings(), get=work)
    caller = Caller(service.target)
    with pytest.raises(InternalError):
        caller.get()
    caller.close()
    service.stop()
    database.close()
    failed = next(entry for entry in entries(written) if entry["message"] == "a call failed by a fault of ours")
    assert "sqlalchemy.exc.IntegrityError (23505)" in failed["exception"] and "test_logs.py:" in failed["exception"]
    assert SECRET not in written.getvalue()


def test_a_presigned_address_is_never_written(written: io.StringIO, free_port: int) -> None:
    away = ObjectStore(f"127.0.0.1:{free_port}", "access", "secret", "labelmesh")
    address = away.presign_get("images/one")
    with pytest.raises(Unavailable):
        away.get_public(address, max_bytes=10)
    # The attempts are told of, which shows that this is where the address would be.
    assert any(entry["logger"].startswith("urllib3") for entry in entries(written))
    signature = address.partition("X-Amz-Signature=")[2]
    assert signature and signature not in written.getvalue()


def test_a_call_that_fails_after_its_caller_is_gone_leaves_no_text_of_its_failure(written: io.StringIO) -> None:
    def work() -> None:
        time.sleep(0.6)
        raise ValueError(SECRET)

    service = Service(settings(), get=work)
    caller = Caller(service.target)
    with pytest.raises(DeadlineExceeded):
        caller.get(timeout=0.2)
    # gRPC's own words hold the text.
    until(lambda: any(entry["message"].startswith("Exception calling application") for entry in entries(written)))
    caller.close()
    service.stop()
    assert "builtins.ValueError" in written.getvalue() and SECRET not in written.getvalue()


def test_a_thread_that_fails_says_so_without_the_text() -> None:
    script = """
import threading
from labelmesh_chassis.telemetry import configure_logging

class Spoilt:
    def __del__(self):
        raise ValueError("ada.lovelace@example.org")

def work():
    raise ValueError("ada.lovelace@example.org")

configure_logging("sample", "info")
thread = threading.Thread(target=work)
thread.start()
thread.join()
Spoilt()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["message"] for line in lines] == ["a thread ended by a fault of ours", "an exception could not be raised"]
    assert all("builtins.ValueError" in line["exception"] for line in lines) and SECRET not in done.stderr
