"""Projects: what is labeled, with which classes, under which rules."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from typing import Any
from uuid import UUID, uuid4

from labelmesh_chassis.errors import Aborted, InvalidArgument, PermissionDenied
from labelmesh_chassis.pages import Page, number_position, page_of, page_size
from sqlalchemy import Row, func, insert, or_, select, text, true, update
from sqlalchemy.orm import Session

from labelmesh_labeling.access import Caller, no_such_project, require_visible
from labelmesh_labeling.answers import Request, reserve, store_answer
from labelmesh_labeling.labeling import ONTOLOGY_LOCK, ontology_key
from labelmesh_labeling.ontology import LabelClass, check_classes, check_removal, read_classes, write_classes
from labelmesh_labeling.tables import CounterRow, ProjectRow

DEFAULT_REPEAT_RATE = 0.2
DEFAULT_LEASE_SECONDS = 120.0


class ProjectState(IntEnum):
    """Whether a project hands out images; the numbers of the contract."""

    OPEN = 1
    CLOSED = 2


class ProjectAccess(IntEnum):
    """Who may label; the numbers of the contract."""

    EVERYONE = 1
    RESTRICTED = 2


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """What a manager decides about a project. `repeat_rate` 0 to 0.5, `lease_seconds` 1 to 3,600.

    `suggestion_model` is the model whose suggestions annotators may be shown; "" for none.
    """

    display_name: str
    description: str
    classes: tuple[LabelClass, ...]
    state: ProjectState = ProjectState.OPEN
    access: ProjectAccess = ProjectAccess.EVERYONE
    repeat_rate: float = DEFAULT_REPEAT_RATE
    lease_seconds: float = DEFAULT_LEASE_SECONDS
    suggestion_model: str = ""


@dataclass(frozen=True, slots=True)
class Project:
    """A project with its settings and how far it is."""

    id: UUID
    number: int
    settings: ProjectSettings
    schema_version: int
    revision: int
    created_at: datetime
    images: int
    images_completed: int

    @property
    def etag(self) -> str:
        """Changes with every change of the settings."""
        return f'"{self.revision}"'


# What an update may name, by the contract's field names.
FIELDS = ("display_name", "description", "classes", "state", "access", "repeat_rate", "lease_duration", "suggestion_model")

_PROJECT = ProjectRow.__table__
_COUNTER = CounterRow.__table__.c
_SUMS = (
    select(
        func.coalesce(func.sum(_COUNTER.images_added), 0).label("images"),
        func.coalesce(func.sum(_COUNTER.images_completed), 0).label("completed"),
    )
    .where(_COUNTER.project_id == _PROJECT.c.id)
    .lateral()
)
_WITH_SUMS = select(_PROJECT, _SUMS.c.images, _SUMS.c.completed).join_from(_PROJECT, _SUMS, true())


def create_project(session: Session, caller: Caller, request_id: UUID, settings: ProjectSettings) -> Project:
    """Makes a project; the same request_id again gives the one that was made.

    InvalidArgument for classes that clash; PermissionDenied (KEY_BOUND_TO_PROJECTS) for a key that is for other projects alone.
    """
    caller.require_manager()
    if not caller.sees_open_projects:
        raise PermissionDenied("KEY_BOUND_TO_PROJECTS", "the API key is bound to projects and makes no others")
    check_classes(settings.classes)
    fingerprint = f"{settings.display_name}\n{[label_class.id for label_class in settings.classes]}"
    before = reserve(session, Request(request_id, caller.user_id, "create_project", fingerprint))
    if before is not None:
        return _load(session, UUID(before["project_id"]))
    project_id = uuid4()
    session.execute(insert(ProjectRow).values(id=project_id, created_by=caller.user_id, **_columns(settings)))
    write_classes(session, project_id, 1, settings.classes)
    store_answer(session, request_id, {"project_id": str(project_id)})
    return _load(session, project_id)


def get_project(session: Session, caller: Caller, project_id: UUID) -> Project:
    """A project that the caller may see; NotFound otherwise."""
    project = _load(session, project_id)
    if not caller.may_see(project_id, open_to_everyone=project.settings.access is ProjectAccess.EVERYONE):
        raise no_such_project()
    return project


def list_projects(session: Session, caller: Caller, asked_size: int, token: str) -> Page[Project]:
    """Projects that the caller may see, newest first."""
    size = page_size(asked_size, default=50, most=500)
    before = number_position(token, "projects")
    statement = _WITH_SUMS.order_by(_PROJECT.c.number.desc()).limit(size + 1)
    if before is not None:
        statement = statement.where(_PROJECT.c.number < before)
    if not caller.all_projects:
        own = _PROJECT.c.id.in_(list(caller.project_ids))
        statement = statement.where(or_(own, _PROJECT.c.access == ProjectAccess.EVERYONE) if caller.sees_open_projects else own)
    projects = _projects(session, session.execute(statement).all())
    return page_of(projects, size, "projects", lambda project: [project.number])


def update_project(
    session: Session, caller: Caller, project_id: UUID, changed: ProjectSettings, fields: Collection[str], etag: str
) -> Project:
    """Sets the named fields. Aborted (ETAG_MISMATCH), FailedPrecondition (CLASS_IN_USE), InvalidArgument for a field there is not."""
    caller.require_manager()
    for index, name in enumerate(fields):
        if name not in FIELDS:
            raise InvalidArgument("FIELD_UNKNOWN", f"{name} is not a field that can be changed", field=f"update_mask.paths[{index}]")
    require_visible(session, caller, project_id)
    if "classes" in fields:
        check_classes(changed.classes)
        # Waits for the labels being written and holds up those that come, until the new ontology stands.
        key = {"lock": ONTOLOGY_LOCK, "key": ontology_key(project_id)}
        session.execute(text("SELECT pg_advisory_xact_lock(:lock, :key)"), key)
    session.execute(select(_PROJECT.c.id).where(_PROJECT.c.id == project_id).with_for_update(key_share=True))
    project = _load(session, project_id)
    if etag and etag != project.etag:
        raise Aborted("ETAG_MISMATCH", "the project was changed meanwhile; read it again", metadata={"etag": project.etag})
    settings = _merged(project.settings, changed, fields)
    if not settings.display_name:
        raise InvalidArgument("DISPLAY_NAME_EMPTY", "a project needs a name", field="display_name")
    if settings == project.settings:
        return project
    schema_version = project.schema_version
    if settings.classes != project.settings.classes:
        check_removal(session, project_id, project.settings.classes, settings.classes)
        schema_version += 1
        write_classes(session, project_id, schema_version, settings.classes)
    values = {**_columns(settings), "schema_version": schema_version, "revision": project.revision + 1}
    session.execute(update(ProjectRow).where(_PROJECT.c.id == project_id).values(values))
    return replace(project, settings=settings, schema_version=schema_version, revision=project.revision + 1)


def _merged(before: ProjectSettings, changed: ProjectSettings, fields: Collection[str]) -> ProjectSettings:
    names = {"lease_seconds" if name == "lease_duration" else name for name in fields}
    return replace(before, **{name: getattr(changed, name) for name in names})


def _columns(settings: ProjectSettings) -> dict[str, Any]:
    return {
        "display_name": settings.display_name,
        "description": settings.description,
        "state": int(settings.state),
        "access": int(settings.access),
        "repeat_rate": settings.repeat_rate,
        "lease_seconds": settings.lease_seconds,
        "suggestion_model": settings.suggestion_model,
    }


def _load(session: Session, project_id: UUID) -> Project:
    row = session.execute(_WITH_SUMS.where(_PROJECT.c.id == project_id)).one_or_none()
    if row is None:
        raise no_such_project()
    return _projects(session, [row])[0]


def _projects(session: Session, rows: Sequence[Row[Any]]) -> list[Project]:
    classes = read_classes(session, [(row.id, row.schema_version) for row in rows])
    return [
        Project(
            row.id,
            row.number,
            ProjectSettings(
                row.display_name,
                row.description,
                classes[row.id],
                ProjectState(row.state),
                ProjectAccess(row.access),
                row.repeat_rate,
                row.lease_seconds,
                row.suggestion_model,
            ),
            row.schema_version,
            row.revision,
            row.created_at,
            int(row.images),
            int(row.completed),
        )
        for row in rows
    ]
