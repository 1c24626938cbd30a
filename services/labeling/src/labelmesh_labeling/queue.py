"""The queue: which image an annotator gets next. Priority high to low, then age; the cost does not grow with the queue.

A claim is one statement: find the first row of the index `queue_order` that nobody has locked, take its lowest free slot, write the
lease. Statements run at READ COMMITTED, so each sees every priority and every returned image that was acknowledged before it began.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from labelmesh_chassis.statements import PreparedStatement
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from labelmesh_labeling.leases import LEASE_COLUMNS, MAX_HELD, TAKE_SLOT, Lease, Next, Nothing, NothingReason, lease_of, return_overdue
from labelmesh_labeling.parameters import TYPES
from labelmesh_labeling.repeats import lease_repeat
from labelmesh_labeling.transactions import LostRace

# Another call may hold an image that this one could have; asking again then makes sense after this time.
_SOON = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for an image, from which page or program, and which leases that page knows it holds."""

    project_id: UUID
    user_id: UUID
    client_id: str = ""
    session_id: str = ""
    held_lease_ids: frozenset[UUID] = field(default_factory=frozenset)
    # Of a call that does nothing but ask; a call that was repeated finds the lease by it.
    request_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What decides about the next image, as of the start of a call."""

    is_open: bool
    repeat_rate: float
    lease_seconds: float
    overlap: int
    # The annotator's labels so far; one that is being submitted counts.
    last_seq: int
    # Live leases of the same page or program, oldest first.
    client_leases: tuple[UUID, ...]
    # Some lease of the project ran out and was not returned to the queue yet.
    overdue: bool
    # The lease that the same call ends.
    ending: UUID | None = None


STANDING = """
    p.state = 1 AS is_open, p.repeat_rate, p.lease_seconds, p.overlap, coalesce(
        (SELECT last_seq FROM counters WHERE project_id = p.id AND author_id = :user_id), 0) AS last_seq,
    ARRAY(SELECT h.id FROM leases h WHERE h.user_id = :user_id AND h.project_id = p.id AND h.client_id = :client_id
          AND NOT h.returned AND h.expires_at > statement_timestamp() ORDER BY h.acquired_at) AS client_leases,
    EXISTS (SELECT 1 FROM leases e WHERE e.project_id = p.id AND NOT e.returned AND e.expires_at <= statement_timestamp()) AS overdue
"""

# Correlated on purpose, one look-up a row in the order of the index. As joins they could be planned as scans; and what `IS NULL` or
# NOT EXISTS would be taken to leave over is so little that sorting all of the queue would look cheaper than reading it in order.
_NOT_SKIPPED = "AND coalesce((SELECT false FROM skips s WHERE s.user_id = :user_id AND s.image_id = q.image_id), true)"
_NOT_OWN = """
    AND coalesce((SELECT false FROM leases l WHERE l.user_id = :user_id AND l.image_id = q.image_id AND NOT l.returned), true)
    AND coalesce((SELECT false FROM annotations a LEFT JOIN withdrawals w ON w.annotation_id = a.id
         WHERE a.image_id = q.image_id AND a.author_id = :user_id AND a.author_kind = 1 AND w.annotation_id IS NULL LIMIT 1), true)
"""
UNDER_LIMIT = f"""
    (SELECT count(*) FROM leases h WHERE h.user_id = :user_id AND h.project_id = :project_id AND NOT h.returned
     AND h.expires_at > statement_timestamp() AND h.id IS DISTINCT FROM CAST(:ending AS uuid)) < {MAX_HELD}
"""


# Where an image has several slots, an annotator gets one of them: an older lease of theirs on another, which they could still submit late,
# is over.
_ONE_EACH = """, dropped AS (
    DELETE FROM leases l USING picked p WHERE l.image_id = p.image_id AND l.slot <> p.slot AND l.user_id = :user_id AND l.returned
)"""


def _claim(where: str, wait: str, more: str = "") -> PreparedStatement:
    return PreparedStatement(
        f"""
WITH picked AS (
    SELECT q.image_id, bit_count(CAST((q.free_slots & -q.free_slots) - 1 AS bit(32))) AS slot FROM queue q
    WHERE q.project_id = :project_id AND q.free_slots > 0 AND {UNDER_LIMIT} {where}
    ORDER BY q.priority DESC, q.number LIMIT 1 FOR NO KEY UPDATE OF q {wait}
), taken AS (
    UPDATE queue q SET free_slots = q.free_slots & (q.free_slots - 1) FROM picked p WHERE q.image_id = p.image_id
), leased AS (
    INSERT INTO leases ({LEASE_COLUMNS})
    SELECT :lease_id, :project_id, p.image_id, p.slot, NULL, :user_id, :client_id, :session_id,
        CAST(:request_id AS uuid), NULL, t.at, t.at + make_interval(secs => :lease_seconds)
    FROM picked p, (SELECT clock_timestamp() AS at) t
    {TAKE_SLOT}
    RETURNING id, project_id, acquired_at AS issued_at, expires_at, previous_class_id
) {more}
SELECT l.*, i.sha256, i.media_type, i.width, i.height FROM picked p JOIN images i ON i.id = p.image_id LEFT JOIN leased l ON true
""",
        TYPES,
    )


# By whether images that this annotator holds or labeled may still have free slots (overlap), and whether to wait for rows that others
# have locked.
CLAIM = {
    (False, False): _claim(_NOT_SKIPPED, "SKIP LOCKED"),
    (False, True): _claim(_NOT_SKIPPED, ""),
    (True, False): _claim(_NOT_SKIPPED + _NOT_OWN, "SKIP LOCKED", _ONE_EACH),
    (True, True): _claim(_NOT_SKIPPED + _NOT_OWN, "", _ONE_EACH),
}
_CLAIM_SKIPPED = _claim("AND q.image_id = :image_id " + _NOT_OWN, "", _ONE_EACH)

_WHAT_IS_LEFT = text(f"""
SELECT
    EXISTS (SELECT 1 FROM queue q WHERE q.project_id = :project_id AND q.free_slots > 0 {_NOT_SKIPPED} {_NOT_OWN}) AS open_now,
    (SELECT s.image_id FROM skips s JOIN queue q ON q.image_id = s.image_id
     WHERE s.project_id = :project_id AND s.user_id = :user_id AND q.free_slots > 0 {_NOT_OWN}
     ORDER BY s.skipped_at LIMIT 1) AS oldest_skipped,
    (SELECT min(l.expires_at) FROM leases l WHERE l.project_id = :project_id AND NOT l.returned AND l.repeat_of IS NULL
     AND l.id IS DISTINCT FROM CAST(:ending AS uuid)) AS held_until,
    EXISTS (SELECT 1 FROM images i WHERE i.project_id = :project_id) AS has_images,
    {UNDER_LIMIT} AS under_limit,
    statement_timestamp() AS now
""")
_LEASE_AGAIN = text("""
UPDATE leases l SET expires_at = statement_timestamp() + make_interval(secs => :lease_seconds)
FROM images i WHERE l.id = :lease_id AND l.user_id = :user_id AND NOT l.returned AND i.id = l.image_id
RETURNING l.id, l.project_id, statement_timestamp() AS issued_at, l.expires_at, l.previous_class_id,
    i.sha256, i.media_type, i.width, i.height
""")


def standing_of(row: Row[Any], *, ending: UUID | None = None) -> Standing:
    """From a row with the columns of STANDING; `ending` is the lease that the call submits."""
    return Standing(
        row.is_open,
        row.repeat_rate,
        row.lease_seconds,
        row.overlap,
        row.last_seq + (ending is not None),
        tuple(row.client_leases),
        row.overdue,
        ending,
    )


def next_image(session: Session, asker: Asker, standing: Standing, chance: random.Random) -> Next:
    """Leases the next image to the asker, or says why there is none.

    First what the page lost track of, then with probability `repeat_rate` an image labeled before, else the head of the queue, else
    what the annotator skipped, oldest skip first. At most 6 statements.
    """
    if not standing.is_open:
        return Nothing(NothingReason.PROJECT_CLOSED)
    if asker.client_id:
        for lease_id in standing.client_leases:
            if lease_id not in asker.held_lease_ids and lease_id != standing.ending:
                again = lease_again(session, lease_id, asker.user_id, standing.lease_seconds)
                if again is not None:
                    return again
                break
    parameters = _parameters(asker, standing)
    if chance.random() < standing.repeat_rate:
        repeat = lease_repeat(session, parameters, standing.last_seq, chance)
        if repeat is not None:
            return repeat
    elif standing.overdue:
        return_overdue(session, asker.project_id, but=standing.ending)
    shared = standing.overlap > 1
    return _run(session, CLAIM[shared, False], parameters) or _what_is_left(session, shared, parameters)


def lease_again(session: Session, lease_id: UUID, user_id: UUID, lease_seconds: float) -> Lease | None:
    """Hands out a live lease of the user's once more, with its whole time; None when it is theirs no more."""
    row = session.execute(_LEASE_AGAIN, {"lease_id": lease_id, "user_id": user_id, "lease_seconds": lease_seconds}).one_or_none()
    return lease_of(row) if row is not None else None


def _what_is_left(session: Session, shared: bool, parameters: dict[str, object]) -> Next:
    """The first claim found nothing: what others had locked for a moment, what the annotator skipped, or the reason for nothing."""
    left = session.execute(_WHAT_IS_LEFT, parameters).one()
    if not left.under_limit:
        return Nothing(NothingReason.TOO_MANY_HELD)
    if not left.has_images:
        return Nothing(NothingReason.NO_IMAGES)
    found: Lease | None = None
    if left.open_now:
        found = _run(session, CLAIM[shared, True], parameters)
    elif left.oldest_skipped is not None:
        found = _run(session, _CLAIM_SKIPPED, {**parameters, "image_id": left.oldest_skipped})
    if found is not None:
        return found
    retry_at: datetime | None = None
    if left.held_until is not None:
        retry_at = max(left.held_until, left.now)
    if left.open_now or left.oldest_skipped is not None:
        retry_at = min(retry_at or left.now + _SOON, left.now + _SOON)
    return Nothing(NothingReason.ALL_LABELED) if retry_at is None else Nothing(NothingReason.ALL_HELD, retry_at)


def _run(session: Session, claim: PreparedStatement, parameters: dict[str, object]) -> Lease | None:
    row = claim.run(session, parameters).one_or_none()
    if row is None:
        return None
    if row.id is None:  # The slot was taken after all; the transaction must not keep what it took of the queue.
        raise LostRace
    return lease_of(row)


def _parameters(asker: Asker, standing: Standing) -> dict[str, object]:
    return {
        "project_id": asker.project_id,
        "user_id": asker.user_id,
        "client_id": asker.client_id,
        "session_id": asker.session_id,
        "request_id": asker.request_id,
        "lease_id": uuid4(),
        "lease_seconds": standing.lease_seconds,
        "ending": standing.ending,
    }
