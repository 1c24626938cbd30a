"""The life of loaded versions: which are wanted, loading, available, unloading; knows no TensorFlow, no files and no gRPC.

The rules are TensorFlow Serving's (core/aspired_versions_manager.cc, core/availability_preserving_policy.cc): a version that is
no longer wanted is unloaded only when a wanted one is available, or when none is wanted; loads are tried again; a version that
failed stays failed as long as it is wanted. Unlike there, loads have threads of their own by default, so that a version that
fails slowly holds up nothing else.
"""

from __future__ import annotations

import enum
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from labelmesh_modelserver.statuses import Code, ServingError, not_found

_log = logging.getLogger(__name__)

# How many versions that have ended are remembered for GetModelStatus, per model.
_ENDED_KEPT = 1000


class State(enum.IntEnum):
    """Numbered like ModelVersionStatus.State."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class VersionStatus:
    """Where a version stands. `code` and `text` tell why a version ended; OK where nothing is wrong."""

    model: str
    version: int
    state: State
    code: Code = Code.OK
    text: str = ""


class Servable(Protocol):
    """A loaded version."""

    def close(self) -> None:
        """Frees its memory. Nothing is running in it any more."""


S = TypeVar("S", bound=Servable)
Loaded = TypeVar("Loaded", bound=Servable, covariant=True)


class Load(Protocol[Loaded]):
    """Loads a version and warms it up; raises ServingError where it cannot be served."""

    def __call__(self, model: str, version: int, path: str) -> Loaded: ...


class _Version(Generic[S]):
    def __init__(self, model: str, number: int, path: str) -> None:
        self.model = model
        self.number = number
        self.path = path
        self.wanted = True
        self.state = State.START
        self.in_flight = 0
        # Whether it has been tried: one that is tried again every minute is no longer waited for.
        self.tried = False
        self.servable: S | None = None
        # Wakes a load that waits for its next try, once the version is not wanted any more.
        self.unwanted = threading.Event()


@dataclass(frozen=True)
class Retries:
    """How often a load is tried again after it failed, and how long after. The defaults are TensorFlow Serving's."""

    count: int = 5
    interval_s: float = 60.0


class Servables(Generic[S]):
    """All versions of all models, loaded and unloaded in threads of its own.

    Safe for use by many threads. `on_change` is called, under the lock, with every new status.
    """

    def __init__(
        self,
        load: Load[S],
        *,
        load_threads: int,
        retries: Retries,
        on_change: Callable[[VersionStatus], None] = lambda status: None,
    ) -> None:
        self._load = load
        self._retries = retries
        self._on_change = on_change
        self._changed = threading.Condition()
        self._managed: dict[str, dict[int, _Version[S]]] = {}
        self._pending: dict[str, dict[int, str]] = {}
        self._statuses: dict[str, dict[int, VersionStatus]] = {}
        self._serving: dict[str, dict[int, _Version[S]]] = {}
        self._closed = False
        self._loads = ThreadPoolExecutor(load_threads, thread_name_prefix="load")
        self._unloads = ThreadPoolExecutor(2, thread_name_prefix="unload")

    def want(self, model: str, paths: Mapping[int, str]) -> None:
        """Replaces the versions of a model that are wanted. Returns at once."""
        with self._changed:
            if self._closed:
                return
            self._pending[model] = dict(paths)
            self._settle()

    @contextmanager
    def use(self, model: str, version: int | None) -> Iterator[tuple[int, S]]:
        """A version for one call, which keeps it loaded until it ends; None takes the highest one available.

        Raises:
            ServingError: NOT_FOUND where no such version is available.
        """
        with self._changed:
            available = self._serving.get(model)
            found = available and available.get(max(available) if version is None else version)
            if not found or found.servable is None:
                request = f"Latest({model})" if version is None else f"Specific({model}, {version})"
                raise not_found(f"Servable not found for request: {request}")
            found.in_flight += 1
            servable = found.servable
        try:
            yield found.number, servable
        finally:
            with self._changed:
                found.in_flight -= 1
                if found.in_flight == 0 and found.state is State.UNLOADING:
                    self._changed.notify_all()

    def statuses(self, model: str) -> tuple[VersionStatus, ...]:
        """Every version that was ever wanted, by number. Empty for a model that never was."""
        with self._changed:
            known = self._statuses.get(model, {})
            return tuple(known[number] for number in sorted(known))

    def available(self, model: str) -> frozenset[int]:
        """The versions that answer calls."""
        with self._changed:
            return frozenset(self._serving.get(model, ()))

    def wait_until_loaded(self, models: Iterable[str], give_up: Callable[[], bool], poll_s: float = 0.5) -> None:
        """Returns when every model has an available version and each of its other versions has been tried once.

        TensorFlow Serving waits for one version only; then a restart would answer NOT_FOUND for the others for a moment.
        Wakes up to ask `give_up` every `poll_s` seconds.

        Raises:
            ServingError: UNKNOWN, naming versions and errors, where every wanted version of a model has failed;
                DEADLINE_EXCEEDED where `give_up` says so.
        """
        names = set(models)
        with self._changed:
            while True:
                waiting = {name for name in names if not self._is_loaded(name)}
                failed = {name for name in waiting if self._has_failed(name)}
                if not waiting - failed:
                    break
                if give_up():
                    raise ServingError(Code.DEADLINE_EXCEEDED, f"Still waiting for a version of: {', '.join(sorted(waiting))}")
                self._changed.wait(poll_s)
            if failed:
                raise self._unavailable(failed)

    def close(self, timeout_s: float = 30.0) -> None:
        """Unloads everything. Loads that are under way are not waited for beyond `timeout_s` seconds."""
        with self._changed:
            self._closed = True
            self._pending.clear()
            for versions in self._managed.values():
                for version in versions.values():
                    version.wanted = False
                    version.unwanted.set()
            self._settle()
            deadline = time.monotonic() + timeout_s
            while any(self._managed.values()) and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
        self._loads.shutdown(wait=False, cancel_futures=True)
        self._unloads.shutdown(wait=False, cancel_futures=True)

    def _is_loaded(self, model: str) -> bool:
        """Whether a version answers and every other one has been tried."""
        versions = self._managed.get(model, {}).values()
        return bool(self._serving.get(model)) and all(version.tried for version in versions if version.wanted)

    def _has_failed(self, model: str) -> bool:
        """Whether nothing more can come of the versions wanted now: all have ended."""
        if model in self._pending:
            return False
        wanted = [version for version in self._managed.get(model, {}).values() if version.wanted]
        return bool(wanted) and all(version.state is State.END for version in wanted)

    def _unavailable(self, models: Iterable[str]) -> ServingError:
        ended = [
            self._statuses[model][version.number]
            for model in sorted(models)
            for version in self._managed[model].values()
            if version.wanted and version.state is State.END
        ]
        parts = "".join(f"{{{{name: {s.model} version: {s.version}}} due to error: {s.code.name}: {s.text}}}, " for s in ended)
        return ServingError(Code.UNKNOWN, f"{len(ended)} model(s) did not become available: {{{parts}}}")

    # What follows runs under the lock.

    def _settle(self) -> None:
        """Takes every step that can be taken now."""
        for model in set(self._pending) | set(self._managed):
            self._forget(model)
            self._take_pending(model)
            self._forget(model)
            self._start_loads(model)
            self._start_unloads(model)
        self._changed.notify_all()

    def _forget(self, model: str) -> None:
        versions = self._managed.get(model, {})
        for number in [n for n, v in versions.items() if not v.wanted and v.state in (State.START, State.END)]:
            gone = versions.pop(number)
            if gone.state is State.START:
                self._set(gone, State.END)
        if not versions:
            self._managed.pop(model, None)

    def _take_pending(self, model: str) -> None:
        paths = self._pending.get(model)
        if paths is None:
            return
        versions = self._managed.get(model, {})
        if any(not version.wanted and version.number in paths for version in versions.values()):
            return  # Wanted again while it is still being unloaded: first let it go.
        del self._pending[model]
        for number, version in versions.items():
            if number not in paths:
                version.wanted = False
                version.unwanted.set()
        for number, path in paths.items():
            if number not in versions:
                added = _Version[S](model, number, path)
                self._managed.setdefault(model, {})[number] = added
                self._set(added, State.START)

    def _start_loads(self, model: str) -> None:
        versions = self._managed.get(model, {})
        for number in sorted(versions, reverse=True):
            version = versions[number]
            if version.wanted and version.state is State.START and not self._closed:
                self._set(version, State.LOADING)
                self._loads.submit(self._load_version, version)

    def _start_unloads(self, model: str) -> None:
        versions = self._managed.get(model, {}).values()
        wanted = [version for version in versions if version.wanted]
        left_over = sorted((v for v in versions if not v.wanted and v.state is State.AVAILABLE), key=lambda v: v.number)
        if wanted and not any(version.state is State.AVAILABLE for version in wanted):
            left_over = left_over[:-1]  # The newest of the old ones goes on until a wanted one can take over.
        for version in left_over:
            self._set(version, State.UNLOADING)
            self._unloads.submit(self._unload_version, version)

    def _set(self, version: _Version[S], state: State, error: ServingError | None = None) -> None:
        version.state = state
        serving = self._serving.setdefault(version.model, {})
        if state is State.AVAILABLE:
            serving[version.number] = version
        elif serving.pop(version.number, None) is not None and not serving:
            del self._serving[version.model]
        status = VersionStatus(version.model, version.number, state)
        if error is not None:
            status = VersionStatus(version.model, version.number, state, error.code, error.text)
        known = self._statuses.setdefault(version.model, {})
        known[version.number] = status
        ended = [number for number, old in known.items() if old.state is State.END]
        for number in sorted(ended)[: max(len(ended) - _ENDED_KEPT, 0)]:
            del known[number]
        self._on_change(status)

    # What follows runs in the pools, without the lock.

    def _load_version(self, version: _Version[S]) -> None:
        error = ServingError(Code.CANCELLED, "Not wanted any more")
        for attempt in range(self._retries.count + 1):
            if version.unwanted.is_set():
                break
            try:
                servable = self._load(version.model, version.number, version.path)
            except ServingError as problem:
                error = problem
            except Exception as problem:
                _log.exception("Loading version %d of model %s failed", version.number, version.model)
                error = ServingError(Code.INTERNAL, f"{type(problem).__name__}: {problem}")
            else:
                self._loaded(version, servable)
                return
            with self._changed:
                version.tried = True
                self._changed.notify_all()
            left = self._retries.count - attempt
            _log.error(
                "Servable: {name: %s version: %d} cannot be loaded: %s%s",
                *(version.model, version.number, error, f" ({left} more tries, every {self._retries.interval_s:g} s)" if left else ""),
            )
            if left:
                version.unwanted.wait(max(self._retries.interval_s, 0))
        with self._changed:
            self._set(version, State.END, error)
            self._settle()

    def _loaded(self, version: _Version[S], servable: S) -> None:
        with self._changed:
            version.servable = servable
            version.tried = True
            self._set(version, State.AVAILABLE)
            self._settle()
        _log.info("Successfully loaded servable version {name: %s version: %d}", version.model, version.number)

    def _unload_version(self, version: _Version[S]) -> None:
        with self._changed:
            while version.in_flight:
                self._changed.wait()
            servable, version.servable = version.servable, None
        if servable is not None:
            try:
                servable.close()
            except Exception:
                _log.exception("Unloading version %d of model %s failed", version.number, version.model)
        with self._changed:
            self._set(version, State.END)
            self._settle()
        _log.info("Done unloading servable version {name: %s version: %d}", version.model, version.number)
