"""Calls to models: inputs of the same shape share a call, and no model gets more calls at once than it may.

TensorFlow Serving goes on computing for clients that have left, so what is too much is refused before it is sent.

A call is made by the thread of one of its rows: the one that may wait longest. There is no thread that only packs, so a single caller's
call costs no switch of threads, and rows wait for company only while another call of their kind is in flight.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from labelmesh_chassis.deadlines import time_left
from labelmesh_chassis.errors import DeadlineExceeded, InternalError, InvalidArgument, MeshError, ResourceExhausted
from prometheus_client import REGISTRY, CollectorRegistry

from labelmesh_inference.serving.client import ModelServer
from labelmesh_inference.serving.lanes import Answer, Asked, Batch, BatchPolicy, CallKey, Figures, Lane, ModelLoad
from labelmesh_inference.serving.packing import Form, Row, form_of, packed, unpacked

__all__ = ["Answer", "BatchPolicy", "CallKey", "ModelCalls"]

# Of one `call_many`: one is packed while the model works on the other.
_CALLS_OF_MANY = 2
_THREADS = 16


class ModelCalls:
    """Calls to the models of one server. Threads share it.

    A model that has answered nothing for `stuck_s` while it was asked holds up at most `max_callers` threads, so that others are left for
    the other models.
    """

    def __init__(self, server: ModelServer, *, registry: CollectorRegistry = REGISTRY, max_callers: int = 24, stuck_s: float = 1.0) -> None:
        self._server = server
        self._stuck_s = stuck_s
        self._max_callers = max_callers
        self._figures = Figures(registry)
        self._models: dict[str, ModelLoad] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="model-call")

    def call(self, key: CallKey, policy: BatchPolicy, row: Row, outputs: Sequence[str] = ()) -> Answer:
        """The answer to one row, whose inputs come without the batch dimension.

        Errors are those of `ModelServer.predict`; ResourceExhausted (MODEL_BUSY), at once, where the model has as many calls in flight
        and rows waiting as it may; DeadlineExceeded (MODEL_TOO_SLOW) after `timeout_s` or what the call being served has left.
        """
        model = self._model(key.model)
        asked = Asked(row, policy, _deadline(policy))
        lane_key = (key, form_of(row), tuple(outputs))
        with model.lock:
            if self._too_many(model):
                raise model.refusal()
            lane, batch = model.admitted(asked, lane_key)
            model.callers += 1
        try:
            if batch is None:
                batch = self._wait(model, lane, asked)
            if batch is not None:
                self._run(model, lane, batch)
        finally:
            with model.lock:
                model.callers -= 1
        outcome = asked.outcome()
        if isinstance(outcome, MeshError):
            raise outcome
        return outcome

    def call_many(self, key: CallKey, policy: BatchPolicy, rows: Sequence[Row], outputs: Sequence[str] = ()) -> list[Answer | MeshError]:
        """The answers to many rows in their order; one that cannot be answered has its error in its place."""
        model, deadline = self._model(key.model), _deadline(policy)
        asked: list[Asked | MeshError] = []
        forms: dict[Form, list[Asked]] = {}
        for row in rows:
            try:
                form = form_of(row)
            except MeshError as wrong:
                asked.append(wrong)
                continue
            asked.append(one := Asked(row, policy, deadline))
            forms.setdefault(form, []).append(one)
        size = policy.max_batch_size
        lanes = {form: Lane((key, form, tuple(outputs))) for form in forms}
        batches = deque((lanes[form], Batch(found[at : at + size])) for form, found in forms.items() for at in range(0, len(found), size))
        if batches:
            self._run_all(model, policy, batches)
        return [one if isinstance(one, MeshError) else one.outcome() for one in asked]

    def close(self) -> None:
        """Ends its own threads; calls in flight are finished."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _model(self, name: str) -> ModelLoad:
        with self._lock:
            found = self._models.get(name)
            if found is None:
                found = self._models[name] = ModelLoad(name, self._figures)
            return found

    def _too_many(self, model: ModelLoad) -> bool:
        return model.callers >= self._max_callers and model.silent_for(time.monotonic()) >= self._stuck_s

    def _run_all(self, model: ModelLoad, policy: BatchPolicy, batches: deque[tuple[Lane, Batch]]) -> None:
        with model.lock:
            slots = min(_CALLS_OF_MANY, len(batches), policy.max_calls_in_flight - model.flying)
            if slots <= 0 or self._too_many(model):
                refusal = model.refusal()
                for _, batch in batches:
                    batch.finish([refusal] * len(batch.rows))
                return
            model.take(slots)

        def work() -> None:
            try:
                while batches:
                    try:
                        lane, batch = batches.popleft()
                    except IndexError:
                        return
                    batch.finish(self._ask(model, lane, batch))
            finally:
                with model.lock:
                    model.release()

        helpers = [self._threads.submit(copy_context().run, work) for _ in range(slots - 1)]
        work()
        for helper in helpers:
            if helper.cancel():
                with model.lock:
                    model.release()
            else:
                helper.result()

    def _wait(self, model: ModelLoad, lane: Lane, asked: Asked) -> Batch | None:
        """Until the row is answered (None) or its thread has a batch to run. Raises where its time ends first."""
        company_until: float | None = asked.since + asked.policy.max_wait_s
        while True:
            until = asked.deadline if company_until is None else min(asked.deadline, company_until)
            asked.woken.wait(max(0.0, until - time.monotonic()))
            with model.lock:
                if asked.done:
                    return None
                if asked.to_run is not None:
                    return asked.to_run
                now = time.monotonic()
                if now >= asked.deadline:
                    if asked in lane.waiting:
                        lane.waiting.remove(asked)
                    raise DeadlineExceeded("MODEL_TOO_SLOW", f"{model.name} did not answer in time")
                if company_until is not None and now >= company_until:
                    company_until = None
                    if asked in lane.waiting and model.flying < asked.policy.max_calls_in_flight:
                        batch = model.dispatched(lane, asked)
                        if batch.runner is asked:
                            return batch
                        batch.hand_over()

    def _run(self, model: ModelLoad, lane: Lane, batch: Batch) -> None:
        outcomes: list[Answer | MeshError] = [InternalError("INTERNAL", "internal error")] * len(batch.rows)
        try:
            outcomes = self._ask(model, lane, batch)
        finally:
            # The place is given on before the rows are told, or those who ask again at once would count twice.
            with model.lock:
                lane.ended(len(batch.rows))
                model.release()
            batch.finish(outcomes)

    def _ask(self, model: ModelLoad, lane: Lane, batch: Batch) -> list[Answer | MeshError]:
        """One call. Where the model refuses its input or has no memory for it, its halves are tried, so that one bad row fails alone."""
        rows, sent = batch.rows, time.monotonic()
        key, form, outputs = lane.key
        try:
            left = batch.deadline - sent
            if left <= 0:
                raise DeadlineExceeded("MODEL_TOO_SLOW", f"{key.model} did not answer in time")
            timeout = min(left, max(one.policy.timeout_s for one in rows))
            inputs = packed([one.row for one in rows], form)
            reply = self._server.predict(key.model, key.version, key.signature, inputs, outputs=outputs, timeout_s=timeout)
            took = time.monotonic() - sent
            model.observe(len(rows), took)
            found = unpacked(reply, len(rows))
        except (InvalidArgument, ResourceExhausted) as refused:
            if len(rows) == 1 or refused.reason == "MODEL_BUSY":
                return [refused] * len(rows)
            half = len(rows) // 2
            return [*self._ask(model, lane, Batch(rows[:half])), *self._ask(model, lane, Batch(rows[half:]))]
        except MeshError as failure:
            return [failure] * len(rows)
        return [Answer(reply.version, ours, sent - one.since, took, len(rows)) for one, ours in zip(rows, found, strict=True)]


def _deadline(policy: BatchPolicy) -> float:
    left = time_left()
    return time.monotonic() + (policy.timeout_s if left is None else min(policy.timeout_s, left))
