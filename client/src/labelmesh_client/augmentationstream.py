"""Augmenting over one stream, for pictures as they come: results follow while more is sent."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from labelmesh.augment.v1 import augmentations_pb2 as wire
from labelmesh.augment.v1 import pipelines_pb2

from labelmesh_client.augmentations import (
    MOST_COPIES,
    MOST_FURTHER,
    Answer,
    Augmented,
    Picture,
    Sample,
    StreamSample,
    first_message,
    sample_message,
)
from labelmesh_client.errors import LabelmeshError, ResourceExhausted, ServerError, SourceError, Unavailable, error_of_status
from labelmesh_client.pipelines import Pipeline, PipelineReference
from labelmesh_client.services import Services
from labelmesh_client.streams import resumed

_MESSAGE_ITEMS = 32
_MESSAGE_BYTES = 1024 * 1024
#: The largest item: what one message may have, less what framing needs.
_MOST_ITEM_BYTES = 24 * 1024 * 1024 - 64 * 1024
#: Of items that were sent and are not answered, and of those read ahead.
_MOST_UNANSWERED_BYTES = 48 * 1024 * 1024
_MOST_READY_BYTES = 16 * 1024 * 1024
_OF_THE_PICTURE = "WORKER_LOST"


def augment_stream(
    services: Services,
    samples: Iterable[StreamSample | Sample | Picture],
    how: Pipeline | PipelineReference,
    *,
    seed: int = 0,
    in_flight: int = 32,
    patience_s: float = 60.0,
) -> Iterator[Answer]:
    """A result or an error for each copy of each sample, in their order, over a stream.

    At most `in_flight` pictures (1 to 1,000) and some 64 MiB of them are under way: where the results are not read, no more is read of
    `samples` either. A stream that breaks, that the gateway ends within a minute, or whose server has no free place goes on with what was
    not answered; while nothing comes that is tried for `patience_s` seconds. A sample that is no good has an error in its place and keeps
    no other from its result. Raises what is wrong with all of them (PIPELINE_INVALID, no permission), and what `samples` raises after what
    came before it is answered.
    """
    if not 1 <= in_flight <= 1000:
        raise ValueError("in_flight must be 1 to 1,000")
    backlog = _Backlog(samples, in_flight)

    def ask() -> Iterator[list[Answer]]:
        call: Any = services.augmentations.ApplyStream(backlog.requests(how, seed))  # a generator: the interceptor reads the stream
        with closing(call) as replies:
            for reply in replies:
                answers, busy = backlog.settle(list(reply.results))
                if answers:  # what is no answer does not count as progress
                    yield answers
                if busy is not None:
                    raise busy
        yield backlog.settle([])[0]

    def revive() -> None:
        services.pipelines.ListTransforms(pipelines_pb2.ListTransformsRequest())

    try:
        for answers in resumed(services.connection, ask, revive, patience_s=patience_s):
            yield from answers
        backlog.check_complete()
    finally:
        backlog.stop()


@dataclass
class _Waiting:
    """An item and those of its copies that are not answered yet; or what kept it from being sent."""

    item: wire.StreamItem
    copies: deque[int]
    size: int
    error: LabelmeshError | None = None

    def message(self) -> wire.StreamItem:
        """What is still to be made of it."""
        if len(self.copies) == len(self.item.copies):
            return self.item
        return wire.StreamItem(sample=self.item.sample, copies=self.copies, further=self.item.further)


class _Backlog:
    """Items that wait, and those that were sent and are not answered.

    Three threads meet here: one reads the caller's iterator, one of grpc's sends, and the caller's own settles what came back.
    """

    def __init__(self, samples: Iterable[StreamSample | Sample | Picture], in_flight: int) -> None:
        self._samples = samples
        self._most = in_flight
        self._turn = threading.Condition()
        self._ready: deque[_Waiting] = deque()
        self._ready_bytes = 0
        #: In the order of the samples; those that could not be read stand among them.
        self._sent: deque[_Waiting] = deque()
        self._sent_bytes = 0
        self._ended = False
        self._stopped = False
        self._generation = 0
        self._failure: BaseException | None = None
        self._reader: threading.Thread | None = None

    # --- reading ahead ---

    def _read(self) -> None:
        try:
            for one in map(_prepared, self._samples):
                with self._turn:
                    self._ready.append(one)
                    self._ready_bytes += one.size
                    self._turn.notify_all()
                    self._turn.wait_for(lambda: self._stopped or (len(self._ready) < self._most and self._ready_bytes < _MOST_READY_BYTES))
                    if self._stopped:
                        return
        except BaseException as failure:
            self._failure = failure
        finally:
            with self._turn:
                self._ended = True
                self._turn.notify_all()

    # --- sending ---

    def requests(self, how: Pipeline | PipelineReference, seed: int) -> Iterator[wire.ApplyStreamRequest]:
        """The requests of a new stream: first what is not answered, then what comes. The sender of an earlier stream ends."""
        with self._turn:
            if self._reader is None:
                self._reader = threading.Thread(target=self._read, name="labelmesh-samples", daemon=True)
                self._reader.start()
            self._generation += 1
            again = deque((one.message(), one.size) for one in self._sent if one.error is None)
            self._turn.notify_all()
            return self._requests(first_message(how, seed), self._generation, again)

    def _requests(
        self, first: wire.ApplyStreamRequest, generation: int, again: deque[tuple[wire.StreamItem, int]]
    ) -> Iterator[wire.ApplyStreamRequest]:
        yield first
        while again and generation == self._generation:
            items = [again.popleft()]
            size = items[0][1]
            while again and len(items) < _MESSAGE_ITEMS and size + again[0][1] <= _MESSAGE_BYTES:
                items.append(again.popleft())
                size += items[-1][1]
            yield wire.ApplyStreamRequest(items=[item for item, _ in items])
        while items_now := self._next(generation):
            yield wire.ApplyStreamRequest(items=items_now)

    def _next(self, generation: int) -> list[wire.StreamItem]:
        """What goes out next, at least one item; nothing at the end and for a sender that has been replaced."""

        def is_stale() -> bool:
            return self._stopped or generation != self._generation

        with self._turn:
            while True:
                self._turn.wait_for(lambda: is_stale() or (self._has_room() and (self._ready or self._ended)))
                if is_stale() or not self._ready:
                    return []
                taken: list[wire.StreamItem] = []
                size = 0
                while self._ready and self._has_room() and len(taken) < _MESSAGE_ITEMS:
                    if taken and size + self._ready[0].size > _MESSAGE_BYTES:
                        break
                    one = self._ready.popleft()
                    self._sent.append(one)
                    self._ready_bytes -= one.size
                    self._sent_bytes += one.size
                    size += one.size
                    if one.error is None:
                        taken.append(one.item)
                self._turn.notify_all()
                if taken:
                    return taken

    def _has_room(self) -> bool:
        return not self._sent or (len(self._sent) < self._most and self._sent_bytes < _MOST_UNANSWERED_BYTES)

    # --- settling ---

    def settle(self, results: list[wire.StreamResult]) -> tuple[list[Answer], LabelmeshError | None]:
        """The answers that these results are, with those of samples that could not be read before and after them.

        A result whose error is about the service and not about the picture (no free place, stopping) ends them, and the error is returned:
        it and what comes after it is to be asked for again.
        """
        answers: list[Answer] = []
        with self._turn:
            for result in results:
                answers += self._unreadable()
                if not self._sent or self._sent[0].copies[0] != result.copy:
                    raise ServerError("The server answered something else than it was asked.")
                answer = _answer(result)
                if isinstance(answer, LabelmeshError) and _is_passing(answer):
                    return answers, answer
                self._sent[0].copies.popleft()
                if not self._sent[0].copies:
                    self._sent_bytes -= self._sent.popleft().size
                answers.append(answer)
            answers += self._unreadable()
            self._turn.notify_all()
        return answers, None

    def _unreadable(self) -> Iterator[LabelmeshError]:
        while self._sent and (error := self._sent[0].error) is not None:
            one = self._sent.popleft()
            self._sent_bytes -= one.size
            yield from [error] * len(one.copies)

    def check_complete(self) -> None:
        """Raises what the caller's iterator raised, or ServerError where answers are missing."""
        if self._failure is not None:
            raise self._failure
        if self._sent or self._ready or not self._ended:
            raise ServerError("The server ended the stream before it had answered everything.")

    def stop(self) -> None:
        with self._turn:
            self._stopped = True
            self._turn.notify_all()


def _is_passing(error: LabelmeshError) -> bool:
    """Whether a later try may go well whatever the picture: two workers that died over it may have died of it."""
    return isinstance(error, ResourceExhausted | Unavailable) and error.retry_after is not None and error.reason != _OF_THE_PICTURE


def _answer(result: wire.StreamResult) -> Answer:
    return error_of_status(result.error) if result.HasField("error") else Augmented.from_wire(result.augmented)


def _prepared(given: StreamSample | Sample | Picture) -> _Waiting:
    """The item for the wire, or why there is none; nothing that would end the whole stream is let through."""
    if not isinstance(given, StreamSample):
        given = StreamSample(given if isinstance(given, Sample) else Sample(given))
    copies = given.copies or (0,)
    try:
        if given.broken is not None:
            raise given.broken
        if len(copies) > MOST_COPIES or len(given.further) > MOST_FURTHER:
            raise SourceError(f"A sample has at most {MOST_COPIES} copies and {MOST_FURTHER} further pictures.", reason="TOO_LARGE")
        item = wire.StreamItem(sample=sample_message(given.sample), copies=copies, further=[sample_message(one) for one in given.further])
        size = item.ByteSize()
        if size > _MOST_ITEM_BYTES:
            raise SourceError(
                f"The picture, its labels and its further pictures have {size:,} bytes together; a message takes {_MOST_ITEM_BYTES:,}.",
                reason="TOO_LARGE",
            )
        return _Waiting(item, deque(copies), size)
    except LabelmeshError as error:
        return _Waiting(wire.StreamItem(), deque(copies), 0, error)
