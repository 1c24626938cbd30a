"""Who waits for which model, and which rows go together."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labelmesh_chassis.errors import InternalError, MeshError, ResourceExhausted
from labelmesh_chassis.measures import CALL_SECONDS
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from labelmesh_inference.serving.packing import Form, Row
from labelmesh_inference.serving.values import Array

_NEARLY_S = 0.05
# Of one model; what is idle goes when there are more: inputs may come in any shape.
_LANES_KEPT = 64


@dataclass(frozen=True)
class CallKey:
    """Whom to ask. Without a version the newest that is served answers."""

    model: str
    version: int | None
    signature: str = "serving_default"


@dataclass(frozen=True)
class BatchPolicy:
    """How calls to a model are packed, as its manifest says."""

    # Rows in one call, at least 1; 1 turns sharing off.
    max_batch_size: int = 32
    # How long a row may wait for company while another call of its kind is in flight.
    max_wait_s: float = 0.002
    max_calls_in_flight: int = 8
    # Of one call to the model, waiting included.
    timeout_s: float = 10.0


@dataclass(frozen=True)
class Answer:
    """What a model answered to one row."""

    # The one that answered, as the model server said.
    version: int
    # Without the batch dimension.
    outputs: Mapping[str, Array]
    # Before its call was sent, and the call itself.
    waiting_s: float
    model_s: float
    # Rows that shared the call, this one included.
    batch_size: int


LaneKey = tuple[CallKey, Form, tuple[str, ...]]


class Asked:
    """A row, and the thread that waits for its answer."""

    def __init__(self, row: Row, policy: BatchPolicy, deadline: float) -> None:
        self.row = row
        self.policy = policy
        self.deadline = deadline
        self.since = time.monotonic()
        self.woken = threading.Event()
        self.to_run: Batch | None = None
        self._found: Answer | MeshError | None = None

    @property
    def done(self) -> bool:
        """Whether there is an answer or an error."""
        return self._found is not None

    def finish(self, found: Answer | MeshError) -> None:
        """Gives it to the thread that waits."""
        self._found = found
        self.woken.set()

    def outcome(self) -> Answer | MeshError:
        """What was found. An error is this row's own: one that several threads raise would collect all their traces."""
        found = self._found or InternalError("INTERNAL", "internal error")
        if not isinstance(found, MeshError):
            return found
        own = type(found)(found.reason, found.message, violations=found.violations, metadata=found.metadata, retry_after=found.retry_after)
        own.__cause__ = found
        return own


class Batch:
    """Rows that go together. The row that may wait longest runs it, so that nobody who leaves early ends it for the others; `here`,
    whose thread needs no waking, does so where it may wait nearly as long."""

    def __init__(self, rows: Sequence[Asked], here: Asked | None = None) -> None:
        self.rows = rows
        longest = max(rows, key=lambda one: one.deadline)
        self.runner = longest
        if here is not None and here in rows and here.deadline > longest.deadline - _NEARLY_S:
            self.runner = here
        self.deadline = self.runner.deadline

    def hand_over(self) -> None:
        """Wakes the thread that is to run it."""
        self.runner.to_run = self
        self.runner.woken.set()

    def finish(self, outcomes: Sequence[Answer | MeshError]) -> None:
        """Gives each row what it waits for, in their order."""
        for one, found in zip(self.rows, outcomes, strict=True):
            one.finish(found)


class Lane:
    """Rows that may share a call: of one model, version, signature and shape."""

    def __init__(self, key: LaneKey) -> None:
        self.key = key
        self.waiting: deque[Asked] = deque()
        # Calls, and the rows in them.
        self.flying = 0
        self._rows_flying = 0
        # Rows there were at once when the last call ended, and when that was.
        self._company = 1
        self._ended = 0.0

    def ready(self, now: float) -> bool:
        """Whether what waits here need not wait longer: it is a full call, the first row has waited its time, or nobody is to come.

        Company comes while a call is in flight, and for a moment after one from those whom it answered, as many as there were.
        """
        if not self.waiting:
            return False
        policy = self.waiting[0].policy
        if len(self.waiting) >= policy.max_batch_size or now - self.waiting[0].since >= policy.max_wait_s:
            return True
        return self.flying == 0 and (len(self.waiting) >= self._company or now - self._ended >= policy.max_wait_s)

    def sent(self, rows: int) -> None:
        """So many rows have left for a call."""
        self.flying += 1
        self._rows_flying += rows

    def ended(self, rows: int) -> None:
        """The call of so many rows is over."""
        self._company = self._rows_flying + len(self.waiting)
        self.flying -= 1
        self._rows_flying -= rows
        self._ended = time.monotonic()


class ModelLoad:
    """The calls of one model. Everything here needs its lock."""

    def __init__(self, name: str, figures: Figures) -> None:
        self.name = name
        self.lock = threading.Lock()
        self.flying = 0
        self.callers = 0
        self._lanes: dict[LaneKey, Lane] = {}
        self._mean_s = 0.1
        self._moved = 0.0
        self._size = figures.size.labels(name)
        self._in_flight = figures.in_flight.labels(name)
        self._refused = figures.refused.labels(name)
        self._seconds = figures.seconds.labels(name)

    def admitted(self, asked: Asked, key: LaneKey) -> tuple[Lane, Batch | None]:
        """The row's lane, and the batch that its thread is to run now; otherwise it waits there. Raises where there is no place."""
        policy = asked.policy
        lane = self._lanes.get(key) or Lane(key)
        full = self.flying >= policy.max_calls_in_flight
        shared = policy.max_batch_size > 1
        if full and (not shared or self._waiting() >= policy.max_batch_size):
            raise self.refusal()
        self._keep(lane)
        lane.waiting.append(asked)
        if full or (shared and not lane.ready(asked.since)):
            return lane, None
        batch = self.dispatched(lane, asked)
        if batch.runner is asked:
            return lane, batch
        batch.hand_over()
        return lane, None

    def dispatched(self, lane: Lane, here: Asked | None = None) -> Batch:
        """The next batch of a lane, which is in flight from now on."""
        size = min(len(lane.waiting), max(1, lane.waiting[0].policy.max_batch_size))
        batch = Batch([lane.waiting.popleft() for _ in range(size)], here)
        lane.sent(size)
        self.take(1)
        return batch

    def take(self, slots: int) -> None:
        if not self.flying:
            self._moved = time.monotonic()
        self.flying += slots
        self._in_flight.inc(slots)

    def release(self) -> None:
        """A call has ended: its place goes to whoever waited longest."""
        self.flying -= 1
        self._in_flight.dec()
        now = self._moved = time.monotonic()
        ready = sorted((one for one in self._lanes.values() if one.ready(now)), key=lambda one: one.waiting[0].since)
        for waiting in ready:
            if self.flying >= waiting.waiting[0].policy.max_calls_in_flight:
                return
            self.dispatched(waiting).hand_over()

    def silent_for(self, now: float) -> float:
        """Seconds since a call ended, or since the first of those in flight was sent; 0 with none in flight."""
        return now - self._moved if self.flying else 0.0

    def refusal(self) -> MeshError:
        """Counts a refusal, and is it."""
        self._refused.inc()
        message = f"{self.name} has as many calls as it may; try again in a moment"
        return ResourceExhausted("MODEL_BUSY", message, retry_after=min(5.0, max(0.05, self._mean_s)))

    def observe(self, rows: int, took: float) -> None:
        """A call of so many rows took so many seconds."""
        self._mean_s += (took - self._mean_s) / 8
        self._size.observe(rows)
        self._seconds.observe(took)

    def _keep(self, lane: Lane) -> None:
        if lane.key not in self._lanes:
            if len(self._lanes) >= _LANES_KEPT:
                self._lanes = {key: one for key, one in self._lanes.items() if one.waiting or one.flying}
            self._lanes[lane.key] = lane

    def _waiting(self) -> int:
        return sum(len(lane.waiting) for lane in self._lanes.values())


class Figures:
    def __init__(self, registry: CollectorRegistry) -> None:
        sizes = [2**power for power in range(11)]
        self.size = Histogram("labelmesh_model_batch_size", "Rows in one call to a model.", ["model"], buckets=sizes, registry=registry)
        self.seconds = Histogram("labelmesh_model_call_seconds", "One call to a model.", ["model"], buckets=CALL_SECONDS, registry=registry)
        self.in_flight = Gauge(
            "labelmesh_model_calls_in_flight", "Calls that the model server has not answered.", ["model"], registry=registry
        )
        self.refused = Counter(
            "labelmesh_model_calls_refused", "Calls refused because the model had as many as it may.", ["model"], registry=registry
        )
