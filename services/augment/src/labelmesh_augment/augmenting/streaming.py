"""Pictures as they come, answered in order: a bounded number in work, and nothing more is read while the answers are not."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitedTooLong
from contextvars import copy_context
from dataclasses import dataclass, field

from labelmesh_chassis.errors import InternalError, MeshError, ResourceExhausted, Unavailable
from labelmesh_chassis.streams import renew
from labelmesh_chassis.workers import Reply

from labelmesh_augment.augmenting.asking import Asking, Call, Inline, Wanted, waited
from labelmesh_augment.work.orders import Order, Packed, Work

# Of one stream, in work or waiting to be sent: jobs, and their weight (see `Asking.weight`).
MOST_JOBS = 24
MOST_WEIGHT = 48_000_000
# Of a job: so many pixels of several pictures or copies, or one copy.
_JOB_WEIGHT = 1_100_000
_JOB_UNITS = 16
# Items of one stream whose pictures are on their way.
MOST_AHEAD = 8
# Small results are sent together.
_MESSAGE_BYTES = 4 * 1024 * 1024
_STEP_S = 0.2
# What was read is answered in the last seconds of a stream.
_LAST_S = 2.0


@dataclass(frozen=True, slots=True)
class Item:
    """A picture with further ones, and the copies that are wanted of it."""

    wanted: tuple[Wanted, ...]
    copies: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """What is answered for a copy that failed before a worker had it."""

    index: int
    copy: int
    problem: MeshError


# The bytes of a StreamResult, or what failed.
Result = bytes | Failed


@dataclass(frozen=True, slots=True, eq=False)
class _Fetching:
    """An item whose pictures are on their way, or were sent along."""

    index: int
    item: Item
    coming: tuple[Future[Packed], ...]


@dataclass(slots=True, eq=False)
class _Job:
    """Small units that one worker does one after the other: handing a picture over costs as much as some pictures do."""

    future: Future[Reply] | None = None
    problem: MeshError | None = None
    units: int = 0
    results: int = 0


@dataclass(slots=True, eq=False)
class _Unit:
    """Some copies of one item: an order, what it weighs, and which results of which job are its own."""

    order: Order
    weight: int
    job: _Job
    first: int = 0

    def done(self) -> bool:
        return self.job.future is None or self.job.future.done()

    def results(self, ends: float) -> list[Result]:
        """Raises Unavailable (STREAM_RENEW) where they are not there before the end."""
        job, copies = self.job, self.order.copies
        if job.future is not None:
            try:
                return list(job.future.result(max(0.0, ends - time.monotonic())).parts[self.first : self.first + len(copies)])
            except MeshError as problem:
                job.problem = problem
            except (WaitedTooLong, CancelledError):
                raise renew() from None
        if job.problem is None or time.monotonic() >= ends:
            # What failed because the time is over is asked for again.
            raise renew()
        return [Failed(self.order.index, copy, job.problem) for copy in copies]

    def suspect(self) -> bool:
        """Whether it failed, perhaps because of another one in the same job."""
        return self.job.units > 1 and isinstance(self.job.problem, InternalError | Unavailable)


class _Room:
    """Places for jobs in work, by number and weight."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jobs = 0
        self._weight = 0

    def enter(self, weight: int, timeout_s: float) -> bool:
        """Waits for a place; one that is too large for the room is alone in it."""
        with self._changed:
            entered = self._changed.wait_for(lambda: not self._jobs or self._fits(weight), timeout_s)
            if entered:
                self._jobs += 1
                self._weight += weight
            return entered

    def leave(self, weights: Sequence[int]) -> None:
        with self._changed:
            self._jobs -= len(weights)
            self._weight -= sum(weights)
            self._changed.notify_all()

    def _fits(self, weight: int) -> bool:
        return self._jobs < MOST_JOBS and self._weight + weight <= MOST_WEIGHT


@dataclass(frozen=True, slots=True)
class Stream:
    """What holds for all items of a stream. No item is read after `reading_ends`, none answered after `ends` (monotonic)."""

    call: Call
    pipeline: Inline
    seed: int
    ends: float
    reading_ends: float = field(init=False)

    def __post_init__(self) -> None:
        left = self.ends - time.monotonic()
        object.__setattr__(self, "reading_ends", self.ends - min(_LAST_S, left / 4))


class Streams:
    """Runs streams, at most `most_streams` at once, each of which keeps a thread that serves calls."""

    def __init__(self, asking: Asking, *, most_streams: int) -> None:
        self._asking = asking
        self._most_streams = most_streams
        self._streams = 0
        self._lock = threading.Lock()

    def run(self, stream: Stream, messages: Iterator[Sequence[Item]]) -> Iterator[list[Result]]:
        """Results in order, several at once where they are small.

        Unavailable (STREAM_RENEW) at the stream's end where there is more; ResourceExhausted (TOO_MANY_STREAMS) when this process serves
        as many as it can.
        """
        with self._lock:
            if self._streams >= self._most_streams:
                raise ResourceExhausted("TOO_MANY_STREAMS", "too many streams at once; use Apply, or try again", retry_after=1)
            self._streams += 1
        run = _Run(self._asking, stream)
        try:
            yield from run.answers(messages)
        finally:
            run.stop()
            with self._lock:
                self._streams -= 1


class _Run:
    """One stream: a thread reads and hands to workers, the one that serves the call sends.

    From the first picture on that has to be fetched, another thread hands to workers, while the next ones are on their way.
    """

    def __init__(self, asking: Asking, stream: Stream) -> None:
        self._asking = asking
        self._stream = stream
        self._room = _Room()
        self._stopped = threading.Event()
        self._ahead = threading.Semaphore(MOST_AHEAD)
        # Small units on their way into one job.
        self._job = _Job()
        self._gathered: list[_Unit] = []
        self._gathered_weight = 0
        self._fetched: queue.SimpleQueue[_Fetching | Exception | None] | None = None
        self._fetchers = ThreadPoolExecutor(MOST_AHEAD, thread_name_prefix="fetch")
        # Ends with None, or with what broke the stream off.
        self._units: queue.SimpleQueue[_Unit | Exception | None] = queue.SimpleQueue()

    def stop(self) -> None:
        self._stopped.set()
        self._stream.call.ticket.cancel()
        self._fetchers.shutdown(wait=False, cancel_futures=True)

    def answers(self, messages: Iterator[Sequence[Item]]) -> Iterator[list[Result]]:
        _start(self._read, messages)
        held: _Unit | None = None
        while True:
            unit = held if held is not None else self._next()
            held = None
            if unit is None:
                return
            results, weights = self._results(unit), [unit.weight]
            size = _size(results)
            while size < _MESSAGE_BYTES and (following := self._ready()) is not None:
                if not following.done():
                    held = following
                    break
                more = self._results(following)
                results += more
                weights.append(following.weight)
                size += _size(more)
            yield results
            self._room.leave(weights)

    def _results(self, unit: _Unit) -> list[Result]:
        results = unit.results(self._stream.ends)
        if not unit.suspect():
            return results
        # Alone, so that a picture that is the death of workers does not keep others from theirs.
        alone = _Unit(unit.order, unit.weight, _Job(units=1))
        alone.job.future = self._asking.submit(self._stream.call, [unit.order], unit.weight, patient=True)
        return alone.results(self._stream.ends)

    def _next(self) -> _Unit | None:
        try:
            unit = self._units.get(timeout=max(0.0, self._stream.ends - time.monotonic()))
        except queue.Empty:
            raise renew() from None
        if isinstance(unit, Exception):
            raise unit
        return unit

    def _ready(self) -> _Unit | None:
        """The next unit, if it is there; what ends the stream is left for later."""
        try:
            unit = self._units.get_nowait()
        except queue.Empty:
            return None
        if isinstance(unit, _Unit):
            return unit
        self._units.put(unit)
        return None

    # --- in threads of their own ---

    def _read(self, messages: Iterator[Sequence[Item]]) -> None:
        ending: Exception | None = None
        try:
            index = 0
            for items in messages:
                for item in items:
                    self._take(index, item)
                    index += 1
                if self._fetched is None:
                    self._send()
        except Exception as failure:
            ending = failure
        (self._units if self._fetched is None else self._fetched).put(ending)

    def _take(self, index: int, item: Item) -> None:
        sent_along = all(isinstance(one.source, bytes) for one in item.wanted)
        if sent_along and self._fetched is None:
            self._hand_over(_Fetching(index, item, ()))
            return
        if self._fetched is None:
            self._send()
            self._fetched = queue.SimpleQueue()
            _start(self._hand_over_fetched, self._fetched)
        while not self._ahead.acquire(timeout=_STEP_S):
            self._go_on()
        self._go_on()
        self._fetched.put(
            _Fetching(index, item, () if sent_along else self._asking.fetching(self._stream.call, item.wanted, self._fetchers))
        )

    def _hand_over_fetched(self, fetched: queue.SimpleQueue[_Fetching | Exception | None]) -> None:
        while isinstance(one := fetched.get(), _Fetching):
            try:
                self._hand_over(one)
                self._send()
            except Exception as failure:
                self._units.put(failure)
                self._stopped.set()
                return
            self._ahead.release()
        self._units.put(one)

    def _hand_over(self, one: _Fetching) -> None:
        """Gives an item to workers; raises what ends the stream."""
        copies, stream = one.item.copies, self._stream
        try:
            pictures = self._pictures(one)
            weight = self._asking.weight(pictures)
        except MeshError as problem:
            self._send()
            self._enter(0)
            order = Order(Work.STREAM, b"", (), copies=copies, index=one.index)
            self._units.put(_Unit(order, 0, _Job(problem=problem)))
            return
        at_once = max(1, _JOB_WEIGHT // max(1, weight))
        for start in range(0, len(copies), at_once):
            chunk = copies[start : start + at_once]
            order = Order(Work.STREAM, stream.pipeline.serialized, pictures, stream.seed, chunk, one.index)
            if self._gathered and (self._gathered_weight + weight * len(chunk) > _JOB_WEIGHT or len(self._gathered) >= _JOB_UNITS):
                self._send()
            self._gathered.append(_Unit(order, weight * len(chunk), self._job, self._job.results))
            self._gathered_weight += weight * len(chunk)
            self._job.units += 1
            self._job.results += len(chunk)

    def _send(self) -> None:
        """Gives what was gathered to a worker."""
        units, job, weight = self._gathered, self._job, self._gathered_weight
        if not units:
            return
        self._gathered, self._job, self._gathered_weight = [], _Job(), 0
        for unit in units:
            self._enter(unit.weight)
        try:
            job.future = self._asking.submit(self._stream.call, [unit.order for unit in units], weight, patient=True)
        except MeshError as problem:
            job.problem = problem
        for unit in units:
            self._units.put(unit)

    def _pictures(self, one: _Fetching) -> tuple[Packed, ...]:
        if one.coming:
            return tuple([waited(file, self._stream.ends) for file in one.coming])
        return tuple([Packed(wanted.source, wanted.labels) for wanted in one.item.wanted if isinstance(wanted.source, bytes)])

    def _enter(self, weight: int) -> None:
        self._go_on()
        while not self._room.enter(weight, _STEP_S):
            self._go_on()

    def _go_on(self) -> None:
        """Unavailable (STREAM_RENEW) when nothing more is to be begun: what was read and not answered is sent again by the client."""
        if self._stopped.is_set() or time.monotonic() >= self._stream.reading_ends:
            raise renew()


def _start(run: Callable[..., None], *arguments: object) -> None:
    """In the context of the call, so that other services are called in its name."""
    threading.Thread(target=copy_context().run, args=(run, *arguments), name="stream", daemon=True).start()


def _size(results: Sequence[Result]) -> int:
    return sum(len(result) for result in results if isinstance(result, bytes))
