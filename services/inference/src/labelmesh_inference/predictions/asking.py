"""From inputs to answers: fetched, prepared, sent to the model together, read by the manifest. Each input by itself succeeds or fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Protocol

from labelmesh_chassis.cores import available_cores
from labelmesh_chassis.deadlines import time_left
from labelmesh_chassis.errors import DeadlineExceeded, InvalidArgument, MeshError, NotFound, ResourceExhausted, Unavailable

from labelmesh_inference.manifest import ModelManifest
from labelmesh_inference.predictions.inputs import ObjectAddress, ProjectImage, Source, Sources, WebAddress, digest, size_of
from labelmesh_inference.predictions.outputs import Interpretation
from labelmesh_inference.predictions.pictures import DecoderGate
from labelmesh_inference.predictions.preparation import Preparation, Prepared
from labelmesh_inference.predictions.results import Result
from labelmesh_inference.registry.registry import Target
from labelmesh_inference.serving.batching import Answer, BatchPolicy, CallKey
from labelmesh_inference.serving.packing import Row
from labelmesh_inference.serving.values import Signature, Tensor

_SMALL_INPUT_BYTES = 64 * 1024
_DEFAULT_BATCH = 32
_DEFAULT_WAIT_S = 0.002
_DEFAULT_CALLS = 8
_DEFAULT_TIMEOUT_S = 10.0
_FETCHERS = 8
# Of the files behind the inputs of one call. Those that were sent along have at most 24 MiB.
_MOST_FETCHED_BYTES = 64 * 1024 * 1024
# Of what is prepared for the model and was not sent to it yet; looked at after so many inputs, each of which has at most 64 MiB.
_MOST_HELD_BYTES = 64 * 1024 * 1024
_PREPARED_AT_ONCE = 8
# Files smaller than this are decoded faster than they are handed to another thread.
_WORTH_A_THREAD_BYTES = 8 * 1024
_KNOWN_VERSIONS = 256
_AWAY = (ProjectImage, ObjectAddress, WebAddress)
# What is wrong with the model or the way to it, not with an input.
_OF_ALL = (Unavailable, DeadlineExceeded, ResourceExhausted, NotFound)


class Calls(Protocol):
    """Calls to models, packed and limited."""

    def call(self, key: CallKey, policy: BatchPolicy, row: Row, outputs: Sequence[str] = ()) -> Answer: ...

    def call_many(
        self, key: CallKey, policy: BatchPolicy, rows: Sequence[Row], outputs: Sequence[str] = ()
    ) -> list[Answer | MeshError]: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of an answer is wanted; 0 and None stand for what the manifest says."""

    top_k: int = 0
    threshold: float | None = None


class Item:
    """One input on its way. `result` is there once it is answered, `error` once it has failed. Seconds."""

    __slots__ = ("answer", "content", "error", "fetch_s", "preparation_s", "prepared", "result", "row_bytes", "sha256", "source")

    def __init__(self, source: Source) -> None:
        self.source = source
        # What is not here yet is empty until it is fetched.
        self.content: bytes | Tensor = b"" if isinstance(source, _AWAY) else source
        self.sha256 = b""
        self.prepared: Prepared | None = None
        self.answer: Answer | None = None
        self.result: Result | None = None
        self.error: MeshError | None = None
        self.fetch_s = 0.0
        self.preparation_s = 0.0
        # Of what the model is sent.
        self.row_bytes = 0


@dataclass(frozen=True, slots=True)
class Reader:
    """How one version of a model takes inputs and gives answers."""

    manifest: ModelManifest
    signature: Signature
    preparation: Preparation
    interpretation: Interpretation


class Readers:
    """Readers by model and version, made once for each."""

    def __init__(self, gate: DecoderGate) -> None:
        self._gate = gate
        self._lock = threading.Lock()
        self._known: dict[tuple[str, int], Reader] = {}

    def reader(self, model: str, version: int, manifest: ModelManifest, signature: Signature) -> Reader:
        """The reader of a version. FailedPrecondition (MANIFEST_MISMATCH) where its signature is not what its manifest says."""
        found = self._known.get((model, version))
        if found is not None and found.manifest is manifest and found.signature is signature:
            return found
        made = Reader(manifest, signature, Preparation(manifest, signature, self._gate), Interpretation(manifest, signature))
        with self._lock:
            if len(self._known) >= _KNOWN_VERSIONS:
                self._known.clear()
            self._known[(model, version)] = made
        return made


class Asking:
    """Asks models. Threads share it."""

    def __init__(self, calls: Calls, sources: Sources, readers: Readers) -> None:
        self._calls = calls
        self._sources = sources
        self._readers = readers
        self._fetchers = ThreadPoolExecutor(_FETCHERS, thread_name_prefix="fetch")
        self._decoders = ThreadPoolExecutor(max(2, available_cores()), thread_name_prefix="decode")

    def close(self) -> None:
        """Ends its threads."""
        self._fetchers.shutdown(wait=False, cancel_futures=True)
        self._decoders.shutdown(wait=False, cancel_futures=True)

    def ask(self, target: Target, sources: Iterable[Source], limits: Limits) -> list[Item]:
        """An item for each source, in order, answered or failed by itself.

        What is wrong with all is raised: the version does not fit its manifest, or nobody could be asked: Unavailable
        (MODEL_SERVER_UNAVAILABLE, VERSION_NOT_AVAILABLE), DeadlineExceeded (MODEL_TOO_SLOW), ResourceExhausted (MODEL_BUSY).
        """
        reader = self._readers.reader(target.model, target.version, target.manifest, target.signature)
        key = CallKey(target.model, target.version, target.manifest.signature)
        items = [Item(source) for source in sources]
        self._fetch_all([item for item in items if isinstance(item.source, _AWAY)])
        ready: list[Item] = []
        held = 0
        for start in range(0, len(items), _PREPARED_AT_ONCE):
            group = items[start : start + _PREPARED_AT_ONCE]
            self._prepare(reader, group)
            ready += [item for item in group if item.prepared is not None]
            held += sum([item.row_bytes for item in group])
            if held > _MOST_HELD_BYTES:
                # Files of a few KiB become tensors of many MiB: what has been answered makes room for the next.
                self._answer(key, reader, ready, limits, items)
                _forget_rows(ready, keep_outputs=target.shadow is not None)
                ready, held = [], 0
        if ready:
            self._answer(key, reader, ready, limits, items)
        return items

    def _answer(self, key: CallKey, reader: Reader, ready: Sequence[Item], limits: Limits, items: Sequence[Item]) -> None:
        """Asks about inputs that are prepared. Raises what is wrong with all `items` while none of them has an answer."""
        self._call(key, reader, ready, items)
        _read(reader, [item for item in ready if item.answer is not None], limits)

    def _fetch_all(self, away: Sequence[Item]) -> None:
        """Of files that lie elsewhere only so many are fetched for one call as have 64 MiB together; the others fail with TOO_LARGE."""
        lock, fetched = threading.Lock(), 0

        def fetch(item: Item) -> None:
            nonlocal fetched
            if fetched > _MOST_FETCHED_BYTES:
                raise _too_much()
            started = time.perf_counter()
            content = self._sources.content(item.source)
            with lock:
                fetched += size_of(content)
                if fetched > _MOST_FETCHED_BYTES:
                    raise _too_much()
            item.content, item.fetch_s = content, time.perf_counter() - started

        if away:
            self._each(self._fetchers, fetch, away, parallel=len(away) > 1)

    def _prepare(self, reader: Reader, items: Sequence[Item]) -> None:
        def prepare(item: Item) -> None:
            started = time.perf_counter()
            content = item.content
            item.sha256 = digest(content)
            preparation = reader.preparation
            item.prepared = preparation.of_tensor(content) if isinstance(content, Tensor) else preparation.of_picture(content)
            item.row_bytes = _row_bytes(item.prepared.row)
            item.preparation_s = time.perf_counter() - started

        waiting = [item for item in items if item.error is None]
        large = [item for item in waiting if isinstance(item.content, bytes) and len(item.content) >= _WORTH_A_THREAD_BYTES]
        if len(large) > 1:
            self._each(self._decoders, prepare, large, parallel=True)
            waiting = [item for item in waiting if item.prepared is None and item.error is None]
        self._each(self._decoders, prepare, waiting, parallel=False)

    def _call(self, key: CallKey, reader: Reader, ready: Sequence[Item], items: Sequence[Item]) -> None:
        outputs = reader.interpretation.outputs
        rows = [item.prepared.row for item in ready if item.prepared is not None]
        policy = policy_of(reader.manifest, max([item.row_bytes for item in ready]))
        answers: Sequence[Answer | MeshError]
        if len(rows) == 1:
            try:
                answers = [self._calls.call(key, policy, rows[0], outputs)]
            except MeshError as failure:
                answers = [failure]
        else:
            answers = self._calls.call_many(key, policy, rows, outputs)
        failed: MeshError | None = None
        for item, answer in zip(ready, answers, strict=True):
            if isinstance(answer, MeshError):
                item.error = _named(answer, key)
                if failed is None and isinstance(item.error, _OF_ALL):
                    failed = item.error
            else:
                item.answer = answer
        if failed is not None and all(item.answer is None for item in items):
            raise failed

    def _each(self, pool: ThreadPoolExecutor, work: Callable[[Item], None], items: Sequence[Item], *, parallel: bool) -> None:
        def attempt(item: Item) -> None:
            try:
                # Nobody waits any more for what is left when the call's time is over.
                time_left()
                work(item)
            except MeshError as failure:
                item.error = failure

        if not parallel:
            for item in items:
                attempt(item)
            return
        for done in [pool.submit(copy_context().run, attempt, item) for item in items]:
            done.result()


def policy_of(manifest: ModelManifest, row_bytes: int) -> BatchPolicy:
    """How calls with inputs of that size are packed: as the manifest says, else 32 small ones in a call and large ones alone."""
    batching = manifest.batching
    return BatchPolicy(
        max_batch_size=batching.max_batch_size or (_DEFAULT_BATCH if row_bytes <= _SMALL_INPUT_BYTES else 1),
        max_wait_s=_DEFAULT_WAIT_S if batching.max_wait_s is None else batching.max_wait_s,
        max_calls_in_flight=batching.max_calls_in_flight or _DEFAULT_CALLS,
        timeout_s=batching.timeout_s or _DEFAULT_TIMEOUT_S,
    )


def _row_bytes(row: Row) -> int:
    total = 0
    for value in row.values():
        if isinstance(value, Tensor):
            total += len(value.content) or sum(map(len, value.strings))
        elif value.dtype.kind == "O":
            total += sum(map(len, value.ravel().tolist()))
        else:
            total += value.nbytes
    return total


def _forget_rows(items: Sequence[Item], *, keep_outputs: bool) -> None:
    """Gives up what was sent to the model and, unless it is looked at later, what came back; both have been read."""
    for item in items:
        if item.prepared is not None:
            item.prepared = replace(item.prepared, row={})
        if item.answer is not None and not keep_outputs:
            item.answer = replace(item.answer, outputs={})


def _too_much() -> InvalidArgument:
    problem = f"the files behind the inputs have more than {_MOST_FETCHED_BYTES >> 20} MiB together; ask about the rest in another call"
    return InvalidArgument("TOO_LARGE", problem, field="input")


def _read(reader: Reader, items: Sequence[Item], limits: Limits) -> None:
    rows = [(item.answer.outputs, item.prepared.geometry) for item in items if item.answer is not None and item.prepared is not None]
    found = reader.interpretation.many(rows, top_k=limits.top_k, threshold=limits.threshold)
    for item, result in zip(items, found, strict=True):
        if isinstance(result, MeshError):
            item.error = result
        elif isinstance(result, Exception):
            raise result
        else:
            item.result = result


def _named(failure: MeshError, key: CallKey) -> MeshError:
    """What the model server says of a version, in the words of this service's contract."""
    if isinstance(failure, NotFound):
        problem = f"{key.model} version {key.version} cannot answer now: the model server does not serve it"
        return Unavailable("VERSION_NOT_AVAILABLE", problem, retry_after=1)
    return failure
