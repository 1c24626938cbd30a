"""Joins calls of one signature into one run of the model (TensorFlow's SharedBatchScheduler, batching/batching_session.cc).

Unlike TensorFlow Serving, calls whose rows have another shape or type go into another batch instead of failing the batch they
met; and a call that has waited past its deadline is left out of the batch.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from labelmesh_modelserver.metrics import Metrics
from labelmesh_modelserver.parameters import BatchingParameters
from labelmesh_modelserver.statuses import Code, ServingError, failed_precondition, internal, invalid_argument
from labelmesh_modelserver.tensors import Array

Feeds = Sequence[tuple[str, Array]]
Run = Callable[[Feeds, Sequence[str], float | None], list[Array]]
# What calls must have in common to be joined: name, type and row shape (or rank, where rows are padded) of every input.
Kind = tuple[tuple[str, Any, Any], ...]


class _Task:
    """One call, or a piece of a large one."""

    def __init__(self, feeds: Feeds, size: int, deadline: float | None) -> None:
        self.feeds = feeds
        self.size = size
        self.deadline = deadline
        self.enqueued = time.monotonic()
        self.done = threading.Event()
        self.values: list[Array] = []
        self.error: ServingError | None = None

    def finish(self, values: list[Array], error: ServingError | None = None) -> None:
        self.values = values
        self.error = error
        self.done.set()


class _Batch:
    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.tasks: list[_Task] = []
        self.size = 0
        self.opened = time.monotonic()


class _Queue:
    """The batches of one signature: closed ones in order, and one open per kind."""

    def __init__(self, run: Callable[[_Batch], None]) -> None:
        self.run = run
        self.closed: deque[_Batch] = deque()
        self.open: dict[Kind, _Batch] = {}

    def count(self) -> int:
        return len(self.closed) + len(self.open)


class BatchScheduler:
    """The threads that run batches, shared by all models; each signature has a queue of its own and they take turns."""

    def __init__(self, parameters: BatchingParameters, metrics: Metrics) -> None:
        self.parameters = parameters
        self.metrics = metrics
        self._changed = threading.Condition()
        self._queues: deque[_Queue] = deque()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{parameters.thread_pool_name}-{index}", daemon=True)
            for index in range(parameters.num_batch_threads)
        ]
        for thread in self._threads:
            thread.start()

    def add(self, queue: _Queue) -> None:
        with self._changed:
            self._queues.append(queue)

    def remove(self, queue: _Queue) -> None:
        with self._changed:
            self._queues.remove(queue)

    def submit(self, queue: _Queue, kind: Kind, tasks: Sequence[_Task]) -> None:
        """Puts the pieces of one call into batches, all or none.

        Raises:
            ServingError: UNAVAILABLE where the queue is full.
        """
        limit = self.parameters.max_execution_batch_size
        with self._changed:
            fits = queue.open.get(kind)
            room = limit - fits.size if fits else 0
            size = sum(task.size for task in tasks)
            needed = -(-max(size - room, 0) // limit)
            if needed and queue.count() + needed > self.parameters.max_enqueued_batches:
                raise self._full(queue, size, limit, room)
            for task in tasks:
                batch = queue.open.get(kind)
                if batch is not None and batch.size + task.size > limit:
                    queue.closed.append(queue.open.pop(kind))
                    batch = None
                if batch is None:
                    batch = queue.open[kind] = _Batch(kind)
                batch.tasks.append(task)
                batch.size += task.size
                if batch.size >= limit:
                    queue.closed.append(queue.open.pop(kind))
            self._changed.notify()

    def close(self) -> None:
        """Ends the threads. Nothing may be waiting in a queue any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _full(self, queue: _Queue, size: int, limit: int, room: int) -> ServingError:
        text = "The batch scheduling queue to which this task was submitted is full; "
        most = self.parameters.max_enqueued_batches
        if self.parameters.enable_large_batch_splitting:
            capacity = (most - queue.count()) * limit + room
            text += (
                f"task size is {size} but scheduling capacity is only {capacity} (num_enqueued_batches={queue.count()}, "
                f"max_enqueued_batches={most}, open_batch_size={limit - room if room else 0}, max_execution_batch_size={limit})"
            )
        else:
            text += f"currently {queue.count()} batches enqueued and max_enqueued_batches is {most}"
        return ServingError(Code.UNAVAILABLE, text)

    def _work(self) -> None:
        while (found := self._next()) is not None:
            queue, batch = found
            queue.run(batch)

    def _next(self) -> tuple[_Queue, _Batch] | None:
        """The next batch to run, in turn over the queues; waits for one. None when closed."""
        with self._changed:
            while True:
                now = time.monotonic()
                earliest: float | None = None
                for _ in range(len(self._queues)):
                    queue = self._queues[0]
                    self._queues.rotate(-1)
                    if queue.closed:
                        return queue, queue.closed.popleft()
                    for batch in queue.open.values():
                        due = batch.opened + self.parameters.batch_timeout_s
                        if due <= now:
                            return queue, queue.open.pop(batch.kind)
                        earliest = due if earliest is None else min(earliest, due)
                if self._closed:
                    return None
                self._changed.wait(None if earliest is None else earliest - now)


class Batcher:
    """Runs one loaded model in batches."""

    def __init__(self, scheduler: BatchScheduler, run: Run, signatures: Iterable[Any]) -> None:
        self._scheduler = scheduler
        self._parameters = scheduler.parameters
        self._metrics = scheduler.metrics
        self._run = run
        self._queues: dict[tuple[frozenset[str], frozenset[str]], tuple[_Queue, tuple[str, ...]]] = {}
        for signature in signatures:
            inputs = frozenset(info.name for info in signature.inputs.values())
            outputs = tuple(sorted({info.name for info in signature.outputs.values()}))
            if inputs and outputs and (inputs, frozenset(outputs)) not in self._queues:
                queue = _Queue(self._runner(outputs))
                scheduler.add(queue)
                self._queues[inputs, frozenset(outputs)] = queue, outputs

    def run(self, feeds: Feeds, fetches: Sequence[str], timeout_s: float | None = None) -> list[Array]:
        """Runs a call as part of a batch; alone where no signature has just these inputs and outputs (as with an output filter).

        Raises:
            ServingError: UNAVAILABLE where the queue is full, RESOURCE_EXHAUSTED after `timeout_s` seconds in it, INVALID_ARGUMENT
                for inputs that have no batch dimension in common, and what the model fails with.
        """
        found = self._queues.get((frozenset(name for name, _ in feeds), frozenset(fetches)))
        if found is None:
            return self._run(feeds, fetches, timeout_s)
        queue, outputs = found
        size = batch_size(feeds)
        for _ in feeds:
            self._metrics.batch_input_size.add(size)
        if size > self._parameters.max_batch_size:
            raise invalid_argument(f"Task size {size} is larger than maximum input batch size {self._parameters.max_batch_size}")
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        tasks = [_Task(piece, rows, deadline) for piece, rows in self._pieces(feeds, size)]
        self._scheduler.submit(queue, self._kind(feeds), tasks)
        for task in tasks:
            task.done.wait()
        for task in tasks:
            if task.error is not None:
                raise task.error
        values = tasks[0].values if len(tasks) == 1 else [np.concatenate(parts) for parts in zip(*(t.values for t in tasks), strict=True)]
        by_name = dict(zip(outputs, values, strict=True))
        return [by_name[name] for name in fetches]

    def close(self) -> None:
        """Takes the queues away. No call is in them any more."""
        for queue, _ in self._queues.values():
            self._scheduler.remove(queue)

    def _kind(self, feeds: Feeds) -> Kind:
        padded = self._parameters.pad_variable_length_inputs
        return tuple(sorted((name, value.dtype.str, value.ndim if padded else value.shape[1:]) for name, value in feeds))

    def _pieces(self, feeds: Feeds, size: int) -> list[tuple[Feeds, int]]:
        limit = self._parameters.max_execution_batch_size
        if size <= limit:
            return [(feeds, size)]
        return [
            ([(name, value[start : start + limit]) for name, value in feeds], min(limit, size - start)) for start in range(0, size, limit)
        ]

    def _runner(self, outputs: tuple[str, ...]) -> Callable[[_Batch], None]:
        def run(batch: _Batch) -> None:
            self._process(batch, outputs)

        return run

    def _process(self, batch: _Batch, outputs: tuple[str, ...]) -> None:
        now = time.monotonic()
        tasks = []
        for task in batch.tasks:
            self._metrics.batch_wait.add((now - task.enqueued) * 1e6, self._parameters.thread_pool_name)
            if task.deadline is not None and task.deadline <= now:
                task.finish([], ServingError(Code.RESOURCE_EXHAUSTED, "Run() timeout exceeded while waiting in batching queue"))
            else:
                tasks.append(task)
        if not tasks:
            return
        deadlines = [task.deadline for task in tasks]
        longest = None if None in deadlines else max(deadline for deadline in deadlines if deadline is not None) - now
        try:
            parts = self._compute(tasks, outputs, longest)
        except ServingError as problem:
            for task in tasks:
                task.finish([], problem)
        except Exception as problem:
            for task in tasks:
                task.finish([], internal(f"Batching failed: {type(problem).__name__}: {problem}"))
        else:
            for task, values in zip(tasks, parts, strict=True):
                task.finish(values)

    def _compute(self, tasks: Sequence[_Task], outputs: tuple[str, ...], timeout_s: float | None) -> list[list[Array]]:
        size = sum(task.size for task in tasks)
        allowed = next((entry for entry in self._parameters.allowed_batch_sizes if entry >= size), size)
        merged = merge([task.feeds for task in tasks], allowed - size, pad=self._parameters.pad_variable_length_inputs)
        self._metrics.batch_padding.add(allowed - size, str(allowed))
        self._metrics.batch_size.add(allowed)
        values = self._run(merged, outputs, timeout_s)
        self._metrics.batch_runs.add()
        for value in values:
            if value.ndim == 0:
                raise failed_precondition("Batched output tensor has 0 dimensions")
            if value.shape[0] != allowed:
                raise failed_precondition(
                    "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input tensors"
                )
        parts = []
        at = 0
        for task in tasks:
            parts.append([value[at : at + task.size] for value in values])
            at += task.size
        return parts


def batch_size(feeds: Feeds) -> int:
    """The rows of a call: the first dimension that all inputs have in common.

    Raises:
        ServingError: INVALID_ARGUMENT where there is none.
    """
    if any(value.ndim == 0 for _, value in feeds):
        raise invalid_argument("Batching Run() input tensors must have at least one dimension")
    sizes = {value.shape[0] for _, value in feeds}
    if len(sizes) > 1:
        raise invalid_argument("Batching Run() input tensors must have equal 0th-dimension size")
    return int(sizes.pop())


def merge(calls: Sequence[Feeds], padding: int, *, pad: bool) -> list[tuple[str, Array]]:
    """The inputs of several calls as those of one; `padding` more rows repeat the first row of the last call.

    With `pad`, rows are filled up to the largest of their kind with the first element of their own tensor.

    Raises:
        ServingError: INVALID_ARGUMENT where a tensor without elements would have to be filled up.
    """
    merged = []
    for name, _ in calls[0]:
        arrays = [value for call in calls for other, value in call if other == name]
        if pad:
            largest = tuple(max(sizes) for sizes in zip(*(array.shape[1:] for array in arrays), strict=True))
            arrays = [_grown(array, largest) for array in arrays]
        if padding:
            arrays.append(np.repeat(arrays[-1][:1], padding, axis=0))
        merged.append((name, arrays[0] if len(arrays) == 1 else np.concatenate(arrays)))
    return merged


def _grown(array: Array, row: tuple[int, ...]) -> Array:
    if array.shape[1:] == row:
        return array
    if array.size == 0:
        raise invalid_argument("Got empty tensor in batch of non-empty tensors.")
    grown = np.full((array.shape[0], *row), array.flat[0], dtype=array.dtype)
    grown[tuple(slice(size) for size in array.shape)] = array
    return grown
