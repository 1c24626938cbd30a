"""Undo: an annotator takes back their last label and has the image in hand again. The annotation stays; a withdrawal is put beside it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

from labelmesh_chassis.errors import FailedPrecondition, ResourceExhausted
from sqlalchemy import text
from sqlalchemy.orm import Session

from labelmesh_labeling.access import Caller, require_visible
from labelmesh_labeling.answers import Request, reserve, store_answer
from labelmesh_labeling.leases import LEASE_COLUMNS, MAX_HELD_AFTER_UNDO, TAKE_SLOT, Lease, lease_of, next_as_json, next_from_json
from labelmesh_labeling.queue import Asker
from labelmesh_labeling.transactions import LostRace


@dataclass(frozen=True, slots=True)
class Undone:
    """The image of the label that was taken back, leased again, and how many labels are left."""

    lease: Lease
    labels_given: int


_LAST = text("""
SELECT a.id, a.image_id, a.slot, a.repeat_of, a.class_id, first.class_id = a.class_id AS consistent, q.labels = q.wanted AS was_complete,
    p.lease_seconds,
    (SELECT count(*) FROM leases h WHERE h.user_id = :user_id AND h.project_id = :project_id AND NOT h.returned
     AND h.expires_at > statement_timestamp()) AS held
FROM annotations a JOIN queue q ON q.image_id = a.image_id JOIN projects p ON p.id = a.project_id
    LEFT JOIN annotations first ON first.id = a.repeat_of
WHERE a.project_id = :project_id AND a.author_id = :user_id AND a.author_seq IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM withdrawals w WHERE w.annotation_id = a.id)
ORDER BY a.author_seq DESC LIMIT 1 FOR NO KEY UPDATE OF q
""")
_WITHDRAW = text(f"""
WITH withdrawn AS (
    INSERT INTO withdrawals (annotation_id) VALUES (:annotation_id) ON CONFLICT DO NOTHING RETURNING annotation_id
), leased AS (
    INSERT INTO leases ({LEASE_COLUMNS})
    SELECT :lease_id, :project_id, :image_id, :slot, CAST(:repeat_of AS uuid), :user_id, :client_id, :session_id, NULL, :class_id,
        t.at, t.at + make_interval(secs => :lease_seconds)
    FROM withdrawn, (SELECT clock_timestamp() AS at) t
    {TAKE_SLOT} OR leases.user_id = excluded.user_id
    RETURNING id, project_id, image_id, acquired_at AS issued_at, expires_at, previous_class_id
), placed AS (
    UPDATE queue q SET labels = q.labels - 1 FROM withdrawn WHERE q.image_id = :image_id AND :repeat = 0
), counted AS (
    UPDATE counters k SET labels = k.labels - 1, repeats = k.repeats - :repeat, repeats_consistent = k.repeats_consistent - :consistent,
        images_completed = k.images_completed - :completed,
        last_label_at = (SELECT a.created_at FROM annotations a WHERE a.project_id = :project_id AND a.author_id = :user_id
            AND a.author_seq IS NOT NULL AND a.id <> :annotation_id
            AND NOT EXISTS (SELECT 1 FROM withdrawals w WHERE w.annotation_id = a.id) ORDER BY a.author_seq DESC LIMIT 1)
    FROM withdrawn WHERE k.project_id = :project_id AND k.author_id = :user_id
    RETURNING k.labels
)
SELECT l.*, i.sha256, i.media_type, i.width, i.height, c.labels FROM counted c CROSS JOIN images i LEFT JOIN leased l ON true
WHERE i.id = :image_id
""")


def undo(session: Session, caller: Caller, asker: Asker, request_id: UUID) -> Undone:
    """Takes back the annotator's last label, repeats included, and leases its image to them. May be repeated to go further back.

    Raises NotFound for a project not for the caller's eyes, FailedPrecondition (NOTHING_TO_UNDO, IMAGE_TAKEN), ResourceExhausted
    (TOO_MANY_HELD).
    """
    require_visible(session, caller, asker.project_id)
    before = reserve(session, Request(request_id, asker.user_id, "undo", f"{asker.project_id}"))
    if before is not None:
        kept = next_from_json(before["lease"])
        assert isinstance(kept, Lease)
        return Undone(kept, before["labels_given"])
    keys = {"project_id": asker.project_id, "user_id": asker.user_id}
    last = session.execute(_LAST, keys).one_or_none()
    if last is None:
        raise FailedPrecondition("NOTHING_TO_UNDO", "there is no label of yours to take back")
    if last.held >= MAX_HELD_AFTER_UNDO:
        raise ResourceExhausted("TOO_MANY_HELD", f"label or give back some of the {last.held} images you hold first")
    repeat = last.repeat_of is not None
    parameters = {
        **keys,
        "annotation_id": last.id,
        "lease_id": uuid4(),
        "image_id": last.image_id,
        "slot": last.slot,
        "repeat_of": last.repeat_of,
        "client_id": asker.client_id,
        "session_id": asker.session_id,
        "class_id": last.class_id,
        "lease_seconds": last.lease_seconds,
        "repeat": int(repeat),
        "consistent": int(repeat and last.consistent),
        "completed": int(last.was_complete and not repeat),
    }
    row = session.execute(_WITHDRAW, parameters).one_or_none()
    if row is None:  # The same label was taken back by another call while this one waited for its image.
        raise LostRace
    if row.id is None:
        raise FailedPrecondition("IMAGE_TAKEN", "somebody else has the image by now")
    undone = Undone(lease_of(row), row.labels)
    store_answer(session, request_id, {"lease": next_as_json(undone.lease), "labels_given": undone.labels_given})
    return undone
