"""How far a project and its annotators are: sums over a few counter rows, never scans."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from labelmesh_chassis.errors import InvalidArgument
from labelmesh_chassis.pages import Page, page_of, page_size, position
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from labelmesh_labeling.access import Caller, require_visible


@dataclass(frozen=True, slots=True)
class AnnotatorStatistics:
    """What one annotator has done in one project; undone labels do not count."""

    author_id: UUID
    labels: int
    repeats: int
    repeats_consistent: int
    last_label_at: datetime | None

    @property
    def distinct_images(self) -> int:
        """Every label that repeats none is the only one of its annotator on its image."""
        return self.labels - self.repeats

    @property
    def consistency(self) -> float | None:
        """The share of repeats with the class of the first time."""
        return self.repeats_consistent / self.repeats if self.repeats else None


@dataclass(frozen=True, slots=True)
class ProjectStatistics:
    """How far a project is."""

    images: int
    images_completed: int
    images_held: int
    labels: int
    machine_labels: int

    @property
    def images_awaiting(self) -> int:
        """Images that still want labels."""
        return self.images - self.images_completed

    @property
    def cursor(self) -> str:
        """Names these numbers: the same numbers have the same cursor."""
        return ".".join(map(str, astuple(self)))


_OWN = text("""
SELECT author_id, labels, repeats, repeats_consistent, last_label_at FROM counters WHERE project_id = :project_id AND author_id = :user_id
""")
_PROJECT = text("""
SELECT coalesce(sum(images_added), 0) AS images, coalesce(sum(images_completed), 0) AS images_completed,
    coalesce(sum(labels), 0) AS labels, coalesce(sum(machine_labels), 0) AS machine_labels,
    (SELECT count(DISTINCT l.image_id) FROM leases l WHERE l.project_id = :project_id AND NOT l.returned AND l.repeat_of IS NULL
     AND l.expires_at > statement_timestamp()) AS images_held
FROM counters WHERE project_id = :project_id
""")
_EVERYBODY = """
SELECT author_id, labels, repeats, repeats_consistent, last_label_at FROM counters
WHERE project_id = :project_id AND last_seq > 0 {after} ORDER BY labels DESC, author_id LIMIT :limit
"""
_FIRST_PAGE = text(_EVERYBODY.format(after=""))
_LATER_PAGE = text(_EVERYBODY.format(after="AND (-labels, author_id) > (-CAST(:labels AS bigint), CAST(:author_id AS uuid))"))


def own_statistics(session: Session, caller: Caller, project_id: UUID) -> AnnotatorStatistics:
    """The caller's own numbers; zeros before the first label."""
    row = session.execute(_OWN, {"project_id": project_id, "user_id": caller.user_id}).one_or_none()
    return _annotator(row) if row is not None else AnnotatorStatistics(caller.user_id, 0, 0, 0, None)


def project_statistics(session: Session, project_id: UUID) -> ProjectStatistics:
    """A project's numbers, all as of one moment."""
    row = session.execute(_PROJECT, {"project_id": project_id}).one()
    return ProjectStatistics(int(row.images), int(row.images_completed), row.images_held, int(row.labels), int(row.machine_labels))


def visible_statistics(session: Session, caller: Caller, project_id: UUID) -> tuple[AnnotatorStatistics, ProjectStatistics]:
    """The caller's numbers and the project's; NotFound for a project not for their eyes."""
    require_visible(session, caller, project_id)
    return own_statistics(session, caller, project_id), project_statistics(session, project_id)


def list_annotator_statistics(session: Session, caller: Caller, project_id: UUID, asked_size: int, token: str) -> Page[AnnotatorStatistics]:
    """Everybody's numbers, most labels first, for managers and keys."""
    caller.require_manager_or_key()
    require_visible(session, caller, project_id)
    size = page_size(asked_size, default=50, most=500)
    scope = f"annotators {project_id}"
    after = position(token, scope, length=2)
    parameters: dict[str, object] = {"project_id": project_id, "limit": size + 1}
    if after is not None:
        try:
            parameters |= {"labels": int(after[0]), "author_id": UUID(str(after[1]))}
        except ValueError as problem:
            raise InvalidArgument("PAGE_TOKEN_INVALID", "the page_token is not one of this list", field="page_token") from problem
    rows = session.execute(_FIRST_PAGE if after is None else _LATER_PAGE, parameters)
    return page_of([_annotator(row) for row in rows], size, scope, lambda found: [found.labels, str(found.author_id)])


def _annotator(row: Row[Any]) -> AnnotatorStatistics:
    return AnnotatorStatistics(row.author_id, row.labels, row.repeats, row.repeats_consistent, row.last_label_at)
