"""Predictions over one stream, for inputs as they come: answers follow while more is sent."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

from labelmesh.inference.v1 import predictions_pb2

from labelmesh_client.errors import LabelmeshError, ServerError
from labelmesh_client.inputs import Input, tried, weight
from labelmesh_client.predictions import Answer, Predictions, Question, answer_of
from labelmesh_client.services import Services
from labelmesh_client.streams import resumed

_MESSAGE_INPUTS = 32
_MESSAGE_BYTES = 4 * 1024 * 1024
#: Inputs that were sent and are not answered; and those read ahead.
_MOST_UNANSWERED = 256
_MOST_UNANSWERED_BYTES = 64 * 1024 * 1024
_MOST_READY = 2 * _MESSAGE_INPUTS


def predict_stream(services: Services, question: Question, given: Iterable[Input], *, patience_s: float = 60.0) -> Iterator[Answer]:
    """An answer or an error for each input, in their order, over a stream.

    An input goes out as soon as `given` has it, together with what else is there. Up to 256 are under way, each in memory. A stream that
    breaks, or that the gateway ends within a minute, is taken up again with what was not answered. Raises what is wrong with all, and what
    `given` raises after what came before it is answered.
    """
    backlog = _Backlog(given)

    def ask() -> Iterator[predictions_pb2.PredictStreamResponse]:
        return iter(services.predictions.PredictStream(backlog.requests(question)))

    def revive() -> None:
        next(Predictions(services).list(question.model), None)

    try:
        for reply in resumed(services.connection, ask, revive, patience_s=patience_s):
            yield from backlog.settle(list(reply.items))
        yield from backlog.settle([])
        backlog.check_complete()
    finally:
        backlog.stop()


class _Backlog:
    """Inputs that wait, and those that were sent and are not answered.

    Three threads meet here: one reads the caller's iterator, one of grpc's sends, and the caller's own settles what came back.
    """

    def __init__(self, given: Iterable[Input]) -> None:
        self._given = given
        self._turn = threading.Condition()
        self._ready: deque[predictions_pb2.Input | LabelmeshError] = deque()
        #: In the order of the inputs; those that could not be read stand among them.
        self._sent: deque[predictions_pb2.Input | LabelmeshError] = deque()
        self._sent_count = 0
        self._sent_bytes = 0
        self._ended = False
        self._stopped = False
        self._generation = 0
        self._failure: BaseException | None = None
        self._reader: threading.Thread | None = None

    # --- reading ahead ---

    def _read(self) -> None:
        try:
            for one in map(tried, self._given):
                with self._turn:
                    self._turn.wait_for(lambda: self._stopped or len(self._ready) < _MOST_READY)
                    if self._stopped:
                        return
                    self._ready.append(one)
                    self._turn.notify_all()
        except BaseException as failure:
            self._failure = failure
        finally:
            with self._turn:
                self._ended = True
                self._turn.notify_all()

    # --- sending ---

    def requests(self, question: Question) -> Iterator[predictions_pb2.PredictStreamRequest]:
        """The requests of a new stream: first what is not answered, then what comes. The sender of an earlier stream ends."""
        with self._turn:
            if self._reader is None:
                self._reader = threading.Thread(target=self._read, name="labelmesh-inputs", daemon=True)
                self._reader.start()
            self._generation += 1
            again = deque(one for one in self._sent if not isinstance(one, LabelmeshError))
            self._turn.notify_all()
            return self._requests(question, self._generation, again)

    def _requests(
        self, question: Question, generation: int, again: deque[predictions_pb2.Input]
    ) -> Iterator[predictions_pb2.PredictStreamRequest]:
        yield predictions_pb2.PredictStreamRequest(model=question.choice(), settings=question.settings())
        while again:
            yield predictions_pb2.PredictStreamRequest(inputs=_part(again))
        while part := self._next(generation):
            yield predictions_pb2.PredictStreamRequest(inputs=part)

    def _next(self, generation: int) -> list[predictions_pb2.Input]:
        """What goes out next, at least one input; nothing at the end and for a sender that has been replaced."""

        def is_stale() -> bool:
            return self._stopped or generation != self._generation

        with self._turn:
            while True:
                self._turn.wait_for(lambda: is_stale() or (self._has_room() and (self._ready or self._ended)))
                if is_stale() or not self._ready:
                    return []
                taken: list[predictions_pb2.Input] = []
                for one in _part(self._ready):
                    self._sent.append(one)
                    if not isinstance(one, LabelmeshError):
                        taken.append(one)
                        self._sent_count += 1
                        self._sent_bytes += weight(one)
                self._turn.notify_all()
                if taken:
                    return taken

    def _has_room(self) -> bool:
        return self._sent_count < _MOST_UNANSWERED and self._sent_bytes < _MOST_UNANSWERED_BYTES

    # --- settling ---

    def settle(self, items: list[predictions_pb2.BatchItem]) -> list[Answer]:
        """The answers that these items are, and the inputs without one that stand before and after them."""
        answers: list[Answer] = []
        with self._turn:
            for item in items:
                answers += self._unreadable()
                if not self._sent:
                    raise ServerError("The server answered more than it was asked.")
                self._sent_bytes -= weight(self._sent.popleft())
                self._sent_count -= 1
                answers.append(answer_of(item))
            answers += self._unreadable()
            self._turn.notify_all()
        return answers

    def _unreadable(self) -> Iterator[LabelmeshError]:
        while self._sent and isinstance(self._sent[0], LabelmeshError):
            error = self._sent.popleft()
            assert isinstance(error, LabelmeshError)
            yield error

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


_Waiting = TypeVar("_Waiting", predictions_pb2.Input, predictions_pb2.Input | LabelmeshError)


def _part(waiting: deque[_Waiting]) -> list[_Waiting]:
    """Takes what one message holds from the front, at least one input."""
    part = [waiting.popleft()]
    size = weight(part[0])
    while waiting and len(part) < _MESSAGE_INPUTS and size + weight(waiting[0]) <= _MESSAGE_BYTES:
        part.append(waiting.popleft())
        size += weight(part[-1])
    return part
