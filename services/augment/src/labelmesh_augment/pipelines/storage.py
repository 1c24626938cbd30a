"""Pipelines that projects keep: names with versions that never change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol
from uuid import UUID

from labelmesh_chassis.answers import Request, find_answer, reserve, store_answer
from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import Aborted, NotFound, ResourceExhausted
from labelmesh_chassis.pages import Page, page_of, page_size, position
from labelmesh_chassis.transactions import carry_out
from sqlalchemy import Connection, Row, text

from labelmesh_augment.access import Caller
from labelmesh_augment.pipelines.saved import Draft, SavedPipeline

MAX_NAMES = 1000
MAX_VERSIONS = 1000
DEFAULT_PAGE, MAX_PAGE = 100, 500
_RACES = {"requests_pkey", "pipelines_pkey", "pipeline_versions_pkey"}

# Names are few and saved by hand: those of one project are saved one after the other, so that they can be counted.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(CAST(:project_id AS text), 0))")
_NAME = text("SELECT newest, listed_from FROM pipelines WHERE project_id = :project_id AND name = :name FOR UPDATE")
_COUNT = text("SELECT count(*) FROM pipelines WHERE project_id = :project_id AND newest >= listed_from")
_PUT_NAME = text("""
INSERT INTO pipelines (project_id, name, newest, listed_from) VALUES (:project_id, :name, :version, :version)
ON CONFLICT (project_id, name) DO UPDATE SET newest = EXCLUDED.newest
""")
_ADD_VERSION = text("""
INSERT INTO pipeline_versions (project_id, name, version, definition, note, author_id)
VALUES (:project_id, :name, :version, :definition, :note, :author_id)
""")
_DELETE = text("UPDATE pipelines SET listed_from = newest + 1 WHERE project_id = :project_id AND name = :name AND newest >= listed_from")
_COLUMNS = "v.project_id, v.name, v.version, v.definition, v.note, v.author_id, v.created_at"
_VERSION = text(f"SELECT {_COLUMNS} FROM pipeline_versions v WHERE project_id = :project_id AND name = :name AND version = :version")
_NEWEST = text(f"""
SELECT {_COLUMNS} FROM pipelines p JOIN pipeline_versions v ON v.project_id = p.project_id AND v.name = p.name AND v.version = p.newest
WHERE p.project_id = :project_id AND p.name = :name AND p.newest >= p.listed_from
""")
_NAMES = text(f"""
SELECT {_COLUMNS} FROM pipelines p JOIN pipeline_versions v ON v.project_id = p.project_id AND v.name = p.name AND v.version = p.newest
WHERE p.project_id = :project_id AND p.newest >= p.listed_from AND p.name > :after ORDER BY p.name LIMIT :limit
""")
_VERSIONS = text(f"""
SELECT {_COLUMNS} FROM pipelines p JOIN pipeline_versions v ON v.project_id = p.project_id AND v.name = p.name
WHERE p.project_id = :project_id AND p.name = :name AND v.version BETWEEN p.listed_from AND :before - 1 ORDER BY v.version DESC LIMIT :limit
""")


class Projects(Protocol):
    """Projects of labeling, as far as the one who is calling may see them."""

    def require_readable(self, project_id: UUID) -> None:
        """NotFound unless the project is there and for the caller's eyes."""


class PipelineStore:
    """Pipelines of all projects. Whoever can read a project can read its pipelines; changing them is for who may manage it."""

    def __init__(self, database: Database, projects: Projects) -> None:
        self._database = database
        self._projects = projects

    def save(self, caller: Caller, draft: Draft, request: Request) -> SavedPipeline:
        """Adds a version, once for each request_id; the newest one saved again, with no other note, is that one.

        PermissionDenied; NotFound for the project; Aborted (VERSION_EXISTS) when `previous_version` is not the newest; ResourceExhausted
        (TOO_MANY_PIPELINES) at 1,000 names of the project or 1,000 versions of the name.
        """
        caller.require_manager()
        self._projects.require_readable(draft.project_id)

        def work(connection: Connection) -> dict[str, Any]:
            version = _saved(connection, draft, caller)
            return {"version": version}

        version = int(self._once(request, work)["version"])
        return self._found(draft.project_id, draft.name, version)

    def delete(self, caller: Caller, project_id: UUID, name: str, request: Request | None) -> None:
        """Takes a name off the list. NotFound (PIPELINE_NOT_FOUND) where it is not on it."""
        caller.require_manager()
        self._projects.require_readable(project_id)

        def work(connection: Connection) -> dict[str, Any]:
            if not connection.execute(_DELETE, {"project_id": project_id, "name": name}).rowcount:
                raise _no_such_pipeline()
            return {}

        self._once(request, work)

    def get(self, project_id: UUID, name: str, version: int = 0) -> SavedPipeline:
        """A version, the newest for 0. NotFound (PIPELINE_NOT_FOUND), also for 0 where the name was taken off the list."""
        self._projects.require_readable(project_id)
        return self._found(project_id, name, version)

    def list(self, project_id: UUID, size: int, token: str, name: str = "") -> Page[SavedPipeline]:
        """The newest version of each name, by name; or the versions of a name, newest first."""
        self._projects.require_readable(project_id)
        size = page_size(size, default=DEFAULT_PAGE, most=MAX_PAGE)
        with self._database.connection() as connection:
            if not name:
                scope = f"pipelines/{project_id}"
                after = position(token, scope, length=1)
                values = {"project_id": project_id, "after": "" if after is None else str(after[0]).replace("\0", ""), "limit": size + 1}
                rows = connection.execute(_NAMES, values).all()
                return page_of([_of(row) for row in rows], size, scope, lambda item: [item.name])
            scope = f"pipelines/{project_id}/{name}"
            before = position(token, scope, length=1)
            below = MAX_VERSIONS + 1 if before is None else _version_of(before[0])
            rows = connection.execute(_VERSIONS, {"project_id": project_id, "name": name, "before": below, "limit": size + 1}).all()
            return page_of([_of(row) for row in rows], size, scope, lambda item: [item.version])

    def _found(self, project_id: UUID, name: str, version: int) -> SavedPipeline:
        values = {"project_id": project_id, "name": name, "version": version}
        with self._database.connection() as connection:
            row = connection.execute(_VERSION if version else _NEWEST, values).one_or_none()
        if row is None:
            raise _no_such_pipeline()
        return _of(row)

    def _once(self, request: Request | None, work: Callable[[Connection], dict[str, Any]]) -> dict[str, Any]:
        def once(connection: Connection) -> dict[str, Any]:
            if request is None:
                return work(connection)
            answer = find_answer(connection, request)
            if answer is None:
                answer = reserve(connection, request)
            if answer is None:
                answer = work(connection)
                store_answer(connection, request.request_id, answer)
            return answer

        return carry_out(self._database, once, races=_RACES)


def _saved(connection: Connection, draft: Draft, caller: Caller) -> int:
    name = {"project_id": draft.project_id, "name": draft.name}
    connection.execute(_LOCK, {"project_id": str(draft.project_id)})
    row = connection.execute(_NAME, name).one_or_none()
    newest, listed = (0, False) if row is None else (row.newest, row.newest >= row.listed_from)
    if listed:
        current = _of(connection.execute(_VERSION, {**name, "version": newest}).one())
        if current.definition == draft.definition and draft.note in ("", current.note):
            return current.version
    if draft.previous_version and draft.previous_version != (newest if listed else 0):
        told = f"the newest version is {newest} now" if listed else "the name is not on the list any more"
        raise Aborted("VERSION_EXISTS", f"{told}; look at what was saved meanwhile", metadata={"version": str(newest)})
    if not listed and connection.execute(_COUNT, {"project_id": draft.project_id}).scalar_one() >= MAX_NAMES:
        raise ResourceExhausted("TOO_MANY_PIPELINES", f"the project has {MAX_NAMES:,} pipelines already; delete some")
    if newest >= MAX_VERSIONS:
        raise ResourceExhausted("TOO_MANY_PIPELINES", f"the pipeline has {MAX_VERSIONS:,} versions already; save it under another name")
    version = newest + 1
    connection.execute(_PUT_NAME, {**name, "version": version})
    values = {"definition": draft.definition, "note": draft.note, "author_id": caller.user_id}
    connection.execute(_ADD_VERSION, {**name, "version": version, **values})
    return version


def _of(row: Row[Any]) -> SavedPipeline:
    # The driver gives a view of memory, which is equal to no bytes.
    return SavedPipeline(row.project_id, row.name, row.version, bytes(row.definition), row.note, row.author_id, row.created_at)


def _version_of(key: str | int) -> int:
    """Any number of a token, within what the database can compare."""
    return min(max(int(key), 1), MAX_VERSIONS + 1) if isinstance(key, int) else 1


def _no_such_pipeline() -> NotFound:
    return NotFound("PIPELINE_NOT_FOUND", "there is no such pipeline, or not in this version", metadata={"field": "name"})
