"""The models this server was told to serve: config, labels, and the watch over their folders."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic

from labelmesh_modelserver.configuration import ModelConfig, Models, models_of
from labelmesh_modelserver.servables import S, Servables, VersionStatus
from labelmesh_modelserver.statuses import ServingError, failed_precondition, invalid_argument
from labelmesh_modelserver.versions import scan

_log = logging.getLogger(__name__)

Labels = Mapping[str, Mapping[str, int]]


def never() -> bool:
    """Waits as long as it takes."""
    return False


class ServedModels(Generic[S]):
    """What TensorFlow Serving calls ServerCore: takes configs, looks for versions, and finds the one a call asks for."""

    def __init__(self, servables: Servables[S], *, allow_labels_for_unavailable: bool) -> None:
        self._servables = servables
        self._allow_labels_for_unavailable = allow_labels_for_unavailable
        self._lock = threading.Lock()
        self._configured = False
        self._models: Models = {}
        self._labels: Labels = {}
        self._complaints: dict[str, str] = {}

    def reload(self, config: Any, give_up: Callable[[], bool] = never) -> None:
        """As `change`, and waits until the models that are new are available. One that fails leaves the config in force.

        Raises:
            ServingError: with TensorFlow Serving's codes and texts.
        """
        # A call that waits for its models does not keep others from changing the config.
        self._servables.wait_until_loaded(self.change(config), give_up)

    def change(self, config: Any) -> frozenset[str]:
        """Serves what a ModelServerConfig says from now on; the models that are new to it. A config that is refused changes nothing.

        Raises:
            ServingError: with TensorFlow Serving's codes and texts.
        """
        models = models_of(config)
        with self._lock:
            if models is None:
                if self._configured:
                    raise failed_precondition(
                        "Cannot transition to requested config. It is only legal to transition from one ModelConfigList to another."
                    )
                _log.info("Taking no action for empty config.")
                return frozenset()
            labels = self._labels_of(models)
            new = set(models) - set(self._models)
            gone = set(self._models) - set(models)
            self._models, self._labels, self._configured = models, labels, True
            _log.info("Adding/updating models: %s", ", ".join(sorted(models)) or "none")
            for name in gone:
                self._servables.want(name, {})
                self._complaints.pop(name, None)
            self._poll()
            return frozenset(new)

    def poll(self) -> None:
        """Looks into every base path and asks for the versions found there."""
        with self._lock:
            self._poll()

    @contextmanager
    def use(self, spec: Any) -> Iterator[tuple[int, S]]:
        """The version a ModelSpec asks for, for one call.

        Raises:
            ServingError: INVALID_ARGUMENT without a name or for an unknown label, NOT_FOUND for what is not available.
        """
        if not spec.name:
            raise invalid_argument("ModelSpec has no name specified.")
        choice = spec.WhichOneof("version_choice")
        version: int | None = None
        if choice == "version":
            version = spec.version.value
        elif choice == "version_label":
            version = self._labels.get(spec.name, {}).get(spec.version_label)
            if version is None:
                raise invalid_argument(f"Unrecognized servable version label: {spec.version_label}")
        with self._servables.use(spec.name, version) as found:
            yield found

    def is_known(self, model: str) -> bool:
        """Whether a model is or was served: whatever else callers ask for must not fill up the metrics."""
        return model in self._models or bool(self._servables.statuses(model))

    def statuses(self, model: str) -> tuple[VersionStatus, ...]:
        """Every version of a model that was ever wanted, by number."""
        return self._servables.statuses(model)

    def _labels_of(self, models: Models) -> Labels:
        labels: dict[str, dict[str, int]] = {}
        for model in models.values():
            available = self._servables.available(model.name)
            for label, version in model.labels.items():
                if version not in available and not self._may_run_ahead(model, label, version):
                    raise failed_precondition(
                        f"Request to assign label to version {version} of model {model.name}, which is not currently "
                        "available for inference"
                    )
                labels.setdefault(model.name, {})[label] = version
        return labels

    def _may_run_ahead(self, model: ModelConfig, label: str, version: int) -> bool:
        """Whether a label may point at a version that is not available: only one that is new or stays where it was."""
        current = self._labels.get(model.name, {}).get(label, version)
        return self._allow_labels_for_unavailable and current == version

    def _poll(self) -> None:
        for model in self._models.values():
            try:
                paths = scan(model.name, model.base_path, model.policy)
            except ServingError as problem:
                self._complain(model.name, f"FileSystemStoragePathSource encountered a filesystem access error: {problem.text}")
                continue
            if paths:
                self._complaints.pop(model.name, None)
            else:
                self._complain(
                    model.name,
                    f"No versions of servable {model.name} found under base path {model.base_path}. Did you forget to name your leaf "
                    "directory as a number (eg. '/1/')?",
                )
            self._servables.want(model.name, paths)

    def _complain(self, model: str, text: str) -> None:
        """Logs a trouble once, not with every look."""
        if self._complaints.get(model) != text:
            self._complaints[model] = text
            _log.warning("%s", text)


class Periodic:
    """Does something every so many seconds in a thread of its own, whatever it raised the last time."""

    def __init__(self, name: str, interval_s: float, action: Callable[[], None]) -> None:
        self._interval_s = interval_s
        self._action = action
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends it; an action under way is waited for, for a second."""
        self._stopped.set()
        self._thread.join(timeout=1)

    def _run(self) -> None:
        while not self._stopped.wait(self._interval_s):
            try:
                self._action()
            except Exception:
                _log.exception("%s failed", self._thread.name)
