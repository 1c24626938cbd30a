"""Changing who gets which version: aliases, traffic, going back. Each change is one revision, made once for each request_id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from labelmesh_chassis.answers import Request, find_answer, fingerprint, reserve, store_answer
from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import DeadlineExceeded, FailedPrecondition, MeshError, Unavailable
from sqlalchemy import Connection

from labelmesh_inference.access import Caller
from labelmesh_inference.registry import revisions
from labelmesh_inference.registry.registry import Registry, ServedVersions
from labelmesh_inference.registry.routing import Routing, Shadow, Split, no_such_version, traffic_in_words
from labelmesh_inference.registry.versions import find_version
from labelmesh_inference.serving.values import VersionState
from labelmesh_inference.transactions import carry_out


@dataclass(frozen=True, slots=True)
class Change:
    """Who changes which model. `revision` is the one they looked at, 0 where it does not matter to them."""

    caller: Caller
    request_id: UUID
    model: str
    revision: int = 0


class RoutingControl:
    """Changes routings. The model server is asked before a transaction, never within."""

    def __init__(self, database: Database, server: ServedVersions, registry: Registry) -> None:
        self._database = database
        self._server = server
        self._registry = registry

    def set_alias(self, change: Change, alias: str, version: int) -> Routing:
        """Points an alias at a registered version; 0 removes it.

        FailedPrecondition (VERSION_NOT_AVAILABLE, ALIAS_IN_USE), NotFound (MODEL_NOT_FOUND, VERSION_NOT_FOUND, ALIAS_NOT_FOUND), Aborted
        (REVISION_MISMATCH), Unavailable while the model server cannot say whether it can answer.
        """

        def look() -> None:
            if version:
                with self._database.connection() as connection:
                    revisions.current(connection, change.model)
                    if find_version(connection, change.model, version) is None:
                        raise no_such_version(change.model, version)
                self._require_available(change.model, {version})

        def write(connection: Connection) -> Routing:
            before = revisions.locked(connection, change.model, change.revision)
            return revisions.point(connection, change.model, before, {alias: version}, change.caller.user_id)

        return self._once(change, "set_alias", fingerprint(change.model, alias, version), write, look=look)

    def set_traffic(self, change: Change, splits: Sequence[Split], shadow: Shadow) -> Routing:
        """Says which share of calls each alias gets. Errors as of Routes.with_traffic; Aborted (REVISION_MISMATCH)."""

        def write(connection: Connection) -> Routing:
            before = revisions.locked(connection, change.model, change.revision)
            routes = before.routes.with_traffic(splits, shadow)
            if routes == before.routes:
                return before
            words = traffic_in_words(routes)
            return revisions.append(connection, change.model, before.revision, routes, change.caller.user_id, words)

        return self._once(change, "set_traffic", fingerprint(change.model, tuple(splits), shadow), write)

    def roll_back(self, change: Change, to_revision: int) -> Routing:
        """Makes the routes of an earlier revision, 0 for the one before the current, current again as a new revision.

        Two who go back at the same moment go back once. NotFound (REVISION_NOT_FOUND), FailedPrecondition (NO_EARLIER_REVISION),
        (VERSION_NOT_AVAILABLE) where the model server says that it could not answer; while it says nothing one can go back all the same.
        """
        wanted: list[Routing] = []

        def look() -> None:
            with self._database.connection() as connection:
                wanted.append(revisions.earlier(connection, change.model, to_revision))
            with suppress(Unavailable, DeadlineExceeded):
                self._require_available(change.model, wanted[0].routes.versions_in_use)

        def write(connection: Connection) -> Routing:
            before, (earlier,) = revisions.locked(connection, change.model), wanted
            if before.routes == earlier.routes:
                return before
            words = f"rolled back to revision {earlier.revision}"
            return revisions.append(connection, change.model, before.revision, earlier.routes, change.caller.user_id, words)

        return self._once(change, "roll_back", fingerprint(change.model, to_revision), write, look=look)

    def _once(
        self,
        change: Change,
        method: str,
        asked: str,
        write: Callable[[Connection], Routing],
        *,
        look: Callable[[], None] = lambda: None,
    ) -> Routing:
        """Carries a change out in one transaction, after a look around; sent again with its request_id, what it made is answered."""
        change.caller.require_manager()
        request = Request(change.request_id, change.caller.user_id, method, asked)
        with self._database.connection() as connection:
            answer = find_answer(connection, request)
            if answer is not None:
                return revisions.at_revision(connection, change.model, answer["revision"])
        look()

        def work(connection: Connection) -> Routing:
            answer = reserve(connection, request)
            if answer is not None:
                return revisions.at_revision(connection, change.model, answer["revision"])
            made = write(connection)
            store_answer(connection, change.request_id, {"revision": made.revision})
            return made

        try:
            return carry_out(self._database, work)
        finally:
            self._registry.forget(change.model)

    def _require_available(self, model: str, versions: set[int]) -> None:
        available = {one.version for one in self._server.versions(model) if one.state is VersionState.AVAILABLE}
        for version in sorted(versions - available):
            raise not_available(model, version)


def not_available(model: str, version: int) -> MeshError:
    """What a caller is told who would send calls to a version that cannot answer."""
    return FailedPrecondition(
        "VERSION_NOT_AVAILABLE",
        f"the model server cannot answer with version {version} of {model} now",
        metadata={"model": model, "version": str(version)},
    )
