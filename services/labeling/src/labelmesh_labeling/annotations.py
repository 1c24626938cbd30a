"""Annotations as a record: who said what of which image, and what came of a machine's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any
from uuid import UUID, uuid4

from labelmesh_chassis.errors import FieldViolation, InvalidArgument
from labelmesh_chassis.pages import Page, number_position, page_of, page_size
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from labelmesh_labeling.access import Caller, require_visible
from labelmesh_labeling.answers import Request, reserve, store_answer
from labelmesh_labeling.labeling import ONTOLOGY_LOCK, ontology_key
from labelmesh_labeling.priorities import images_not_found


class AuthorKind(IntEnum):
    """The numbers of the contract."""

    HUMAN = 1
    MACHINE = 2


class Verdict(IntEnum):
    """What a person said after a machine; the numbers of the contract."""

    ACCEPTED = 1
    CORRECTED = 2
    REJECTED = 3


@dataclass(frozen=True, slots=True)
class Annotation:
    """One label on one image. `score` 0 to 1; seconds."""

    id: UUID
    number: int
    project_id: UUID
    image_id: UUID
    class_id: str
    author_kind: AuthorKind
    author_id: UUID
    model: str
    model_version: str
    score: float
    schema_version: int
    repeat_of: UUID | None
    lead_seconds: float | None
    created_at: datetime
    withdrawn_at: datetime | None
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class MachineLabel:
    """What a model says of an image."""

    image_id: UUID
    class_id: str
    score: float


# A machine's label is judged by the newest first label of a person that came after it and stands.
_LIST = """
SELECT a.*, w.withdrawn_at, (
    SELECT h.class_id FROM annotations h LEFT JOIN withdrawals hw ON hw.annotation_id = h.id
    WHERE a.author_kind = 2 AND h.image_id = a.image_id AND h.author_kind = 1 AND h.repeat_of IS NULL AND h.number > a.number
        AND hw.annotation_id IS NULL
    ORDER BY h.number DESC LIMIT 1) AS said_after
FROM annotations a LEFT JOIN withdrawals w ON w.annotation_id = a.id
WHERE a.project_id = :project_id AND a.number > :after {filters}
ORDER BY a.number LIMIT :limit
"""
_FILTERS = {
    "image_id": "AND a.image_id = :image_id",
    "author_kind": "AND a.author_kind = :author_kind",
    "standing": "AND w.annotation_id IS NULL",
}

_UNKNOWN = text("""
SELECT ARRAY(SELECT i FROM unnest(CAST(:image_ids AS uuid[])) AS i
             WHERE NOT EXISTS (SELECT 1 FROM images WHERE id = i AND project_id = :project_id)) AS images,
    ARRAY(SELECT c FROM unnest(CAST(:class_ids AS text[])) AS c
          WHERE NOT EXISTS (SELECT 1 FROM label_classes l JOIN projects p ON p.id = l.project_id AND p.schema_version = l.schema_version
                            WHERE p.id = :project_id AND l.class_id = c)) AS classes
""")
_PUT = text("""
WITH written AS (
    INSERT INTO annotations (id, project_id, image_id, class_id, author_kind, author_id, model, model_version, score, schema_version,
        request_id)
    SELECT n.id, :project_id, n.image_id, n.class_id, 2, :author_id, :model, :model_version, n.score, p.schema_version, :request_id
    FROM unnest(CAST(:ids AS uuid[]), CAST(:image_ids AS uuid[]), CAST(:class_ids AS text[]), CAST(:scores AS double precision[]))
        WITH ORDINALITY AS n (id, image_id, class_id, score, place), projects p
    WHERE p.id = :project_id ORDER BY n.place
    RETURNING id
), used AS (
    INSERT INTO class_uses (project_id, class_id)
    SELECT DISTINCT CAST(:project_id AS uuid), c FROM unnest(CAST(:class_ids AS text[])) AS c ORDER BY 2 ON CONFLICT DO NOTHING
)
INSERT INTO counters AS k (project_id, author_id, machine_labels) SELECT :project_id, :author_id, count(*) FROM written
ON CONFLICT (project_id, author_id) DO UPDATE SET machine_labels = k.machine_labels + excluded.machine_labels
""")


def put_machine_annotations(
    session: Session, caller: Caller, project_id: UUID, request_id: UUID, model: str, model_version: str, labels: Sequence[MachineLabel]
) -> list[UUID]:
    """Writes a model's labels beside those of people, all or none; returns their ids in order.

    InvalidArgument names unknown classes, NotFound unknown images.
    """
    caller.require_manager_or_key()
    require_visible(session, caller, project_id)
    fingerprint = json.dumps([str(project_id), model, model_version, len(labels), str(labels[0].image_id), labels[0].class_id])
    before = reserve(session, Request(request_id, caller.user_id, "machine", fingerprint))
    if before is not None:
        return [UUID(annotation_id) for annotation_id in before["ids"]]
    lock = {"lock": ONTOLOGY_LOCK, "key": ontology_key(project_id)}
    session.execute(text("SELECT pg_advisory_xact_lock_shared(:lock, :key)"), lock)
    image_ids, class_ids = [label.image_id for label in labels], [label.class_id for label in labels]
    unknown = session.execute(_UNKNOWN, {"project_id": project_id, "image_ids": image_ids, "class_ids": sorted(set(class_ids))}).one()
    if unknown.classes:
        gone = set(unknown.classes)
        violations = [
            FieldViolation(f"annotations[{index}].class_id", "the project has no class of this id", "UNKNOWN_CLASS")
            for index, class_id in enumerate(class_ids)
            if class_id in gone
        ]
        raise InvalidArgument("UNKNOWN_CLASS", "the project does not have some of the classes", violations=violations[:100])
    if unknown.images:
        raise images_not_found({image_id: index for index, image_id in enumerate(image_ids)}, list(set(unknown.images)), "annotations")
    ids = [uuid4() for _ in labels]
    parameters = {
        "project_id": project_id,
        "author_id": caller.actor_id,
        "model": model,
        "model_version": model_version,
        "request_id": request_id,
        "ids": ids,
        "image_ids": image_ids,
        "class_ids": class_ids,
        "scores": [label.score for label in labels],
    }
    session.execute(_PUT, parameters)
    store_answer(session, request_id, {"ids": [str(annotation_id) for annotation_id in ids]})
    return ids


def list_annotations(
    session: Session,
    caller: Caller,
    project_id: UUID,
    asked_size: int,
    token: str,
    *,
    image_id: UUID | None,
    author_kind: int,
    show_withdrawn: bool,
) -> Page[Annotation]:
    """Annotations in the order they were made, for managers and keys."""
    caller.require_manager_or_key()
    require_visible(session, caller, project_id)
    size = page_size(asked_size, default=100, most=1000)
    scope = f"annotations {project_id} {image_id} {author_kind} {show_withdrawn}"
    filters = {"image_id": image_id is not None, "author_kind": author_kind != 0, "standing": not show_withdrawn}
    statement = text(_LIST.format(filters=" ".join(_FILTERS[name] for name, wanted in filters.items() if wanted)))
    parameters: dict[str, object] = {"project_id": project_id, "after": number_position(token, scope) or 0, "limit": size + 1}
    if image_id is not None:
        parameters["image_id"] = image_id
    if author_kind != 0:
        parameters["author_kind"] = author_kind
    annotations = [_annotation(row) for row in session.execute(statement, parameters)]
    return page_of(annotations, size, scope, lambda annotation: [annotation.number])


def _annotation(row: Row[Any]) -> Annotation:
    verdict = None
    if row.said_after is not None:
        verdict = Verdict.ACCEPTED if row.said_after == row.class_id else Verdict.CORRECTED
    return Annotation(
        row.id,
        row.number,
        row.project_id,
        row.image_id,
        row.class_id,
        AuthorKind(row.author_kind),
        row.author_id,
        row.model or "",
        row.model_version or "",
        row.score or 0.0,
        row.schema_version,
        row.repeat_of,
        row.lead_seconds,
        row.created_at,
        row.withdrawn_at,
        verdict,
    )
