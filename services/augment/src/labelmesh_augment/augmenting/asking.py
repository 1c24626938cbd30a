"""What workers are asked for a call: pictures are fetched and weighed, the pipeline is checked, and the work is spread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitedTooLong
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar
from uuid import UUID

from labelmesh_chassis.errors import DeadlineExceeded, Unavailable
from labelmesh_chassis.workers import Reply, Ticket, WorkerPool

from labelmesh_augment.access import READ_IMAGES, Caller
from labelmesh_augment.augmenting.sources import ProjectImage, Source, Sources
from labelmesh_augment.pipelines.pipeline import Finding, Pipeline, Recipe
from labelmesh_augment.pipelines.samples import placed
from labelmesh_augment.pipelines.saved import SavedPipeline
from labelmesh_augment.pipelines.validation import check, check_recipe, normalised
from labelmesh_augment.work.orders import Order, Packed, Work, packed

_MOST_COPIES_A_JOB = 6

Outcome = TypeVar("Outcome")
# How many pixels a file has, from its header; raises what there is to say against it.
Weigh = Callable[[bytes], int]


@dataclass(frozen=True, slots=True)
class Inline:
    """A pipeline that came with the call, and the bytes of its message."""

    pipeline: Pipeline
    serialized: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A recipe that came with the call, and the bytes of its message."""

    recipe: Recipe
    serialized: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reference:
    """A version of a pipeline that a project keeps; the newest for 0."""

    project_id: UUID
    name: str
    version: int = 0


How = Inline | Drawn | Reference


@dataclass(frozen=True, slots=True)
class Wanted:
    """A picture, and the bytes of the contract's Labels."""

    source: Source
    labels: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time went, in seconds, of all pictures of a call together."""

    fetch_s: float = 0.0
    waiting_s: float = 0.0
    work_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Answered:
    """The bytes of what workers answered."""

    results: tuple[bytes, ...]
    timing: Timing
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which results: `count` copies from `first` on, small ones of `max_side`."""

    seed: int
    first: int = 0
    count: int = 1
    max_side: int = 0


class Call:
    """A call and what it has in work. `ticket` is cancelled when its caller is gone."""

    def __init__(self, caller: Caller, ticket: Ticket) -> None:
        self.caller = caller
        self.ticket = ticket


class Saved:
    """Pipelines that projects keep, as this package needs them."""

    def __init__(self, get: Callable[[UUID, str, int], SavedPipeline], read: Callable[[bytes], Pipeline]) -> None:
        self._get = get
        self._read = read

    def find(self, reference: Reference) -> Inline:
        """A version, as if it had come with the call."""
        definition = self._get(reference.project_id, reference.name, reference.version).definition
        return Inline(self._read(definition), definition)


class Asking:
    """Has workers do what callers ask for."""

    def __init__(self, pool: WorkerPool, sources: Sources, saved: Saved, weigh: Weigh) -> None:
        self._pool = pool
        self._sources = sources
        self._saved = saved
        self._weigh = weigh

    def call(self, caller: Caller, seconds: float) -> Call:
        """A call of so many seconds."""
        return Call(caller, self._pool.ticket(caller.account, time.monotonic() + seconds))

    def pipeline(self, how: Inline | Reference) -> Inline:
        """The pipeline that is meant, after a check: InvalidArgument (PIPELINE_INVALID), NotFound (PIPELINE_NOT_FOUND)."""
        inline, place = (how, "pipeline") if isinstance(how, Inline) else (self._saved.find(how), "saved")
        normalised(inline.pipeline, field=place)
        return inline

    def warnings(self, pipeline: Pipeline, further: int) -> tuple[Finding, ...]:
        """What a pipeline may not have meant, with so many further pictures."""
        return tuple(found for found in check(pipeline, further=further).findings if found.warning)

    def apply(self, call: Call, how: How, wanted: Sequence[Wanted], choice: Choice) -> Answered:
        """One result: of a pipeline for a seed and a copy, or of a recipe."""
        if isinstance(how, Drawn):
            check_recipe(how.recipe)
            work, serialized = Work.REPEAT, how.serialized
        else:
            work, serialized = Work.APPLY, self.pipeline(how).serialized
        pictures, fetch_s = self._fetched(call, wanted)
        order = Order(work, serialized, pictures, choice.seed, (choice.first,))
        return self._answered([self.submit(call, [order], self.weight(pictures))], call, fetch_s, pictures)

    def previews(self, call: Call, how: Inline | None, wanted: Sequence[Wanted], choice: Choice) -> Answered:
        """The picture itself and `count` results of a checked pipeline as small pictures; all workers have a part in it."""
        pictures, fetch_s = self._fetched(call, wanted)
        weight = self.weight(pictures)
        copies = range(choice.first, choice.first + choice.count) if how is not None else range(0)
        share = max(1, min(_MOST_COPIES_A_JOB, -(-len(copies) // self._pool.size)))
        chunks = [tuple(copies[start : start + share]) for start in range(0, len(copies), share)] or [()]
        serialized = how.serialized if how is not None else b""
        orders = [
            Order(Work.PREVIEW, serialized, pictures, choice.seed, chunk, max_side=choice.max_side, original=number == 0)
            for number, chunk in enumerate(chunks)
        ]
        try:
            return self._answered([self.submit(call, [order], weight) for order in orders], call, fetch_s, pictures)
        except BaseException:
            call.ticket.cancel()
            raise

    # --- for streams, too ---

    def fetching(self, call: Call, wanted: Sequence[Wanted], threads: Executor, *, patient: bool = True) -> tuple[Future[Packed], ...]:
        """The files of pictures, on their way in the caller's own threads, so that one whose addresses hang holds up nobody else.

        PermissionDenied (SCOPE_MISSING) comes out of them for a key that may not read images of labeling and asks for one.
        """
        return tuple(
            threads.submit(copy_context().run, partial(self._content, call, one, _place(index), patient=patient))
            for index, one in enumerate(wanted)
        )

    def weight(self, pictures: Sequence[Packed]) -> int:
        """What pictures weigh: their pixels and the bytes that are kept while they wait. Raises what there is to say against a file."""
        total = 0
        for index, picture in enumerate(pictures):
            with placed(_place(index)):
                total += self._weigh(picture.content) + len(picture.content) + len(picture.labels)
        return total

    def submit(self, call: Call, orders: Sequence[Order], weight: int, *, patient: bool = False) -> Future[Reply]:
        """Has a worker do these, which are all `how` the first is."""
        return self._pool.submit(call.ticket, packed(orders), weight, patient=patient)

    def _fetched(self, call: Call, wanted: Sequence[Wanted]) -> tuple[tuple[Packed, ...], float]:
        started = time.perf_counter()
        if len(wanted) == 1 or all(isinstance(one.source, bytes) for one in wanted):
            pictures = [self._content(call, one, _place(index), patient=False) for index, one in enumerate(wanted)]
        else:
            threads = ThreadPoolExecutor(len(wanted), thread_name_prefix="fetch")
            try:
                pictures = [waited(file, call.ticket.deadline) for file in self.fetching(call, wanted, threads, patient=False)]
            finally:
                threads.shutdown(wait=False, cancel_futures=True)
        return tuple(pictures), time.perf_counter() - started

    def _content(self, call: Call, wanted: Wanted, place: str, *, patient: bool) -> Packed:
        if isinstance(wanted.source, ProjectImage):
            call.caller.require_scope(READ_IMAGES)
        return Packed(self._sources.content(wanted.source, call.caller.account, field=place, patient=patient), wanted.labels)

    def _answered(self, jobs: Sequence[Future[Reply]], call: Call, fetch_s: float, pictures: Sequence[Packed]) -> Answered:
        replies = [waited(job, call.ticket.deadline) for job in jobs]
        results = tuple(part for reply in replies for part in reply.parts)
        timing = Timing(fetch_s, sum(reply.waiting_s for reply in replies), sum(reply.work_s for reply in replies))
        return Answered(results, timing, pictures[0].content)


def waited(job: Future[Outcome], deadline: float) -> Outcome:
    """What came of something; DeadlineExceeded where it took too long for the call."""
    try:
        return job.result(max(0.0, deadline - time.monotonic()))
    except WaitedTooLong:
        raise DeadlineExceeded("DEADLINE_EXCEEDED", "the call took longer than it may") from None
    except CancelledError:
        raise Unavailable("WORKERS_STOPPED", "the call or the service has ended; try again", retry_after=1) from None


def _place(index: int) -> str:
    return "sample" if index == 0 else f"further[{index - 1}]"
