"""What a call with many inputs holds at once has a limit, whatever the inputs become, and ends with the call's time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from labelmesh_chassis.calls import Call, current_call
from labelmesh_chassis.errors import MeshError, Unavailable
from labelmesh_chassis.methods import MethodOptions
from labelmesh_inference.manifest import ClassesOutput, InputKind
from labelmesh_inference.predictions.asking import Asking, Limits, Readers
from labelmesh_inference.predictions.inputs import Sources, WebAddress
from labelmesh_inference.predictions.pictures import DecoderGate
from labelmesh_inference.registry.registry import Target
from labelmesh_inference.serving.batching import Answer, BatchPolicy, CallKey
from labelmesh_inference.serving.packing import Row
from labelmesh_inference.serving.values import DataType, Tensor

from tests.unit.inference.predictions.photographs import model

MIB = 1024 * 1024


class Nowhere:
    """No images and no objects."""

    def address(self, project_id: UUID, image_id: UUID) -> str:
        raise AssertionError("nobody asks for an image")

    def get_public(self, address: str, *, max_bytes: int, field: str = "object_url") -> bytes:
        raise AssertionError("nobody asks for an object")

    def put(self, key: str, data: bytes, media_type: str) -> None: ...

    def delete(self, key: str) -> None: ...

    def presign_get(self, key: str) -> str:
        return ""


class Web:
    """Files of `size` bytes that are no pictures, each after `pause_s`."""

    def __init__(self, pause_s: float = 0.0, size: int = 16 * MIB) -> None:
        self.fetched = 0
        self._file = FILE[:size]
        self._pause_s = pause_s
        self._lock = threading.Lock()

    def fetch(self, address: str, most: int) -> bytes:
        time.sleep(self._pause_s)
        with self._lock:
            self.fetched += 1
        return self._file


FILE = bytes(16 * MIB)


class Calls:
    """A model that says the same of everything, or after `good` calls that it is away."""

    def __init__(self, good: int = 1000) -> None:
        self.sizes: list[int] = []
        self._good = good

    def call(self, key: CallKey, policy: BatchPolicy, row: Row, outputs: Sequence[str] = ()) -> Answer:
        found = self.call_many(key, policy, [row], outputs)[0]
        if isinstance(found, MeshError):
            raise found
        return found

    def call_many(self, key: CallKey, policy: BatchPolicy, rows: Sequence[Row], outputs: Sequence[str] = ()) -> list[Answer | MeshError]:
        self.sizes.append(len(rows))
        if len(self.sizes) > self._good:
            return [Unavailable("MODEL_SERVER_UNAVAILABLE", "away")] * len(rows)
        return [Answer(1, {"scores": np.array([0.2, 0.8])}, 0.0, 0.0, len(rows)) for _ in rows]


TARGET = Target("finder", 1, "", *model(DataType.UINT8, None, ClassesOutput(), kind=InputKind.TENSOR))


def asking(calls: Calls, web: Web | None = None) -> Asking:
    return Asking(calls, Sources(Nowhere(), Nowhere(), (web or Web()).fetch), Readers(DecoderGate()))


def tensors(count: int, size: int) -> list[Tensor]:
    return [Tensor(DataType.UINT8, (size,), FILE[:size])] * count


@pytest.fixture
def half_a_second() -> Iterator[None]:
    """A call that has so much time."""
    context: Any = SimpleNamespace()
    call = Call("/a/b", context, MethodOptions(full_name="a.b"), {}, unauthenticated=False, deadline=time.monotonic() + 0.5)
    token = current_call.set(call)
    yield
    current_call.reset(token)


def test_large_inputs_are_asked_about_in_portions_and_given_up_once_they_are_answered() -> None:
    calls = Calls()
    items = asking(calls).ask(TARGET, tensors(20, 10 * MIB), Limits())
    assert calls.sizes == [8, 8, 4]
    assert all(item.result is not None and item.error is None for item in items)
    held = [item.row_bytes for item in items if item.prepared is not None and item.prepared.row]
    assert sum(held) <= 64 * MIB


def test_small_inputs_are_asked_about_together() -> None:
    calls = Calls()
    asking(calls).ask(TARGET, tensors(1000, 28 * 28), Limits())
    assert calls.sizes == [1000]


def test_a_model_that_goes_away_halfway_leaves_the_answers_that_there_are() -> None:
    items = asking(Calls(good=1)).ask(TARGET, tensors(20, 10 * MIB), Limits())
    assert [item.error.reason if item.error is not None else "" for item in items] == [""] * 8 + ["MODEL_SERVER_UNAVAILABLE"] * 12
    with pytest.raises(Unavailable):
        asking(Calls(good=0)).ask(TARGET, tensors(20, 10 * MIB), Limits())


def test_files_from_elsewhere_have_a_limit_together() -> None:
    web = Web()
    items = asking(Calls(), web).ask(TARGET, [WebAddress(f"https://pictures.example/{n}") for n in range(100)], Limits())
    assert [item.error.reason for item in items if item.error is not None].count("TOO_LARGE") == 96
    assert sum(len(item.content) for item in items if isinstance(item.content, bytes)) == 64 * MIB
    assert web.fetched <= 4 + 8


@pytest.mark.usefixtures("half_a_second")
def test_nothing_more_is_fetched_once_the_time_of_the_call_is_over() -> None:
    web = Web(pause_s=0.2, size=1000)
    started = time.monotonic()
    items = asking(Calls(), web).ask(TARGET, [WebAddress("https://slow.example/")] * 500, Limits())
    assert time.monotonic() - started < 2
    assert items[-1].error is not None and items[-1].error.reason == "DEADLINE_EXCEEDED"
