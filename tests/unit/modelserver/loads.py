"""A loader for tests of the life of versions: a real one, of versions that are nothing but names."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic, sleep

from labelmesh_modelserver.servables import Retries, Servables, State, VersionStatus
from labelmesh_modelserver.statuses import Code, ServingError


class NamedVersion:
    """A loaded version of nothing."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Loads:
    """Loads versions by name; `hold` keeps one loading, `fail` makes it fail so many times."""

    def __init__(self) -> None:
        self.attempts: list[str] = []
        self.versions: dict[str, NamedVersion] = {}
        self._failures: dict[str, int] = {}
        self._held: dict[str, threading.Event] = {}

    def hold(self, name: str) -> threading.Event:
        """Setting the event lets the load of `model/version` end."""
        self._held[name] = threading.Event()
        return self._held[name]

    def fail(self, name: str, times: int = 1000) -> None:
        self._failures[name] = times

    def __call__(self, model: str, version: int, path: str) -> NamedVersion:
        name = f"{model}/{version}"
        self.attempts.append(name)
        if name in self._held:
            assert self._held[name].wait(10), f"nobody let {name} go"
        if self._failures.get(name, 0) > 0:
            self._failures[name] -= 1
            raise ServingError(Code.DATA_LOSS, f"{path} is broken")
        self.versions[name] = NamedVersion(name)
        return self.versions[name]


class Life:
    """Servables over such a loader, with everything they said."""

    def __init__(self, *, retries: int = 0, interval_s: float = 0.0) -> None:
        self.loads = Loads()
        self.told: list[VersionStatus] = []
        self.servables = Servables[NamedVersion](
            self.loads, load_threads=4, retries=Retries(retries, interval_s), on_change=self.told.append
        )

    def want(self, model: str, *versions: int) -> None:
        self.servables.want(model, {version: f"/{model}/{version}" for version in versions})

    def states(self, model: str) -> dict[int, State]:
        return {status.version: status.state for status in self.servables.statuses(model)}

    def answer(self, model: str, version: int | None = None) -> int:
        """The version that answers a call."""
        with self.servables.use(model, version) as (number, servable):
            assert not servable.closed
            assert servable.name == f"{model}/{number}"
            return number

    def until(self, what: Callable[[], bool]) -> None:
        """Waits for something to become true, for 5 s at most."""
        deadline = monotonic() + 5
        while not what():
            assert monotonic() < deadline, f"it did not happen; told: {self.told}"
            sleep(0.002)

    def history(self, model: str, version: int) -> list[State]:
        return [status.state for status in self.told if (status.model, status.version) == (model, version)]
