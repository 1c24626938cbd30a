"""Which version answers a call: from memory, where a change made here is seen by the next call and one made elsewhere within a second."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import FailedPrecondition, InvalidArgument, MeshError

from labelmesh_inference.manifest import ModelManifest
from labelmesh_inference.registry.revisions import find_current
from labelmesh_inference.registry.routing import Routing, no_such_model, no_such_version
from labelmesh_inference.registry.versions import RegisteredVersion, find_version
from labelmesh_inference.serving.values import ServedVersion, Signature

# A routing is read again when it is older than this, in seconds.
REFRESH_S = 0.5


class ServedVersions(Protocol):
    """What the model server says of its versions."""

    def versions(self, model: str) -> tuple[ServedVersion, ...]:
        """Every version that the server has or had, newest first; none where it does not know the model."""

    def states(self, model: str) -> tuple[ServedVersion, ...]:
        """The same as of at most a second ago."""


@dataclass(frozen=True, slots=True)
class ShadowTarget:
    """A version that answers too, unseen by the caller."""

    version: int
    alias: str
    manifest: ModelManifest
    signature: Signature


@dataclass(frozen=True, slots=True)
class Target:
    """The version that answers a call. `alias` is empty where a version was asked for.

    `shadow` is there for those calls alone that are to be shadowed: a share of the ones that traffic decides about.
    """

    model: str
    version: int
    alias: str
    manifest: ModelManifest
    signature: Signature
    shadow: ShadowTarget | None = None


@dataclass(slots=True)
class _Known:
    routing: Routing
    asked_at: float
    versions: dict[int, RegisteredVersion] = field(default_factory=dict)


class Registry:
    """Models by name, alias and version. Threads share it."""

    def __init__(
        self,
        database: Database,
        server: ServedVersions,
        *,
        chance: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._server = server
        self._chance = chance or random.Random()
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._changes = 0

    def resolve(self, model: str, alias: str = "", version: int = 0, sticky_key: str = "") -> Target:
        """The version that a call gets: the one it names, the one its alias means, or the one that traffic gives to its sticky key.

        NotFound (MODEL_NOT_FOUND, ALIAS_NOT_FOUND, VERSION_NOT_FOUND), FailedPrecondition (NOT_REGISTERED) for a version that is served
        and was never registered, InvalidArgument (CHOICE_AMBIGUOUS) for both an alias and a version.
        """
        if alias and version:
            raise InvalidArgument("CHOICE_AMBIGUOUS", "name an alias or a version, not both", field="model.alias")
        known = self._fresh(model)
        if version:
            return self._target(known, version, "")
        routes = known.routing.routes
        if alias:
            return self._target(known, routes.version_of(alias), alias)
        chosen = routes.choose(model, sticky_key)
        return self._target(known, routes.version_of(chosen), chosen, shadow=self._shadow(known, routes.version_of(chosen)))

    def forget(self, model: str) -> None:
        """Makes the next call read the model anew; for whoever changed it."""
        with self._lock:
            self._changes += 1
            self._known.pop(model, None)

    def _shadow(self, known: _Known, answering: int) -> ShadowTarget | None:
        shadow = known.routing.routes.shadow
        if not shadow.alias or self._chance.random() >= shadow.share:
            return None
        version = known.routing.routes.version_of(shadow.alias)
        if version == answering:
            return None
        found = self._version(known, version)
        return ShadowTarget(version, shadow.alias, found.manifest, found.signature)

    def _target(self, known: _Known, version: int, alias: str, *, shadow: ShadowTarget | None = None) -> Target:
        found = self._version(known, version)
        return Target(found.model, version, alias, found.manifest, found.signature, shadow)

    def _fresh(self, model: str) -> _Known:
        known = self._known.get(model)
        now = self._clock()
        if known is not None and now - known.asked_at < REFRESH_S:
            return known
        changes = self._changes
        with self._database.connection() as connection:
            routing = find_current(connection, model)
        if routing is None:
            self.forget(model)
            raise no_such_model(model)
        # Versions never change, but for metrics, which no call needs.
        fresh = _Known(routing, now, known.versions if known is not None else {})
        with self._lock:
            # What was read before a change is good for this call, which came before it too, and for no other.
            if changes == self._changes:
                self._known[model] = fresh
        return fresh

    def _version(self, known: _Known, version: int) -> RegisteredVersion:
        found = known.versions.get(version)
        if found is None:
            with self._database.connection() as connection:
                found = find_version(connection, known.routing.model, version)
            if found is None:
                raise self._unregistered(known.routing.model, version)
            known.versions[version] = found
        return found

    def _unregistered(self, model: str, version: int) -> MeshError:
        if version in {served.version for served in self._server.states(model)}:
            return FailedPrecondition(
                "NOT_REGISTERED",
                f"version {version} of {model} is served but was never registered: register it (labelmesh model add)",
                metadata={"model": model, "version": str(version)},
            )
        return no_such_version(model, version)
