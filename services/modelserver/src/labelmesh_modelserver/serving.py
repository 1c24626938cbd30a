"""Loads a version so that it can answer calls: the SavedModel, batching in front of it, warm-up."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from labelmesh_modelserver.batching import Batcher, BatchScheduler
from labelmesh_modelserver.metrics import Metrics
from labelmesh_modelserver.savedmodel import SavedModel
from labelmesh_modelserver.statuses import Code, ServingError
from labelmesh_modelserver.tensors import Array
from labelmesh_modelserver.warmup import warm_up

_log = logging.getLogger(__name__)


class LoadedModel:
    """A version that answers calls."""

    def __init__(self, model: SavedModel, batcher: Batcher | None) -> None:
        self._model = model
        self._batcher = batcher
        self.signatures: Mapping[str, Any] = model.signatures

    def run(self, feeds: Sequence[tuple[str, Array]], fetches: Sequence[str], timeout_s: float | None = None) -> list[Array]:
        """Runs the graph, together with other calls where batching is on.

        Raises:
            ServingError: with TensorFlow's or TensorFlow Serving's code and text.
        """
        if self._batcher is None:
            return self._model.run(feeds, fetches, timeout_s)
        return self._batcher.run(feeds, fetches, timeout_s)

    def close(self) -> None:
        if self._batcher is not None:
            self._batcher.close()
        self._model.close()


class ModelLoader:
    """Loads SavedModels the way the flags say."""

    def __init__(
        self,
        *,
        tags: Sequence[str],
        session_config: Any,
        scheduler: BatchScheduler | None,
        metrics: Metrics,
        warm_up: bool,
        warm_up_iterations: int,
        check_method: bool,
    ) -> None:
        self._tags = tags
        self._session_config = session_config
        self._scheduler = scheduler
        self._metrics = metrics
        self._warm_up = warm_up
        self._warm_up_iterations = max(warm_up_iterations, 1)
        self._check_method = check_method

    def __call__(self, model: str, version: int, path: str) -> LoadedModel:
        """Loads and warms up a version.

        Raises:
            ServingError: where it cannot be served.
        """
        began = time.monotonic()
        try:
            saved = SavedModel(path, self._tags, self._session_config)
        except ServingError:
            self._metrics.load_attempts.add(path, "fail")
            raise
        self._metrics.load_attempts.add(path, "success")
        self._metrics.load_latency.add(path, by=int((time.monotonic() - began) * 1e6))
        batcher = None if self._scheduler is None else Batcher(self._scheduler, saved.run, saved.signatures.values())
        loaded = LoadedModel(saved, batcher)
        if self._warm_up:
            try:
                self._replay(loaded, path)
            except BaseException:
                loaded.close()
                raise
        return loaded

    def _replay(self, loaded: LoadedModel, path: str) -> None:
        began = time.monotonic()
        outcome = Code.OK.name
        try:
            count = warm_up(loaded, path, self._warm_up_iterations, self._check_method)
        except ServingError as problem:
            outcome = problem.code.name
            raise
        finally:
            self._metrics.warmup_latency.add((time.monotonic() - began) * 1e6, path, outcome)
        if count:
            _log.info("Finished reading warmup data for model at %s. Number of warmup records read: %d", path, count)
