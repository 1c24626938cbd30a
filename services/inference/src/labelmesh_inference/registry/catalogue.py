"""Models as people look at them: versions with what the model server says of them now, their use, and the aliases that point there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import MeshError
from labelmesh_chassis.pages import Page, page_of, page_size, position
from sqlalchemy import Connection, func, select

from labelmesh_inference.predictions.tables import COUNTS
from labelmesh_inference.registry.registry import ServedVersions
from labelmesh_inference.registry.revisions import currents_of
from labelmesh_inference.registry.routing import Routing, no_such_model
from labelmesh_inference.registry.tables import MODELS
from labelmesh_inference.registry.versions import RegisteredVersion, versions_of
from labelmesh_inference.serving.values import ServedVersion, VersionState

# A model server that was away is asked again after so many seconds: whoever looks at models meanwhile does not wait for it.
_AWAY_S = 2.0
# A page of models ends early where their manifests have more labels than this together: they are sent with every version.
_MOST_LABELS = 200_000


@dataclass(frozen=True, slots=True)
class Use:
    """How many predictions of a version are stored, and what people said of them."""

    predictions: int = 0
    feedback: int = 0
    feedback_correct: int = 0


@dataclass(frozen=True, slots=True)
class VersionView:
    """A version. No state where the model server does not answer; not registered where it is only served."""

    model: str
    version: int
    state: VersionState | None
    state_message: str
    registered: RegisteredVersion | None
    use: Use
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelView:
    """A model, its versions newest first."""

    name: str
    routing: Routing
    versions: tuple[VersionView, ...]
    created_at: datetime

    @property
    def newest(self) -> RegisteredVersion | None:
        """The newest registered version, whose manifest names the model."""
        return next((view.registered for view in self.versions if view.registered is not None), None)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the database knows of a model."""

    name: str
    created_at: datetime
    routing: Routing
    versions: Sequence[RegisteredVersion]
    uses: Mapping[int, Use]


class Catalogue:
    """Models with the states of their versions. Threads share it."""

    def __init__(self, database: Database, server: ServedVersions, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._server = server
        self._clock = clock
        self._lock = threading.Lock()
        self._away_until = float("-inf")
        self._problem = ""

    def list_models(self, asked_size: int, token: str) -> tuple[Page[ModelView], str]:
        """Models by name, and why the states of their versions are unknown, if they are."""
        size = page_size(asked_size, default=50, most=200)
        after = position(token, "models", length=1)
        statement = select(MODELS.c.name, MODELS.c.created_at).order_by(MODELS.c.name).limit(size + 1)
        if after is not None:
            statement = statement.where(MODELS.c.name > str(after[0]))
        with self._database.connection() as connection:
            found = {row.name: row.created_at for row in connection.execute(statement)}
            kept = _kept(connection, found)
        page = page_of(kept, min(size, _fitting(kept)), "models", lambda model: [model.name])
        views, problem = self._views(page.items)
        return Page(views, page.next_token), problem

    def get_model(self, name: str) -> tuple[ModelView, str]:
        """A model, and why the states of its versions are unknown, if they are; NotFound (MODEL_NOT_FOUND)."""
        with self._database.connection() as connection:
            found = {row.name: row.created_at for row in connection.execute(select(MODELS).where(MODELS.c.name == name))}
            if not found:
                raise no_such_model(name)
            kept = _kept(connection, found)
        views, problem = self._views(kept)
        return views[0], problem

    def view_of(self, version: RegisteredVersion) -> VersionView:
        """A registered version as it is now."""
        model, _ = self.get_model(version.model)
        return next(view for view in model.versions if view.version == version.version)

    def _views(self, models: Sequence[_Kept]) -> tuple[tuple[ModelView, ...], str]:
        """Once the model server has not answered, the other models are not asked for."""
        served = {model.name: self._served(model.name) for model in models}
        away = any(states is None for states in served.values())
        problem = (self._problem or "the model server did not answer a moment ago") if away else ""
        return tuple(_model_view(model, served[model.name]) for model in models), problem

    def _served(self, model: str) -> Sequence[ServedVersion] | None:
        """What the model server says, or None. While it is away one caller in a while finds out whether it still is; no other waits."""
        with self._lock:
            if self._clock() < self._away_until:
                return None
            if self._problem:
                self._away_until = self._clock() + _AWAY_S
        try:
            states = self._server.states(model)
        except MeshError as problem:
            with self._lock:
                self._problem, self._away_until = problem.message, self._clock() + _AWAY_S
            return None
        with self._lock:
            self._problem, self._away_until = "", float("-inf")
        return states


def _kept(connection: Connection, created: Mapping[str, datetime]) -> list[_Kept]:
    names = list(created)
    routings, versions, uses = currents_of(connection, names), versions_of(connection, names), _uses(connection, names)
    return [_Kept(name, created[name], routings[name], versions[name], uses[name]) for name in names]


def _fitting(models: Sequence[_Kept]) -> int:
    """How many of the models have no more labels together than a reply may hold; one at least."""
    labels = 0
    for count, model in enumerate(models):
        labels += sum(len(version.manifest.labels) for version in model.versions)
        if labels > _MOST_LABELS:
            return max(1, count)
    return max(1, len(models))


def _uses(connection: Connection, models: Sequence[str]) -> dict[str, dict[int, Use]]:
    found: dict[str, dict[int, Use]] = {model: {} for model in models}
    sums = [func.sum(column) for column in (COUNTS.c.predictions, COUNTS.c.feedback, COUNTS.c.feedback_correct)]
    statement = select(COUNTS.c.model, COUNTS.c.version, *sums).where(COUNTS.c.model.in_(models)).group_by(COUNTS.c.model, COUNTS.c.version)
    for model, version, *numbers in connection.execute(statement):
        found[model][version] = Use(*map(int, numbers))
    return found


def _model_view(model: _Kept, served: Sequence[ServedVersion] | None) -> ModelView:
    states = {one.version: one for one in served or ()}
    registered = {one.version: one for one in model.versions}
    # What is neither registered nor there any more is nobody's concern.
    others = {version for version, one in states.items() if version not in registered and one.state is not VersionState.ABSENT}
    views = []
    for version in sorted(registered.keys() | others, reverse=True):
        one = states.get(version, ServedVersion(version, VersionState.ABSENT))
        state, message = (None, "") if served is None else (one.state, one.message)
        aliases = tuple(sorted(alias for alias, pointed in model.routing.routes.aliases.items() if pointed == version))
        views.append(VersionView(model.name, version, state, message, registered.get(version), model.uses.get(version, Use()), aliases))
    return ModelView(model.name, model.routing, tuple(views), model.created_at)
