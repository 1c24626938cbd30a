"""What a worker process does: reads pictures, augments them, and writes the answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache

import cv2
from labelmesh_chassis.errors import DeadlineExceeded, MeshError
from labelmesh_chassis.worker import Handler, Task

from labelmesh_augment.pipelines.augmenting import Loaded, Sample, augment, load, original_preview, preview, repeat
from labelmesh_augment.pipelines.pipeline import Pipeline
from labelmesh_augment.pipelines.validation import normalised
from labelmesh_augment.pipelines.wire import pipeline_from, recipe_from
from labelmesh_augment.work.orders import Order, Packed, Work, unpacked
from labelmesh_augment.work.wire import augmented_message, labels_from, no_memory, preview_message, stream_result


def make() -> Handler:
    """One process, one core: the pool has as many of them as are wanted."""
    cv2.setNumThreads(1)
    return handle


def handle(task: Task) -> Sequence[bytes]:
    """Does orders, one after the other; raises what there is to say against one of them."""
    clock = _Clock(task.seconds_left)
    try:
        return [answer for order in unpacked(task.parts) for answer in _WORKS[order.work](order, clock)]
    except MemoryError:
        raise no_memory() from None
    except cv2.error as failure:
        if failure.code == cv2.Error.STS_NO_MEM:
            raise no_memory() from None
        raise


class _Clock:
    """Notices when nobody waits any more, from one copy to the next."""

    def __init__(self, seconds_left: float) -> None:
        self._ends = time.monotonic() + seconds_left

    def check(self) -> None:
        if time.monotonic() > self._ends:
            raise DeadlineExceeded("DEADLINE_EXCEEDED", "the call took longer than it may")


def _apply(order: Order, clock: _Clock) -> list[bytes]:
    loaded, further = _loaded(order)
    result = augment(loaded, _pipeline(order.how), seed=order.seed, copy=order.copies[0], further=further)
    return [augmented_message(result, loaded, order.seed, order.copies[0]).SerializeToString()]


def _repeat(order: Order, clock: _Clock) -> list[bytes]:
    loaded, further = _loaded(order)
    result = repeat(loaded, recipe_from(order.how), further=further)
    return [augmented_message(result, loaded, order.seed, order.copies[0]).SerializeToString()]


def _stream(order: Order, clock: _Clock) -> list[bytes]:
    try:
        loaded, further = _loaded(order)
    except MeshError as problem:
        return [stream_result(order.index, copy, problem).SerializeToString() for copy in order.copies]
    answers: list[bytes] = []
    for copy in order.copies:
        clock.check()
        try:
            result = augment(loaded, _pipeline(order.how), seed=order.seed, copy=copy, further=further)
            answer = stream_result(order.index, copy, augmented_message(result, loaded, order.seed, copy))
        except MeshError as problem:
            answer = stream_result(order.index, copy, problem)
        except MemoryError:
            answer = stream_result(order.index, copy, no_memory())
        answers.append(answer.SerializeToString())
    return answers


def _preview(order: Order, clock: _Clock) -> list[bytes]:
    loaded, further = _loaded(order)
    answers: list[bytes] = []
    if order.original:
        answers.append(preview_message(original_preview(loaded, order.max_side), 0).SerializeToString())
    for copy in order.copies:
        clock.check()
        small = preview(loaded, _pipeline(order.how), seed=order.seed, copy=copy, max_side=order.max_side, further=further)
        answers.append(preview_message(small, copy).SerializeToString())
    return answers


_WORKS = {Work.APPLY: _apply, Work.REPEAT: _repeat, Work.STREAM: _stream, Work.PREVIEW: _preview}


def _loaded(order: Order) -> tuple[Loaded, list[Loaded]]:
    first, *others = order.pictures
    return _read(first, "sample"), [_read(other, f"further[{index}]") for index, other in enumerate(others)]


def _read(picture: Packed, field: str) -> Loaded:
    return load(Sample(picture.content, labels_from(picture.labels, field=field)), field=field)


@lru_cache(maxsize=32)
def _pipeline(serialized: bytes) -> Pipeline:
    """Those of a stream, or of the copies of a preview, are the same again and again."""
    return normalised(pipeline_from(serialized))
