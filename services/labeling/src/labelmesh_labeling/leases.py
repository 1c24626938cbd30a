"""Leases: an image held by one annotator for a while, given back by itself when its time runs out.

Lock order everywhere: an image's queue row, then its lease, then the holder's counters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any
from uuid import UUID

from labelmesh_chassis.errors import FailedPrecondition
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from labelmesh_labeling.access import Caller, require_visible

# Images that one annotator may hold in one project; twice as many when they take labels back.
MAX_HELD = 8
MAX_HELD_AFTER_UNDO = 16


class NothingReason(IntEnum):
    """Why there is nothing to do; the numbers of the contract."""

    ALL_LABELED = 1
    ALL_HELD = 2
    NO_ACCESS = 3
    PROJECT_CLOSED = 4
    NO_IMAGES = 5
    TOO_MANY_HELD = 6


@dataclass(frozen=True, slots=True)
class Lease:
    """An image in an annotator's hands, as handed out at `issued_at`. Pixels; sha256 in hex."""

    id: UUID
    project_id: UUID
    sha256: str
    media_type: str
    width: int
    height: int
    issued_at: datetime
    expires_at: datetime
    previous_class_id: str | None = None


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is nothing to do; `retry_at` says when asking again makes sense at the latest."""

    reason: NothingReason
    retry_at: datetime | None = None


Next = Lease | Nothing


@dataclass(frozen=True, slots=True)
class Held:
    """A lease's row under the locks of its image and itself."""

    id: UUID
    image_id: UUID
    slot: int
    is_repeat: bool
    returned: bool


LEASE_COLUMNS = (
    "id, project_id, image_id, slot, repeat_of, user_id, client_id, session_id, request_id, previous_class_id, acquired_at, expires_at"
)
# Whoever takes a slot overwrites the lease of the one whose time ran out.
TAKE_SLOT = (
    "ON CONFLICT (image_id, slot) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in LEASE_COLUMNS.split(", ") if name not in ("image_id", "slot"))
    + ", returned = false WHERE leases.returned"
)

_HOLD = text("""
SELECT l.id, l.image_id, l.slot, l.repeat_of, l.returned FROM leases l JOIN queue q ON q.image_id = l.image_id
WHERE l.id = ANY(CAST(:lease_ids AS uuid[])) AND l.project_id = :project_id AND l.user_id = :user_id
ORDER BY l.image_id FOR NO KEY UPDATE OF q, l
""")
_RENEW = text("""
WITH renewed AS (
    UPDATE leases l SET expires_at = statement_timestamp() + make_interval(secs => p.lease_seconds), returned = false
    FROM projects p WHERE l.id = ANY(CAST(:lease_ids AS uuid[])) AND p.id = l.project_id
    RETURNING l.id, l.expires_at
), taken AS (
    UPDATE queue q SET free_slots = q.free_slots & ~b.bit
    FROM unnest(CAST(:image_ids AS uuid[]), CAST(:bits AS integer[])) AS b (image_id, bit) WHERE q.image_id = b.image_id
)
SELECT id, expires_at FROM renewed
""")
_GIVE_BACK = text("""
WITH given AS (
    DELETE FROM leases WHERE id = ANY(CAST(:lease_ids AS uuid[])) RETURNING id
), remembered AS (
    INSERT INTO ended_leases (id) SELECT id FROM given
), freed AS (
    UPDATE queue q SET free_slots = q.free_slots | b.bit
    FROM unnest(CAST(:image_ids AS uuid[]), CAST(:bits AS integer[])) AS b (image_id, bit) WHERE q.image_id = b.image_id
)
SELECT count(*) FROM given
""")
# The lease stays, so that its holder may still submit while nobody else wants the slot.
_RETURN_OVERDUE = text("""
WITH overdue AS (
    SELECT l.id, l.image_id, l.slot, l.repeat_of FROM leases l JOIN queue q ON q.image_id = l.image_id
    WHERE l.project_id = :project_id AND NOT l.returned AND l.expires_at <= statement_timestamp()
        AND l.id IS DISTINCT FROM CAST(:ending AS uuid)
    ORDER BY l.expires_at LIMIT :limit FOR NO KEY UPDATE OF q, l SKIP LOCKED
), given AS (
    UPDATE leases l SET returned = true, request_id = NULL FROM overdue o WHERE l.id = o.id
), bits AS (
    SELECT image_id, bit_or(1 << slot) AS freed FROM overdue WHERE repeat_of IS NULL GROUP BY image_id
), freed AS (
    UPDATE queue q SET free_slots = q.free_slots | b.freed FROM bits b WHERE q.image_id = b.image_id
)
SELECT count(*) FROM overdue
""")
_RETURN_LIMIT = 256
_TAKE_BACK = text("""
WITH held AS (
    UPDATE leases SET returned = false WHERE id = :lease_id RETURNING image_id, slot, repeat_of
)
UPDATE queue q SET free_slots = q.free_slots & ~(1 << h.slot) FROM held h WHERE q.image_id = h.image_id AND h.repeat_of IS NULL
""")
_WAS_ENDED = text("""
SELECT EXISTS (SELECT 1 FROM annotations WHERE id = :lease_id AND author_id = :user_id)
    OR EXISTS (SELECT 1 FROM ended_leases WHERE id = :lease_id)
""")
_SWEEP = text("""
DELETE FROM ended_leases WHERE id IN (
    SELECT id FROM ended_leases WHERE ended_at < now() - interval '1 day' ORDER BY ended_at LIMIT :limit)
""")


def hold(session: Session, project_id: UUID, user_id: UUID, lease_ids: Sequence[UUID]) -> list[Held]:
    """Locks those of the leases that the user still has, expired or not, with their images."""
    parameters = {"lease_ids": list(lease_ids), "project_id": project_id, "user_id": user_id}
    rows = session.execute(_HOLD, parameters)
    return [Held(row.id, row.image_id, row.slot, row.repeat_of is not None, row.returned) for row in rows]


def renew(session: Session, caller: Caller, project_id: UUID, lease_ids: Sequence[UUID]) -> list[tuple[UUID, datetime]]:
    """Holds leases for another lease duration from now; (lease, when it expires) of those that nobody else has taken.

    NotFound for a project not for the caller's eyes.
    """
    require_visible(session, caller, project_id)
    held = hold(session, project_id, caller.user_id, lease_ids)
    if not held:
        return []
    # A lease whose slot went back to the queue takes it again; nobody else has it, or the lease would be theirs.
    rows = session.execute(_RENEW, _slots([lease for lease in held if lease.returned], held))
    return [(row.id, row.expires_at) for row in rows]


def release(session: Session, caller: Caller, project_id: UUID, lease_ids: Sequence[UUID]) -> int:
    """Gives images back unlabeled and ends their leases; returns how many there were. Those no longer held are ignored.

    NotFound for a project not for the caller's eyes.
    """
    require_visible(session, caller, project_id)
    held = hold(session, project_id, caller.user_id, lease_ids)
    give_back(session, held)
    return len(held)


def give_back(session: Session, held: Sequence[Held]) -> None:
    """Ends leases under lock and frees their slots."""
    if held:
        session.execute(_GIVE_BACK, _slots([lease for lease in held if not lease.returned], held))


def return_overdue(session: Session, project_id: UUID, *, but: UUID | None) -> int:
    """Puts slots whose leases ran out back into the queue, up to 256 of a project; returns how many.

    All but the lease that the same call is submitting: however late it is, its image is being labeled.
    """
    return int(session.execute(_RETURN_OVERDUE, {"project_id": project_id, "limit": _RETURN_LIMIT, "ending": but}).scalar_one())


def take_back(session: Session, lease_id: UUID) -> None:
    """Takes a slot that went back to the queue out of it again, for its holder, who is under lock and still has the lease."""
    session.execute(_TAKE_BACK, {"lease_id": lease_id})


def sweep_ended(session: Session, *, limit: int) -> int:
    """Forgets up to `limit` leases that were given back more than a day ago; returns how many."""
    result: Any = session.execute(_SWEEP, {"limit": limit})
    return int(result.rowcount)


def lease_gone(session: Session, lease_id: UUID, user_id: UUID) -> FailedPrecondition:
    """Why a lease cannot be used: ended by its holder (LEASE_ENDED), or not theirs, or not any more (LEASE_LOST)."""
    if session.execute(_WAS_ENDED, {"lease_id": lease_id, "user_id": user_id}).scalar_one():
        return FailedPrecondition("LEASE_ENDED", "the image was labeled, skipped or given back already", field="lease_id")
    return FailedPrecondition("LEASE_LOST", "the image is not held by this lease any more", field="lease_id")


def _slots(changed: Sequence[Held], held: Sequence[Held]) -> dict[str, object]:
    changed = [lease for lease in changed if not lease.is_repeat]
    return {
        "lease_ids": [lease.id for lease in held],
        "image_ids": [lease.image_id for lease in changed],
        "bits": [1 << lease.slot for lease in changed],
    }


def lease_of(row: Row[Any]) -> Lease:
    """A lease from a row with its columns and its image's."""
    return Lease(
        row.id,
        row.project_id,
        row.sha256.hex(),
        row.media_type,
        row.width,
        row.height,
        row.issued_at,
        row.expires_at,
        row.previous_class_id,
    )


def next_as_json(found: Next | None) -> dict[str, Any] | None:
    """A plain form to keep in an answer."""
    if found is None:
        return None
    if isinstance(found, Nothing):
        return {"nothing": int(found.reason), "retry_at": found.retry_at.isoformat() if found.retry_at else None}
    return {
        "lease": str(found.id),
        "project": str(found.project_id),
        "sha256": found.sha256,
        "media_type": found.media_type,
        "width": found.width,
        "height": found.height,
        "issued_at": found.issued_at.isoformat(),
        "expires_at": found.expires_at.isoformat(),
        "previous_class_id": found.previous_class_id,
    }


def next_from_json(kept: Mapping[str, Any] | None) -> Next | None:
    """The opposite of `next_as_json`."""
    if kept is None:
        return None
    if "nothing" in kept:
        retry_at = kept["retry_at"]
        return Nothing(NothingReason(kept["nothing"]), datetime.fromisoformat(retry_at) if retry_at else None)
    return Lease(
        UUID(kept["lease"]),
        UUID(kept["project"]),
        kept["sha256"],
        kept["media_type"],
        kept["width"],
        kept["height"],
        datetime.fromisoformat(kept["issued_at"]),
        datetime.fromisoformat(kept["expires_at"]),
        kept["previous_class_id"],
    )
