"""The labeling loop: an image is leased, labeled or skipped, and the next one comes."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from labelmesh_chassis.errors import InvalidArgument
from labelmesh_chassis.statements import PreparedStatement
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from labelmesh_labeling.access import Caller, no_such_project, require_visible
from labelmesh_labeling.answers import Request, find_answer, request_id_reused, reserve, store_answer
from labelmesh_labeling.leases import Next, Nothing, NothingReason, give_back, hold, lease_gone, next_as_json, next_from_json, take_back
from labelmesh_labeling.parameters import TYPES
from labelmesh_labeling.queue import STANDING, Asker, lease_again, next_image, standing_of

# What the first of the two numbers of an advisory lock stands for.
ONTOLOGY_LOCK, _ASKER_LOCK = 1, 2


@dataclass(frozen=True, slots=True)
class Submission:
    """A label for a held image; `lead_time` as the client measured it, if it did."""

    request_id: UUID
    lease_id: UUID
    class_id: str
    lead_time: timedelta | None
    lease_next: bool


@dataclass(frozen=True, slots=True)
class Submitted:
    """The answer to a submission; `labels_given` are the annotator's in the project, `again` says that it had been carried out before."""

    annotation_id: UUID
    labels_given: int
    next: Next | None
    again: bool = False


# The lock makes the claims of one annotator wait for each other, so that the limit on held images holds to the letter.
_START = PreparedStatement(
    f"""
SELECT {STANDING}, p.access = 1 AS open_to_everyone, asked.id AS asked_id, asked.user_id AS asked_by, asked.project_id AS asked_in,
    pg_advisory_xact_lock({_ASKER_LOCK}, :asker_key)
FROM projects p LEFT JOIN leases asked ON asked.request_id = CAST(:request_id AS uuid)
WHERE p.id = :project_id
""",
    TYPES,
)
_HELD = """
SELECT l.image_id, l.slot, l.repeat_of, l.returned, p.access = 1 AS open_to_everyone,
    q.labels + 1 = q.wanted AS completes, first.class_id AS first_class,
    extract(epoch FROM statement_timestamp() - l.acquired_at) AS held_seconds,
    EXISTS (SELECT 1 FROM requests r WHERE r.request_id = :request_id) AS carried_out,
    pg_advisory_xact_lock_shared({ontology_lock}, :ontology_key) {more}
FROM leases l JOIN queue q ON q.image_id = l.image_id JOIN projects p ON p.id = l.project_id
    LEFT JOIN annotations first ON first.id = l.repeat_of
WHERE l.id = :lease_id AND l.project_id = :project_id AND l.user_id = :user_id
FOR NO KEY UPDATE OF q, l
"""
_HELD_ONLY = PreparedStatement(_HELD.format(ontology_lock=ONTOLOGY_LOCK, more=""), TYPES)
_AND_STANDING = f", pg_advisory_xact_lock({_ASKER_LOCK}, :asker_key), {STANDING}"
HELD_AND_STANDING = PreparedStatement(_HELD.format(ontology_lock=ONTOLOGY_LOCK, more=_AND_STANDING), TYPES)
# All or nothing by itself: without a class of that name in the ontology as it is now, not one of the parts finds a row.
RECORD = PreparedStatement(
    """
WITH known AS (
    SELECT c.schema_version FROM projects p JOIN label_classes c ON c.project_id = p.id AND c.schema_version = p.schema_version
    WHERE p.id = :project_id AND c.class_id = :class_id
), counted AS (
    INSERT INTO counters AS c (project_id, author_id, labels, repeats, repeats_consistent, images_completed, last_seq, last_label_at)
    SELECT :project_id, :user_id, 1, :repeat, :consistent, :completed, 1, statement_timestamp() FROM known
    ON CONFLICT (project_id, author_id) DO UPDATE SET
        labels = c.labels + 1, repeats = c.repeats + excluded.repeats,
        repeats_consistent = c.repeats_consistent + excluded.repeats_consistent,
        images_completed = c.images_completed + excluded.images_completed,
        last_seq = c.last_seq + 1, last_label_at = excluded.last_label_at
    RETURNING labels, last_seq, last_label_at
), written AS (
    INSERT INTO annotations (id, project_id, image_id, slot, class_id, author_kind, author_id, author_seq, schema_version, repeat_of,
        lead_seconds, request_id, created_at)
    SELECT :lease_id, :project_id, :image_id, :slot, :class_id, 1, :user_id, c.last_seq, k.schema_version, CAST(:repeat_of AS uuid),
        :lead_seconds, :request_id, c.last_label_at
    FROM known k, counted c
), used AS (
    INSERT INTO class_uses (project_id, class_id) SELECT :project_id, :class_id FROM known ON CONFLICT DO NOTHING
), ended AS (
    DELETE FROM leases l USING known WHERE l.id = :lease_id
), placed AS (
    UPDATE queue q SET labels = q.labels + 1, free_slots = q.free_slots & ~(1 << :slot)
    FROM known WHERE q.image_id = :image_id AND :repeat = 0
), answered AS (
    INSERT INTO requests (request_id, caller_id, method, fingerprint, answer)
    SELECT :request_id, :user_id, 'submit', :fingerprint, jsonb_build_object('labels_given', c.labels, 'next', CAST(:next AS jsonb))
    FROM counted c
)
SELECT labels FROM counted
""",
    TYPES,
)
_PUT_OFF = text("""
INSERT INTO skips (user_id, image_id, project_id, skipped_at) VALUES (:user_id, :image_id, :project_id, clock_timestamp())
ON CONFLICT (user_id, image_id) DO UPDATE SET skipped_at = excluded.skipped_at
""")


def lease_image(session: Session, caller: Caller, asker: Asker, chance: random.Random) -> Next:
    """The next image for an annotator, or why there is none. A repeated call gets the image of the first. At most 6 statements."""
    start = _start(session, asker)
    if not caller.may_see(asker.project_id, open_to_everyone=start.open_to_everyone):
        return Nothing(NothingReason.NO_ACCESS)
    if start.asked_id is not None:
        if (start.asked_by, start.asked_in) != (asker.user_id, asker.project_id):
            raise request_id_reused()
        again = lease_again(session, start.asked_id, asker.user_id, start.lease_seconds)
        if again is not None:
            return again
    return next_image(session, asker, standing_of(start), chance)


def submit(session: Session, caller: Caller, asker: Asker, submission: Submission, chance: random.Random) -> Submitted:
    """Labels a held image, and leases the next when asked. 2 statements, with the next image at most 6.

    A late one, from a lease whose time ran out, is taken as long as nobody else took the slot. Raises NotFound for a project not for the
    caller's eyes (any more), FailedPrecondition (LEASE_LOST, LEASE_ENDED) and InvalidArgument (UNKNOWN_CLASS, REQUEST_ID_REUSED).
    """
    keys = {
        "request_id": submission.request_id,
        "lease_id": submission.lease_id,
        "project_id": asker.project_id,
        "user_id": asker.user_id,
        "client_id": asker.client_id,
        "ontology_key": ontology_key(asker.project_id),
        "asker_key": _asker_key(asker),
    }
    held = (HELD_AND_STANDING if submission.lease_next else _HELD_ONLY).run(session, keys).one_or_none()
    if held is None:
        require_visible(session, caller, asker.project_id)
        return _submitted_before(session, asker, submission)
    if not caller.may_see(asker.project_id, open_to_everyone=held.open_to_everyone):
        raise no_such_project()
    if held.carried_out:  # This call would have ended the lease.
        raise request_id_reused()
    following: Next | None = None
    if submission.lease_next:
        standing = standing_of(held, ending=submission.lease_id)
        if held.returned:  # Its slot is in the queue, where it would be found as the next. Such a call does without the rest.
            take_back(session, submission.lease_id)
            standing = replace(standing, repeat_rate=0, overdue=False)
        following = next_image(session, asker, standing, chance)
    labels_given = RECORD.run(session, {**keys, **_record(held, submission, following)}).scalar_one_or_none()
    if labels_given is None:
        raise InvalidArgument("UNKNOWN_CLASS", "the project has no class of this id", field="class_id")
    return Submitted(submission.lease_id, labels_given, following)


def skip(
    session: Session, caller: Caller, asker: Asker, request_id: UUID, lease_id: UUID, *, lease_next: bool, chance: random.Random
) -> Next | None:
    """Puts a held image back for later, and leases the next when asked. Others may get the image; this annotator gets it again when
    nothing else is left. Raises NotFound for a project not for the caller's eyes, FailedPrecondition (LEASE_LOST, LEASE_ENDED)."""
    require_visible(session, caller, asker.project_id)
    before = reserve(session, Request(request_id, asker.user_id, "skip", f"{asker.project_id} {lease_id} {lease_next}"))
    if before is not None:
        return next_from_json(before["next"])
    held = hold(session, asker.project_id, asker.user_id, [lease_id])
    if not held:
        raise lease_gone(session, lease_id, asker.user_id)
    give_back(session, held)
    if not held[0].is_repeat:
        session.execute(_PUT_OFF, {"user_id": asker.user_id, "image_id": held[0].image_id, "project_id": asker.project_id})
    following = next_image(session, asker, standing_of(_start(session, asker)), chance) if lease_next else None
    store_answer(session, request_id, {"next": next_as_json(following)})
    return following


def ontology_key(project_id: UUID) -> int:
    """The number that submits and changes of a project's classes lock, so that no label slips in with a class being removed."""
    return int.from_bytes(project_id.bytes[:4], signed=True)


def _start(session: Session, asker: Asker) -> Row[Any]:
    parameters = {
        "project_id": asker.project_id,
        "user_id": asker.user_id,
        "client_id": asker.client_id,
        "request_id": asker.request_id,
        "asker_key": _asker_key(asker),
    }
    start = _START.run(session, parameters).one_or_none()
    if start is None:
        raise no_such_project()
    return start


def _record(held: Row[Any], submission: Submission, following: Next | None) -> dict[str, object]:
    is_repeat = held.repeat_of is not None
    lead = submission.lead_time.total_seconds() if submission.lead_time is not None else float(held.held_seconds)
    return {
        "class_id": submission.class_id,
        "image_id": held.image_id,
        "slot": held.slot,
        "repeat_of": held.repeat_of,
        "repeat": int(is_repeat),
        "consistent": int(is_repeat and held.first_class == submission.class_id),
        "completed": int(held.completes and not is_repeat),
        "lead_seconds": lead,
        "fingerprint": _fingerprint(submission),
        "next": json.dumps(next_as_json(following)),
    }


def _submitted_before(session: Session, asker: Asker, submission: Submission) -> Submitted:
    """The answer of the first time, or why the lease cannot be used."""
    request = Request(submission.request_id, asker.user_id, "submit", _fingerprint(submission))
    answer = find_answer(session, request)
    if answer is None:
        raise lease_gone(session, submission.lease_id, asker.user_id)
    return Submitted(submission.lease_id, answer["labels_given"], next_from_json(answer["next"]), again=True)


def _fingerprint(submission: Submission) -> str:
    return f"{submission.lease_id} {submission.class_id} {submission.lease_next}"


def _asker_key(asker: Asker) -> int:
    mixed = bytes(a ^ b for a, b in zip(asker.project_id.bytes[:4], asker.user_id.bytes[:4], strict=True))
    return int.from_bytes(mixed, signed=True)
