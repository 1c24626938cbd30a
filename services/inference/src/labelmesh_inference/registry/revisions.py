"""The revisions of a model's routing in the database: 1, 2, 3 without gaps, the last one current."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from labelmesh_chassis.errors import Aborted, FailedPrecondition, NotFound
from labelmesh_chassis.pages import Page, number_position, page_of, page_size
from sqlalchemy import Connection, Row, insert, select, update

from labelmesh_inference.registry.routing import Routes, Routing, Shadow, Split, no_such_model, no_such_version
from labelmesh_inference.registry.tables import MODELS, ROUTINGS
from labelmesh_inference.registry.versions import find_version, lock_model

_CURRENT = select(ROUTINGS).join(MODELS, (MODELS.c.name == ROUTINGS.c.model) & (MODELS.c.revision == ROUTINGS.c.revision))


def find_current(connection: Connection, model: str) -> Routing | None:
    """The routing that calls obey, or None where there is no such model."""
    row = connection.execute(_CURRENT.where(MODELS.c.name == model)).one_or_none()
    return None if row is None else _routing_of(row)


def current(connection: Connection, model: str) -> Routing:
    """The routing that calls obey; NotFound (MODEL_NOT_FOUND)."""
    found = find_current(connection, model)
    if found is None:
        raise no_such_model(model)
    return found


def currents_of(connection: Connection, models: list[str]) -> dict[str, Routing]:
    """The routings that calls obey, by model."""
    return {row.model: _routing_of(row) for row in connection.execute(_CURRENT.where(MODELS.c.name.in_(models)))}


def locked(connection: Connection, model: str, revision: int = 0) -> Routing:
    """The current routing, which nobody else changes until the transaction ends.

    Aborted (REVISION_MISMATCH) where `revision` is given and another one is current.
    """
    lock_model(connection, model)
    found = current(connection, model)
    if revision and revision != found.revision:
        raise Aborted(
            "REVISION_MISMATCH",
            f"the routing of {model} is at revision {found.revision} by now, not {revision}: look at it again",
            metadata={"revision": str(found.revision)},
        )
    return found


def at_revision(connection: Connection, model: str, revision: int) -> Routing:
    """The routing as it was; NotFound (REVISION_NOT_FOUND)."""
    row = connection.execute(select(ROUTINGS).where(ROUTINGS.c.model == model, ROUTINGS.c.revision == revision)).one_or_none()
    if row is None:
        raise NotFound("REVISION_NOT_FOUND", f"the routing of {model} has no revision {revision}", metadata={"revision": str(revision)})
    return _routing_of(row)


def append(connection: Connection, model: str, before: int, routes: Routes, changed_by: UUID, change: str) -> Routing:
    """Makes routes of a locked model, whose current revision is `before` (0 for a new one), current as the next revision."""
    values = {
        "model": model,
        "revision": before + 1,
        "aliases": dict(routes.aliases),
        "splits": [[split.alias, split.weight] for split in routes.splits],
        "shadow_alias": routes.shadow.alias,
        "shadow_share": routes.shadow.share,
        "changed_by": changed_by,
        "change": change,
    }
    row = connection.execute(insert(ROUTINGS).values(values).returning(ROUTINGS)).one()
    connection.execute(update(MODELS).where(MODELS.c.name == model).values(revision=before + 1))
    return _routing_of(row)


def point(connection: Connection, model: str, before: Routing | None, aliases: Mapping[str, int], changed_by: UUID) -> Routing:
    """Points aliases of a locked model, whose current routing is `before`, in one revision; in none where nothing changes.

    NotFound (VERSION_NOT_FOUND) for a version that is not registered; what `Routes.with_alias` raises.
    """
    old = before.routes if before is not None else Routes()
    changed = old
    for alias, version in aliases.items():
        if version and find_version(connection, model, version) is None:
            raise no_such_version(model, version)
        changed = changed.with_alias(alias, version)
    if before is not None and changed == old:
        return before
    moved = {alias: version for alias, version in aliases.items() if old.aliases.get(alias, 0) != version}
    words = ", ".join(f"{alias} -> {version}" if version else f"{alias} removed" for alias, version in moved.items())
    return append(connection, model, before.revision if before is not None else 0, changed, changed_by, words)


def earlier(connection: Connection, model: str, revision: int) -> Routing:
    """The routing as it was, by default before the current one; NotFound (REVISION_NOT_FOUND), FailedPrecondition (NO_EARLIER_REVISION)."""
    wanted = revision or current(connection, model).revision - 1
    if wanted == 0:
        raise FailedPrecondition("NO_EARLIER_REVISION", f"the routing of {model} was never changed, so there is nothing to go back to")
    return at_revision(connection, model, wanted)


def list_revisions(connection: Connection, model: str, asked_size: int, token: str) -> Page[Routing]:
    """The routing's revisions, newest first; NotFound (MODEL_NOT_FOUND)."""
    current(connection, model)
    size, scope = page_size(asked_size, default=50, most=200), f"routings {model}"
    statement = select(ROUTINGS).where(ROUTINGS.c.model == model).order_by(ROUTINGS.c.revision.desc()).limit(size + 1)
    before = number_position(token, scope)
    if before is not None:
        statement = statement.where(ROUTINGS.c.revision < before)
    return page_of([_routing_of(row) for row in connection.execute(statement)], size, scope, lambda routing: [routing.revision])


def _routing_of(row: Row[Any]) -> Routing:
    splits = tuple(Split(alias, weight) for alias, weight in row.splits)
    routes = Routes(row.aliases, splits, Shadow(row.shadow_alias, row.shadow_share))
    return Routing(row.model, row.revision, routes, row.changed_by, row.changed_at, row.change)
