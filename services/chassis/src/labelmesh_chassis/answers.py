"""Exactly once: a call that carries a request_id is carried out one time, and sent again it gets the answer of that time.

A service that uses it has a table `requests` with the columns request_id (its primary key), caller_id, method, fingerprint, answer (jsonb)
and created_at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from labelmesh_chassis.errors import InvalidArgument

# The time that an answer can be had again, in days.
KEEP_DAYS = 7

_FIND = text("SELECT caller_id, method, fingerprint, answer FROM requests WHERE request_id = :request_id")
_RESERVE = text("""
INSERT INTO requests (request_id, caller_id, method, fingerprint) VALUES (:request_id, :caller_id, :method, :fingerprint)
ON CONFLICT (request_id) DO NOTHING RETURNING request_id
""")
_STORE = text("UPDATE requests SET answer = CAST(:answer AS jsonb) WHERE request_id = :request_id")
_SWEEP = text("""
DELETE FROM requests WHERE request_id IN (
    SELECT request_id FROM requests WHERE created_at < now() - make_interval(days => :days) ORDER BY created_at LIMIT :limit)
""")


@dataclass(frozen=True, slots=True)
class Request:
    """A call: who made it, and a fingerprint of what they asked for, by which a request_id used for something else is found out."""

    request_id: UUID
    caller_id: UUID
    method: str
    fingerprint: str


def fingerprint(*asked: object) -> str:
    """The same for the same values, whose `repr` says all of them."""
    return hashlib.sha256(repr(asked).encode()).hexdigest()


def find_answer(connection: Connection, request: Request) -> dict[str, Any] | None:
    """The answer that was given, or None; InvalidArgument (REQUEST_ID_REUSED) when the request_id was used for another call."""
    row = connection.execute(_FIND, {"request_id": request.request_id}).one_or_none()
    if row is None:
        return None
    if (row.caller_id, row.method, row.fingerprint) != (request.caller_id, request.method, request.fingerprint):
        raise InvalidArgument("REQUEST_ID_REUSED", "the request_id was used for another call", field="request_id")
    answer: dict[str, Any] | None = row.answer
    return answer


def reserve(connection: Connection, request: Request) -> dict[str, Any] | None:
    """Takes the request_id for this transaction and returns None, or the answer when the call was carried out already.

    Waits while another transaction carries the same call out.
    """
    values = {
        "request_id": request.request_id,
        "caller_id": request.caller_id,
        "method": request.method,
        "fingerprint": request.fingerprint,
    }
    taken = connection.execute(_RESERVE, values).one_or_none()
    return None if taken is not None else find_answer(connection, request)


def store_answer(connection: Connection, request_id: UUID, answer: Mapping[str, Any]) -> None:
    """Keeps what a reserved call is answered."""
    connection.execute(_STORE, {"request_id": request_id, "answer": json.dumps(answer)})


def sweep_answers(connection: Connection, *, limit: int) -> int:
    """Forgets up to `limit` answers older than 7 days; returns how many."""
    return int(connection.execute(_SWEEP, {"days": KEEP_DAYS, "limit": limit}).rowcount)
