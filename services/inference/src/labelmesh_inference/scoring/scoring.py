"""What a project's images get from a model: suggestions, and their place in the queue."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID

from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import FailedPrecondition, InvalidArgument
from labelmesh_chassis.pages import position, token_of
from labelmesh_chassis.streams import renew
from sqlalchemy import text

from labelmesh_inference.access import Caller
from labelmesh_inference.labeling.images import AwaitingImage, ImagePage, Suggestion
from labelmesh_inference.manifest import ClassesOutput
from labelmesh_inference.predictions.asking import Limits
from labelmesh_inference.predictions.inputs import ProjectImage
from labelmesh_inference.predictions.predicting import Choice, Predicting, Wish
from labelmesh_inference.predictions.results import Classification
from labelmesh_inference.registry.registry import Target

_PAGE = 64
# Pages whose files have more bytes than this together are asked for again, with fewer images.
_MOST_PAGE_BYTES = 48 * 1024 * 1024
_SMALL_PAGE = 4
_LOOKERS = 8
_SPACE = UUID("a4b3d1f0-6c7e-4f5b-9f61-2f0f8a1c9be7")
_LOCK = text("SELECT pg_advisory_xact_lock(:key)")


class Queue(Protocol):
    """Labeling, in the name of whoever is calling."""

    def classes(self, project_id: UUID) -> dict[str, str]: ...

    def awaiting(self, project_id: UUID, size: int, token: str) -> ImagePage: ...

    def awaiting_count(self, project_id: UUID) -> int: ...

    def suggested(self, project_id: UUID, image_id: UUID, model: str, version: int) -> bool: ...

    def suggest(self, project_id: UUID, request_id: UUID, model: str, version: int, suggestions: Sequence[Suggestion]) -> None: ...

    def prioritize(self, project_id: UUID, priorities: Mapping[UUID, float]) -> None: ...


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be written of which project's images."""

    project_id: UUID
    choice: Choice
    suggest: bool
    order: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is, counted from the first call on."""

    scored: int = 0
    failed: int = 0
    unknown_class: int = 0
    doubt_sum: float = 0.0
    awaiting: int = 0
    cursor: str = ""
    done: bool = False
    model: str = ""
    version: int = 0

    @property
    def mean_doubt(self) -> float:
        """Of the images scored, 0 to 1."""
        return self.doubt_sum / self.scored if self.scored else 0.0


class Scoring:
    """Scores projects. Threads share it."""

    def __init__(self, database: Database, queue: Queue, predicting: Predicting, *, page: int = _PAGE) -> None:
        self._database = database
        self._queue = queue
        self._predicting = predicting
        self._page = page
        self._lookers = ThreadPoolExecutor(_LOOKERS, thread_name_prefix="look")

    def close(self) -> None:
        """Ends its threads."""
        self._lookers.shutdown(wait=False, cancel_futures=True)

    def run(self, caller: Caller, order: Order, cursor: str, ends: float) -> Iterator[Progress]:
        """Asks about the images after the cursor, and says how far it is after some of them.

        Raises Unavailable (STREAM_RENEW) where the next ones might not be done before `ends` (monotonic seconds). PermissionDenied,
        FailedPrecondition (NOT_A_CLASSIFIER, NO_CLASS_IN_COMMON).
        """
        _admit(caller, order)
        token, progress = _resumed(cursor, order.project_id)
        target = self._predicting.target(caller, order.choice)
        if not isinstance(target.manifest.output, ClassesOutput):
            raise FailedPrecondition("NOT_A_CLASSIFIER", f"{target.model} does not tell classes apart")
        classes = self._queue.classes(order.project_id)
        if order.suggest and target.manifest.labels and not any(label in classes for label in target.manifest.labels):
            problem = f"none of the classes of {target.model} is a class of the project: {', '.join(target.manifest.labels[:5])}"
            raise FailedPrecondition("NO_CLASS_IN_COMMON", problem)
        if progress.done:
            yield replace(progress, awaiting=self._queue.awaiting_count(order.project_id), model=target.model)
        longest = 0.0
        while not progress.done:
            started = time.monotonic()
            if started + longest > ends:
                raise renew()
            page = self._next(order.project_id, token)
            progress = self._score(caller, order, target, page.images, classes, progress)
            token = page.next_token
            awaiting = self._queue.awaiting_count(order.project_id)
            progress = replace(progress, awaiting=awaiting, done=not token, cursor=_cursor(order.project_id, token, progress))
            longest = max(longest, 1.5 * (time.monotonic() - started))
            yield progress

    def _next(self, project_id: UUID, token: str) -> ImagePage:
        page = self._queue.awaiting(project_id, self._page, token)
        if sum(image.size_bytes for image in page.images) > _MOST_PAGE_BYTES and len(page.images) > _SMALL_PAGE:
            return self._queue.awaiting(project_id, _SMALL_PAGE, token)
        return page

    def _score(
        self,
        caller: Caller,
        order: Order,
        target: Target,
        images: Sequence[AwaitingImage],
        classes: Mapping[str, str],
        progress: Progress,
    ) -> Progress:
        if not images:
            return replace(progress, model=target.model, version=progress.version or target.version)
        sources = [ProjectImage(order.project_id, image.image_id, image.address) for image in images]
        group = self._predicting.many(caller, target, sources, Wish(Limits(top_k=1, threshold=0.0)), patient=True)
        found = [
            (image.image_id, result)
            for image, result in zip(images, group.results, strict=True)
            if isinstance(result, Classification) and result.classes
        ]
        suggestions = [
            Suggestion(image_id, classes[best.classes[0].label], best.classes[0].score)
            for image_id, best in found
            if best.classes[0].label in classes
        ]
        if order.suggest:
            self._suggest(order.project_id, target, suggestions)
        if order.order and found:
            self._queue.prioritize(order.project_id, {image_id: result.doubt for image_id, result in found})
        return replace(
            progress,
            scored=progress.scored + len(found),
            failed=progress.failed + len(images) - len(found),
            unknown_class=progress.unknown_class + len(found) - len(suggestions),
            doubt_sum=progress.doubt_sum + sum(result.doubt for _, result in found),
            model=target.model,
            version=target.version,
        )

    def _suggest(self, project_id: UUID, target: Target, suggestions: Sequence[Suggestion]) -> None:
        """Writes those that do not stand yet. Who scores the same project by the same version waits, so that none stands twice."""
        if not suggestions:
            return
        name = f"{project_id} {target.model} {target.version}"
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        with self._database.connection() as connection:
            connection.execute(_LOCK, {"key": key})
            missing = self._missing(project_id, target, suggestions)
            if missing:
                # The same for the same images: an attempt whose answer was lost is not carried out twice.
                request_id = uuid.uuid5(_SPACE, name + "".join(str(found.image_id) for found in missing))
                self._queue.suggest(project_id, request_id, target.model, target.version, missing)

    def _missing(self, project_id: UUID, target: Target, suggestions: Sequence[Suggestion]) -> list[Suggestion]:
        def stands(found: Suggestion) -> bool:
            return self._queue.suggested(project_id, found.image_id, target.model, target.version)

        asked = [self._lookers.submit(copy_context().run, stands, found) for found in suggestions]
        return [found for found, known in zip(suggestions, asked, strict=True) if not known.result()]


def _admit(caller: Caller, order: Order) -> None:
    if not caller.is_machine:
        caller.require_manager()
    caller.require_scope("labeling.read")
    if order.suggest:
        caller.require_scope("labeling.annotate")
    if order.order:
        caller.require_scope("labeling.prioritize")


def _scope(project_id: UUID) -> str:
    return f"score {project_id}"


def _cursor(project_id: UUID, token: str, progress: Progress) -> str:
    keys: list[str | int] = [token, progress.scored, progress.failed, progress.unknown_class, round(progress.doubt_sum * 1e6)]
    return token_of(_scope(project_id), [*keys, int(not token), progress.version])


def _resumed(cursor: str, project_id: UUID) -> tuple[str, Progress]:
    """Where a cursor stands: the token of the images after it, and the counts so far."""
    keys = position(cursor, _scope(project_id), length=7, field="cursor")
    if keys is None:
        return "", Progress()
    token, *numbers = keys
    if not isinstance(token, str) or not all(isinstance(number, int) for number in numbers):
        raise InvalidArgument("PAGE_TOKEN_INVALID", "the cursor is not one of this list", field="cursor")
    scored, failed, unknown, doubt, done, version = (int(number) for number in numbers)
    return token, Progress(scored, failed, unknown, doubt / 1e6, cursor=cursor, done=bool(done), version=version)
