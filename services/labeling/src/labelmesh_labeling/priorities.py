"""Priorities: training code says what is worth labeling first, and the next call for an image obeys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from labelmesh_chassis.errors import FieldViolation, InvalidArgument, NotFound
from sqlalchemy import text
from sqlalchemy.orm import Session

from labelmesh_labeling.access import Caller, require_visible

# Rows are locked in one order by everybody who locks several. Those whose priority stays are left alone, so that a claim going on
# at the same time does not pass them by.
_SET = text("""
WITH wanted AS (
    SELECT * FROM unnest(CAST(:image_ids AS uuid[]), CAST(:priorities AS double precision[])) AS w (image_id, priority)
), locked AS (
    SELECT q.image_id, w.priority FROM queue q JOIN wanted w USING (image_id)
    WHERE q.project_id = :project_id AND q.priority IS DISTINCT FROM w.priority
    ORDER BY q.image_id FOR NO KEY UPDATE OF q
), moved AS (
    UPDATE queue q SET priority = l.priority FROM locked l WHERE q.image_id = l.image_id
)
SELECT array_agg(w.image_id) FROM wanted w
WHERE NOT EXISTS (SELECT 1 FROM queue q WHERE q.image_id = w.image_id AND q.project_id = :project_id)
""")


@dataclass(frozen=True, slots=True)
class ImagePriority:
    """Higher is handed out earlier."""

    image_id: UUID
    priority: float


def set_priorities(session: Session, caller: Caller, project_id: UUID, priorities: Sequence[ImagePriority]) -> int:
    """Sets them all or none; returns how many images they name. NotFound names those the project does not have.

    An image named twice with different priorities is InvalidArgument.
    """
    caller.require_manager_or_key()
    require_visible(session, caller, project_id)
    wanted: dict[UUID, float] = {}
    for index, item in enumerate(priorities):
        if wanted.setdefault(item.image_id, item.priority) != item.priority:
            message = "the image is named twice with different priorities"
            raise InvalidArgument("IMAGE_TWICE", message, field=f"priorities[{index}].image_id")
    parameters = {"project_id": project_id, "image_ids": list(wanted), "priorities": list(wanted.values())}
    missing = session.execute(_SET, parameters).scalar_one()
    if missing:
        raise images_not_found({item.image_id: index for index, item in reversed(list(enumerate(priorities)))}, missing, "priorities")
    return len(wanted)


def images_not_found(indexes: Mapping[UUID, int], missing: Sequence[UUID], list_name: str) -> NotFound:
    """The error that names up to 100 of the images that a project does not have."""
    places = sorted(indexes[image_id] for image_id in missing)[:100]
    violations = [FieldViolation(f"{list_name}[{place}].image_id", "the project has no such image", "IMAGE_NOT_FOUND") for place in places]
    sentence = f"the project does not have {len(missing)} of the images"
    return NotFound("IMAGE_NOT_FOUND", sentence, violations=violations, metadata={"count": str(len(missing))})
