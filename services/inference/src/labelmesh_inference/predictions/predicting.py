"""A prediction as callers get it: a version is chosen, asked, its answer stored before it is given, and shown to a shadow now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from uuid import UUID

from labelmesh_chassis.errors import InternalError, MeshError, ResourceExhausted

from labelmesh_inference.access import Caller
from labelmesh_inference.measures import PredictionMeasures
from labelmesh_inference.predictions.asking import Asking, Item, Limits
from labelmesh_inference.predictions.inputs import ObjectAddress, ProjectImage, Source, WebAddress, size_of
from labelmesh_inference.predictions.results import Result
from labelmesh_inference.predictions.shadowing import Shadows
from labelmesh_inference.predictions.storage import Origin, Prediction, PredictionStore, Stored, Timing, new_ids
from labelmesh_inference.registry.registry import Registry, Target

READ_IMAGES = "labeling.read"
# How long a stream goes on trying while others keep the model busy, in seconds.
_PATIENCE_S = 10.0


class Storage(IntEnum):
    """What is kept of a prediction; the numbers of the contract."""

    DEFAULT = 0
    NONE = 1
    RESULT = 2
    RESULT_AND_PICTURE = 3


@dataclass(frozen=True, slots=True)
class Choice:
    """Which model is asked: by version, by alias, or by its traffic. An empty sticky key means the caller's account."""

    model: str
    alias: str = ""
    version: int = 0
    sticky_key: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """How to answer."""

    limits: Limits = field(default_factory=Limits)
    storage: Storage = Storage.DEFAULT


@dataclass(frozen=True, slots=True)
class Group:
    """What became of several inputs, in their order."""

    origin: Origin
    outcomes: Sequence[Prediction | MeshError]
    # What the predictions among them say, None for the others.
    results: Sequence[Result | None] = ()


class Predicting:
    """Predictions. `encode` makes a result what is stored and sent. Threads share it."""

    def __init__(
        self,
        registry: Registry,
        asking: Asking,
        store: PredictionStore,
        shadows: Shadows,
        encode: Callable[[Result], bytes],
        measures: PredictionMeasures,
    ) -> None:
        self._registry = registry
        self._asking = asking
        self._store = store
        self._shadows = shadows
        self._encode = encode
        self._measures = measures

    def target(self, caller: Caller, choice: Choice) -> Target:
        """The version that answers. NotFound (MODEL_NOT_FOUND, ALIAS_NOT_FOUND, VERSION_NOT_FOUND)."""
        return self._registry.resolve(choice.model, choice.alias, choice.version, choice.sticky_key or str(caller.user_id))

    def one(
        self, caller: Caller, choice: Choice, source: Source, wish: Wish, request_id: UUID | None = None, fingerprint: str = ""
    ) -> Stored:
        """One input's answer, kept with its picture unless something else is asked for; a request_id that was used has its answer back."""
        started = time.perf_counter()
        storage = wish.storage or Storage.RESULT_AND_PICTURE
        if request_id is not None:
            known = self._store.find_request(Origin(choice.model, "", caller.user_id, datetime.now(UTC), request_id, fingerprint))
            if known is not None:
                return known
        target = self.target(caller, choice)
        group, before = self._answer(caller, target, [source], wish.limits, storage, started, request_id, fingerprint)
        if before is not None:
            return before
        outcome = group.outcomes[0]
        if isinstance(outcome, MeshError):
            raise outcome
        return group.origin, outcome

    def many(self, caller: Caller, target: Target, sources: Sequence[Source], wish: Wish, *, patient: bool = False) -> Group:
        """Several inputs' answers, each by itself. Raises what is wrong with all of them.

        With `patient` a model that is busy with others' calls is tried again for 10 s.
        """
        started = time.perf_counter()
        storage = wish.storage or Storage.RESULT
        while True:
            try:
                return self._answer(caller, target, sources, wish.limits, storage, started, None, "")[0]
            except ResourceExhausted as busy:
                wait = busy.retry_after or 0.1
                if not patient or busy.reason != "MODEL_BUSY" or time.perf_counter() - started + wait > _PATIENCE_S:
                    raise
                time.sleep(wait)

    def _answer(
        self,
        caller: Caller,
        target: Target,
        sources: Sequence[Source],
        limits: Limits,
        storage: Storage,
        started: float,
        request_id: UUID | None,
        fingerprint: str,
    ) -> tuple[Group, Stored | None]:
        if any(isinstance(source, ProjectImage) for source in sources):
            caller.require_scope(READ_IMAGES)
        try:
            items = self._asking.ask(target, sources, limits)
        except MeshError as failure:
            # What is refused because the model is busy is counted there, and may be tried again.
            if failure.reason != "MODEL_BUSY":
                self._measures.failed(len(sources))
            raise
        total_s = time.perf_counter() - started
        keep = storage is not Storage.NONE
        origin = Origin(target.model, target.alias, caller.user_id, datetime.now(UTC), request_id if keep else None, fingerprint)
        with_pictures = storage is Storage.RESULT_AND_PICTURE
        answered = [item for item in items if item.result is not None]
        ids = new_ids(len(answered)) if keep else [""] * len(answered)
        predictions = [self._prediction(item, each, total_s, with_picture=with_pictures) for item, each in zip(answered, ids, strict=True)]
        if keep and predictions:
            with self._measures.timed("store"):
                before = self._store.keep(origin, predictions, _pictures(answered) if with_pictures else {})
            if before is not None:
                return Group(origin, ()), before
        self._measure(predictions, len(items) - len(predictions), time.perf_counter() - started)
        self._shadows.offer(target, answered, ids)
        made = iter(predictions)
        outcomes = [next(made) if item.result is not None else _failure(item) for item in items]
        return Group(origin, outcomes, [item.result for item in items]), None

    def _measure(self, predictions: Sequence[Prediction], failed: int, total_s: float) -> None:
        for prediction in predictions:
            timing = prediction.timing
            self._measures.answered(timing.fetch_s, timing.preparation_s, timing.waiting_s, timing.model_s)
        self._measures.failed(failed)
        self._measures.total(total_s)

    def _prediction(self, item: Item, prediction_id: str, total_s: float, *, with_picture: bool) -> Prediction:
        answer, prepared, result, source = item.answer, item.prepared, item.result, item.source
        assert answer is not None and prepared is not None and result is not None
        address = ""
        if isinstance(source, WebAddress):
            address = source.address
        elif isinstance(source, ObjectAddress):
            # What follows is a permission that will have passed.
            address = source.address.partition("?")[0]
        return Prediction(
            prediction_id,
            self._encode(result),
            answer.version,
            Timing(item.fetch_s, item.preparation_s, answer.waiting_s, answer.model_s, total_s),
            answer.batch_size,
            item.sha256,
            prepared.media_type,
            size_of(item.content),
            prepared.width,
            prepared.height,
            with_picture and bool(prepared.media_type),
            source if isinstance(source, ProjectImage) else None,
            address,
        )


def _pictures(items: Sequence[Item]) -> dict[bytes, tuple[bytes, str]]:
    return {
        item.sha256: (item.content, item.prepared.media_type)
        for item in items
        if isinstance(item.content, bytes) and item.prepared is not None and item.prepared.media_type
    }


def _failure(item: Item) -> MeshError:
    return item.error or InternalError("INTERNAL", "internal error")
