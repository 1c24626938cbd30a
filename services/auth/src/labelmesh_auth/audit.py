"""The audit log: who did what, to whom, from where. Written in the transaction of what it tells of, so neither exists without the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from labelmesh_chassis.identity import Identity
from sqlalchemy import insert, select
from sqlalchemy.orm import Session as Db

from labelmesh_auth import paging
from labelmesh_auth.tables import AuditEventRow

_FILTERS = "audit"


@dataclass(frozen=True)
class Actor:
    """Who does something: "user:<id>", "key:<id>", "anonymous" or "system", and from which address."""

    subject: str
    address: str = ""

    @classmethod
    def of(cls, identity: Identity) -> Actor:
        return cls(identity.subject, identity.address)


SYSTEM = Actor("system")


@dataclass(frozen=True)
class AuditEvent:
    """One thing that somebody did, or tried."""

    id: int
    time: datetime
    actor: str
    action: str
    target: str
    address: str
    details: Mapping[str, str]


def record(db: Db, actor: Actor, action: str, target: str, now: datetime, details: Mapping[str, str] | None = None) -> None:
    """Adds an event. `details` must hold no secret, and nothing that a person typed where a password might have been typed."""
    row = {
        "time": now,
        "actor": actor.subject,
        "action": action,
        "target": target,
        "address": actor.address,
        "details": dict(details or {}),
    }
    db.execute(insert(AuditEventRow).values(**row))


def list_events(db: Db, *, size: int, token: str, actor: str = "", action_prefix: str = "") -> paging.Page[AuditEvent]:
    """Events, newest first; InvalidArgument on `page_token` when it is not one of this list."""
    filters = (_FILTERS, actor, action_prefix)
    place = paging.decode_token(token, filters, 1)
    query = select(AuditEventRow).order_by(AuditEventRow.id.desc())
    if actor:
        query = query.where(AuditEventRow.actor == actor)
    if action_prefix:
        query = query.where(AuditEventRow.action.startswith(action_prefix, autoescape=True))
    if place is not None:
        if not place[0].isascii() or not place[0].isdigit() or len(place[0]) > 18:
            raise paging.invalid_token()
        query = query.where(AuditEventRow.id < int(place[0]))
    limit = paging.page_size(size)
    rows = db.scalars(query.limit(limit + 1)).all()
    events = tuple(_event(row) for row in rows[:limit])
    next_token = paging.encode_token(filters, [str(events[-1].id)]) if len(rows) > limit else ""
    return paging.Page(events, next_token)


def _event(row: AuditEventRow) -> AuditEvent:
    details = {key: str(value) for key, value in row.details.items()}
    return AuditEvent(row.id, row.time, row.actor, row.action, row.target, row.address, details)
