"""A pool of worker processes, for work that would hold up everything else in a service, or that may crash.

A job is bytes in, bytes out. Workers are started from nothing (never forked: threads and channels do not survive that), each is fed by
a thread of its own over a socket, and a worker that dies or hangs is replaced and its job given to another one.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field

from google.rpc import status_pb2
from prometheus_client import CollectorRegistry

from labelmesh_chassis.errors import DeadlineExceeded, InternalError, MeshError, ResourceExhausted, Unavailable, from_status
from labelmesh_chassis.fairness import FairQueue
from labelmesh_chassis.jobs import PoolSettings, Reply
from labelmesh_chassis.tracing import Part, begin
from labelmesh_chassis.worker import DONE, READY, REFUSED, Closed, WorkerSettings, command, receive, send
from labelmesh_chassis.worker_measures import WorkerMeasures

__all__ = ["PoolSettings", "Reply", "Ticket", "WorkerPool"]

_log = logging.getLogger(__name__)
# A job that took this many workers with it is given up.
_ATTEMPTS = 2
_WATCH_S = 0.1
# Loading is not work: a worker may take this long until it is ready.
_START_S = 60.0
# Between two attempts at starting a worker that does not come up.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_SOCKET_BYTES = 1 << 20
# What a worker may not see: it reads files of strangers.
_SECRET_PREFIX = "LABELMESH_"
_SINGLE_THREADED = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(slots=True, eq=False)
class _Job:
    ticket: Ticket
    parts: tuple[bytes, ...]
    weight: int
    queued_at: float
    future: Future[Reply] = field(default_factory=Future)
    attempts: int = 0
    # In the trace of the call that the job is of.
    part: Part = field(default_factory=lambda: begin("worker job", "INTERNAL"))


class Ticket:
    """Everything that one call has done by workers. `deadline` is on the monotonic clock; what has not begun by then does not begin.

    `cancel` when the caller is gone: what waits is dropped, and nothing more is taken.
    """

    def __init__(self, pool: WorkerPool, caller: str, deadline: float) -> None:
        self.caller = caller
        self.deadline = deadline
        self.cancelled = False
        self.jobs: set[_Job] = set()
        self._pool = pool

    def cancel(self) -> None:
        self._pool.drop(self)


class _Slot:
    """The place of one worker."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: subprocess.Popen[bytes] | None = None
        self.connection: socket.socket | None = None
        # When what it does now began, monotonic, and how long it may take; None where it does nothing.
        self.busy_since: float | None = None
        self.limit_s = 0.0
        self.up = False
        self.thread: threading.Thread | None = None


class WorkerPool:
    """Does jobs in worker processes between `start` and `close`."""

    def __init__(self, settings: PoolSettings, *, registry: CollectorRegistry | None = None) -> None:
        self._settings = settings
        self._queue: FairQueue[_Job] = FairQueue(most_weight=settings.most_weight, most_of_caller=settings.most_of_caller)
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._stopping = threading.Event()
        self._slots = [_Slot(number) for number in range(settings.processes)]
        self._watcher = threading.Thread(target=self._watch, name="workers", daemon=True)
        self._metrics = WorkerMeasures(registry or CollectorRegistry(), self, settings.most_weight)

    @property
    def size(self) -> int:
        """How many workers there should be."""
        return len(self._slots)

    @property
    def pids(self) -> list[int]:
        """Of the workers that are up."""
        return [slot.process.pid for slot in self._slots if slot.up and slot.process is not None]

    @property
    def busy(self) -> int:
        """How many workers are at a job."""
        return sum(slot.up and slot.busy_since is not None for slot in self._slots)

    @property
    def longest_s(self) -> float:
        """How long the job that is in work for the longest has been in work, in seconds; 0 where none is."""
        since = [slot.busy_since for slot in self._slots if slot.up]
        return max((time.monotonic() - began for began in since if began is not None), default=0.0)

    @property
    def oldest_s(self) -> float:
        """How long the job that waits for the longest has waited, in seconds; 0 where none does."""
        with self._lock:
            queued_at = [job.queued_at for job in self._queue]
        return time.monotonic() - min(queued_at) if queued_at else 0.0

    @property
    def waiting(self) -> int:
        """How many jobs wait for a worker."""
        return len(self._queue)

    @property
    def weight(self) -> int:
        """Of all jobs that wait or are in work."""
        return self._queue.weight

    def is_up(self) -> bool:
        """Whether at least one worker can work."""
        return any(slot.up for slot in self._slots)

    def start(self) -> None:
        """Starts the workers; returns at once."""
        for slot in self._slots:
            # The kernel ends a worker with the thread that started it, so the thread is there for as long as the slot is.
            slot.thread = threading.Thread(target=self._serve, args=(slot,), name=f"worker-{slot.number}", daemon=True)
            slot.thread.start()
        self._watcher.start()

    def close(self, *, patience_s: float = 5.0) -> None:
        """Lets what is in work end, for `patience_s` seconds, and ends the workers. What waits fails with Unavailable (WORKERS_STOPPED)."""
        with self._lock:
            if self._stopping.is_set():
                return
            self._stopping.set()
            left = [self._queue.take() for _ in range(len(self._queue))]
            self._work.notify_all()
            self._room.notify_all()
        for taken in left:
            if taken is not None:
                self._finish(taken[1], _stopped())
        ends = time.monotonic() + patience_s
        for slot in self._slots:
            if slot.thread is not None:
                slot.thread.join(timeout=max(0.0, ends - time.monotonic()))
        for slot in self._slots:
            _kill(slot.process)
            if slot.thread is not None:
                slot.thread.join(timeout=5)

    def ticket(self, caller: str, deadline: float) -> Ticket:
        """For the jobs of one call, which count as this caller's."""
        return Ticket(self, caller, deadline)

    def submit(self, ticket: Ticket, parts: Sequence[bytes], weight: int, *, patient: bool = False) -> Future[Reply]:
        """Has a job done. The future raises what the handler raised; Unavailable (WORKER_LOST) for a job that two workers died over or
        took too long with; DeadlineExceeded where its turn did not come in time.

        ResourceExhausted (WORKERS_BUSY) where there is no room; `patient` waits for some instead, until the ticket's deadline.
        """
        job = _Job(ticket, tuple(parts), weight, time.monotonic())
        try:
            self._queued(job, patient=patient)
        except MeshError as refusal:
            job.part.end(refusal.reason)
            raise
        return job.future

    def drop(self, ticket: Ticket) -> None:
        """Forgets what a ticket has waiting, and takes nothing more of it."""
        with self._lock:
            ticket.cancelled = True
            dropped = [job for job in ticket.jobs if self._queue.remove(ticket.caller, job)]
            self._room.notify_all()
        for job in dropped:
            self._finish(job, None)

    def _taken(self, job: _Job) -> bool:
        if self._stopping.is_set() or job.ticket.cancelled:
            raise _stopped()
        return self._queue.offer(job.ticket.caller, job, job.weight)

    def _queued(self, job: _Job, *, patient: bool) -> None:
        with self._lock:
            while not self._taken(job):
                left = job.ticket.deadline - time.monotonic()
                if not patient or left <= 0:
                    self._metrics.jobs.labels("refused").inc()
                    raise ResourceExhausted("WORKERS_BUSY", "there is more work than places now; try again soon", retry_after=0.5)
                self._room.wait(left)
            job.ticket.jobs.add(job)
            self._work.notify()

    # --- one worker ---

    def _serve(self, slot: _Slot) -> None:
        pause = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            if self._came_up(slot):
                pause = _FIRST_PAUSE_S
                self._feed(slot)
            elif not self._stopping.wait(pause):
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            self._end(slot)

    def _came_up(self, slot: _Slot) -> bool:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
        told = WorkerSettings(
            target=self._settings.target,
            service=self._settings.service,
            log_level=self._settings.log_level,
            memory_bytes=self._settings.memory_bytes,
            parent=os.getpid(),
            socket=theirs.fileno(),
        )
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_SECRET_PREFIX)}
        slot.connection = ours
        slot.limit_s, slot.busy_since = _START_S, time.monotonic()
        try:
            # A session of its own: a signal to the service's group is not for it.
            slot.process = subprocess.Popen(
                command(told),
                env={**environment, **_SINGLE_THREADED},
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
            theirs.close()
            slot.up = receive(ours)[0] == READY
        except (OSError, Closed):
            _log.exception("a worker does not start")
        finally:
            theirs.close()
            slot.busy_since = None
        return slot.up

    def _feed(self, slot: _Slot) -> None:
        while (job := self._next(slot)) is not None:
            slot.limit_s, slot.busy_since = self._settings.job_s, time.monotonic()
            began = slot.busy_since
            try:
                if slot.connection is None:
                    raise Closed
                send(slot.connection, DONE, job.ticket.deadline - began, job.parts)
                kind, work_s, parts = receive(slot.connection)
            except Closed:
                slot.busy_since = None
                slot.up = False
                self._lost(job, slot)
                return
            slot.busy_since = None
            self._answer(job, kind, Reply(parts, began - job.queued_at, work_s))

    def _next(self, slot: _Slot) -> _Job | None:
        """The next job; None when the worker is gone or the pool ends."""
        while True:
            with self._lock:
                while not len(self._queue) and not self._stopping.is_set() and _alive(slot):
                    self._work.wait()
                if not _alive(slot):
                    # Somebody else has to do what this one was called for.
                    self._work.notify()
                    return None
                taken = self._queue.take()
                if taken is None:
                    return None
                job = taken[1]
            if time.monotonic() >= job.ticket.deadline:
                self._finish(job, DeadlineExceeded("DEADLINE_EXCEEDED", "no worker was free before the call's deadline"))
            elif job.attempts or job.future.set_running_or_notify_cancel():
                return job
            else:
                self._finish(job, None)

    def _answer(self, job: _Job, kind: int, reply: Reply) -> None:
        self._metrics.waiting.observe(reply.waiting_s)
        self._metrics.work.observe(reply.work_s)
        if kind == DONE:
            self._finish(job, reply)
        elif kind == REFUSED:
            self._finish(job, from_status(status_pb2.Status.FromString(reply.parts[0])))
        else:
            self._finish(job, InternalError("INTERNAL", "internal error"))

    def _lost(self, job: _Job, slot: _Slot) -> None:
        job.attempts += 1
        self._metrics.lost.inc()
        pid = slot.process.pid if slot.process is not None else 0
        _log.warning("a worker was lost over a job", extra={"fields": {"pid": pid, "attempt": job.attempts, "caller": job.ticket.caller}})
        with self._lock:
            again = job.attempts < _ATTEMPTS and not self._stopping.is_set() and not job.ticket.cancelled
            if again:
                self._queue.put_back(job.ticket.caller, job)
                self._work.notify()
        if not again:
            self._finish(job, Unavailable("WORKER_LOST", "workers died or hung over this; it may be the picture", retry_after=1))

    def _finish(self, job: _Job, outcome: Reply | MeshError | None) -> None:
        _end_part(job, outcome)
        with self._lock:
            self._queue.finish(job.ticket.caller, job.weight)
            job.ticket.jobs.discard(job)
            self._room.notify_all()
        try:
            if outcome is None:
                self._metrics.jobs.labels("dropped").inc()
                if not job.future.cancelled() and not job.future.cancel():
                    job.future.set_exception(_stopped())
            elif isinstance(outcome, Reply):
                self._metrics.jobs.labels("done").inc()
                job.future.set_result(outcome)
            else:
                self._metrics.jobs.labels(outcome.reason if isinstance(outcome, Unavailable | DeadlineExceeded) else "failed").inc()
                job.future.set_exception(outcome)
        except InvalidStateError:
            # Whoever waited has cancelled it meanwhile.
            return

    def _end(self, slot: _Slot) -> None:
        """Closes the socket, at whose end a worker ends by itself; one that does not is killed."""
        slot.up = False
        connection, process = slot.connection, slot.process
        slot.connection = slot.process = None
        if connection is not None:
            connection.close()
        if process is None:
            return
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            _kill(process)
            process.wait()

    def _watch(self) -> None:
        """Kills what takes too long, and wakes those whose worker died while it had nothing to do."""
        while not self._stopping.wait(_WATCH_S):
            now = time.monotonic()
            for slot in self._slots:
                since = slot.busy_since
                if since is not None and now - since > slot.limit_s:
                    _log.warning("a worker took too long and is killed", extra={"fields": {"limit_s": slot.limit_s}})
                    _kill(slot.process)
                elif slot.up and not _alive(slot):
                    slot.up = False
                    with self._lock:
                        self._work.notify_all()


def _end_part(job: _Job, outcome: Reply | MeshError | None) -> None:
    job.part.tell({"labelmesh.job.weight": job.weight, "labelmesh.job.lost_workers": job.attempts})
    if isinstance(outcome, Reply):
        job.part.tell({"labelmesh.job.waiting_s": round(outcome.waiting_s, 6), "labelmesh.job.work_s": round(outcome.work_s, 6)})
        job.part.end()
    else:
        job.part.end("DROPPED" if outcome is None else outcome.reason)


def _stopped() -> Unavailable:
    return Unavailable("WORKERS_STOPPED", "the call or the service has ended; try again", retry_after=1)


def _alive(slot: _Slot) -> bool:
    return slot.process is not None and slot.process.poll() is None


def _kill(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None and process.poll() is None:
        process.send_signal(signal.SIGKILL)
