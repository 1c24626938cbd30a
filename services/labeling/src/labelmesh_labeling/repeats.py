"""Repeats: now and then an annotator is shown an image they labeled before, which measures their consistency and nothing else."""

from __future__ import annotations

import random

from labelmesh_chassis.statements import PreparedStatement
from sqlalchemy.orm import Session

from labelmesh_labeling.leases import LEASE_COLUMNS, MAX_HELD, TAKE_SLOT, Lease, lease_of
from labelmesh_labeling.parameters import TYPES

# An image comes back after this many other labels of the annotator's at the earliest.
GAP = 10
# Labels looked at for one that can be repeated. They are drawn evenly; those that are repeats themselves, undone, held or recent fall out.
_DRAWS = 12

_LEASE_REPEAT = PreparedStatement(
    f"""
WITH first_label AS (
    SELECT a.id, a.image_id, a.slot
    FROM unnest(CAST(:draws AS bigint[])) WITH ORDINALITY AS d (seq, turn)
    JOIN annotations a ON a.project_id = :project_id AND a.author_id = :user_id AND a.author_seq = d.seq
    WHERE a.repeat_of IS NULL
        AND NOT EXISTS (SELECT 1 FROM withdrawals w WHERE w.annotation_id = a.id)
        AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.image_id = a.image_id AND l.slot = a.slot AND NOT l.returned)
        AND NOT EXISTS (SELECT 1 FROM annotations r WHERE r.project_id = :project_id AND r.author_id = :user_id
                        AND r.author_seq > :recent AND r.image_id = a.image_id)
        AND EXISTS (SELECT 1 FROM queue q WHERE q.project_id = :project_id AND q.free_slots > 0)
        AND (SELECT count(*) FROM leases h WHERE h.user_id = :user_id AND h.project_id = :project_id AND NOT h.returned
             AND h.expires_at > statement_timestamp() AND h.id IS DISTINCT FROM CAST(:ending AS uuid)) < {MAX_HELD}
    ORDER BY d.turn LIMIT 1
), leased AS (
    INSERT INTO leases ({LEASE_COLUMNS})
    SELECT :lease_id, :project_id, f.image_id, f.slot, f.id, :user_id, :client_id, :session_id, CAST(:request_id AS uuid), NULL,
        t.at, t.at + make_interval(secs => :lease_seconds)
    FROM first_label f, (SELECT clock_timestamp() AS at) t
    {TAKE_SLOT}
    RETURNING id, project_id, image_id, acquired_at AS issued_at, expires_at, previous_class_id
)
SELECT l.*, i.sha256, i.media_type, i.width, i.height FROM leased l JOIN images i ON i.id = l.image_id
""",
    TYPES,
)


def lease_repeat(session: Session, parameters: dict[str, object], last_seq: int, chance: random.Random) -> Lease | None:
    """Leases an image that the annotator labeled at least 10 labels ago, each with the same probability, or returns None.

    Only while the queue has an image to give: at its end an annotator is told that all is done. `parameters` are those of a claim.
    """
    oldest_recent = last_seq - GAP
    if oldest_recent < 1:
        return None
    draws = [chance.randint(1, oldest_recent) for _ in range(_DRAWS)]
    row = _LEASE_REPEAT.run(session, {**parameters, "draws": draws, "recent": oldest_recent}).one_or_none()
    return lease_of(row) if row is not None else None
