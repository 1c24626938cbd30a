"""Log lines name the request and the trace, and nobody."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from labelmesh_chassis.errors import NotFound
from labelmesh_chassis.telemetry import JsonFormatter
from labelmesh_chassis.tracing import describe_statement

SECRET = "ada.lovelace@example.org"


def line(logger: str, message: str, *arguments: object, failure: BaseException | None = None, whole: bool = False) -> dict[str, Any]:
    found = (type(failure), failure, failure.__traceback__) if failure is not None else None
    record = logging.LogRecord(logger, logging.WARNING, __file__, 1, message, arguments, found)
    decoded: dict[str, Any] = json.loads(JsonFormatter("sample", whole=whole).format(record))
    return decoded


def raised(failure: Exception) -> Exception:
    try:
        try:
            raise LookupError(SECRET)
        except LookupError as cause:
            raise failure from cause
    except Exception as caught:
        return caught


def test_what_another_package_fills_into_its_message_is_left_out() -> None:
    message = "Retrying (%r) after connection broken by '%r': %s"
    arguments = ("Retry", "reset", f"/labelmesh/{SECRET}?X-Amz-Signature=abc")
    assert line("urllib3.connectionpool", message, *arguments)["message"] == "Retrying (%r) after connection broken by '%r'"
    assert line("grpc._server", f"Exception calling application: {SECRET}")["message"] == "Exception calling application"
    assert line("labelmesh_labeling.images", "%s images", 3)["message"] == "3 images"


def test_an_exception_is_told_by_its_places_and_kinds_and_not_by_its_text() -> None:
    told = line("labelmesh_chassis.interceptors", "failed", failure=raised(NotFound("NOT_THERE", SECRET)))["exception"]
    assert "builtins.LookupError" in told and told.endswith("labelmesh_chassis.errors.NotFound (NOT_THERE)")
    assert "test_telemetry.py:" in told and "in raised" in told
    assert SECRET not in told


def test_for_development_everything_is_told() -> None:
    told = line("urllib3", "to %s", SECRET, failure=raised(ValueError(SECRET)), whole=True)
    assert told["message"] == f"to {SECRET}" and told["exception"].count(SECRET) == 2


@pytest.mark.parametrize(
    ("statement", "summary"),
    [
        ("SELECT images.id FROM images WHERE images.id = %(id)s", "SELECT images"),
        ("\n  insert into people (name) VALUES (%s)", "INSERT people"),
        ("UPDATE sessions AS s SET a = 1", "UPDATE sessions"),
        ("DELETE FROM ONLY leases", "DELETE leases"),
        ("WITH found AS (SELECT id FROM queue) SELECT 1", "WITH queue"),
        ("PREPARE x (int) AS SELECT 1", "PREPARE"),
        ("", "SQL"),
    ],
)
def test_a_statement_is_named_by_what_it_does_and_to_what(statement: str, summary: str) -> None:
    assert describe_statement(statement)[0] == summary


def test_a_long_statement_is_cut() -> None:
    text = describe_statement("SELECT " + ", ".join(f"column_{number}" for number in range(1000)))[1]["db.query.text"]
    assert len(text) == 1000


def test_an_exception_that_is_its_own_cause_is_told_once() -> None:
    failure = ValueError(SECRET)
    try:
        raise failure from failure
    except ValueError:
        assert line("labelmesh_sample", "failed", failure=failure)["exception"].count("builtins.ValueError") == 1
