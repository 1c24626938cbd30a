"""Batches: tensorflow/core/kernels/batching_util/shared_batch_scheduler.h, batching/batching_session.cc, batching/batching_util.h."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from labelmesh_modelserver.batching import Batcher, BatchScheduler, Feeds, merge
from labelmesh_modelserver.metrics import Metrics
from labelmesh_modelserver.parameters import BatchingParameters
from labelmesh_modelserver.statuses import Code, ServingError
from labelmesh_modelserver.tensors import Array


@dataclass(frozen=True)
class _Info:
    name: str


@dataclass(frozen=True)
class _Signature:
    inputs: dict[str, _Info] = field(default_factory=lambda: {"x": _Info("x:0")})
    outputs: dict[str, _Info] = field(default_factory=lambda: {"y": _Info("y:0")})


class Doubling:
    """A model whose answer is twice its input; remembers the shapes it was run with, and can be held."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.running = threading.Semaphore(0)
        self.answer: Callable[[Array], Array] = lambda x: x * 2
        self.timeouts: list[float | None] = []

    def run(self, feeds: Feeds, fetches: Sequence[str], timeout_s: float | None) -> list[Array]:
        x = dict(feeds)["x:0"]
        self.shapes.append(x.shape)
        self.timeouts.append(timeout_s)
        self.running.release()
        assert self.gate.wait(10)
        return [self.answer(x) for _ in fetches]


class Bench:
    """A batcher over such a model, and callers."""

    def __init__(self, **parameters: Any) -> None:
        self.model = Doubling()
        self.metrics = Metrics()
        chosen = {"max_batch_size": 4, "num_batch_threads": 1, "batch_timeout_s": 10.0, **parameters}
        chosen.setdefault("max_execution_batch_size", chosen["max_batch_size"])
        self.scheduler = BatchScheduler(BatchingParameters(**chosen), self.metrics)
        self.batcher = Batcher(self.scheduler, self.model.run, [_Signature()])
        self.callers = ThreadPoolExecutor(32)

    def call(self, x: Any, timeout_s: float | None = None) -> Future[Array]:
        array = np.asarray(x)
        return self.callers.submit(lambda: self.batcher.run([("x:0", array)], ["y:0"], timeout_s)[0])

    def fill_the_thread(self) -> Future[Array]:
        """Makes the one batch thread busy with a full batch, until the gate opens."""
        self.model.gate.clear()
        busy = self.call(np.zeros((self.scheduler.parameters.max_execution_batch_size, 1)))
        assert self.model.running.acquire(timeout=5)
        return busy

    def close(self) -> None:
        self.model.gate.set()
        self.callers.shutdown()
        self.batcher.close()
        self.scheduler.close()


@pytest.fixture
def make_bench() -> Iterator[Callable[..., Bench]]:
    """Benches that are closed although the test fails: their callers would wait forever."""
    made: list[Bench] = []

    def make(**parameters: Any) -> Bench:
        made.append(Bench(**parameters))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()


def _waiting(bench: Bench, calls: int) -> None:
    """Until so many calls have arrived at the batcher."""
    deadline = time.monotonic() + 5
    while f"input_batch_size_count{{}} {calls}" not in bench.metrics.page().decode():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_calls_are_joined_and_each_gets_its_own_rows(bench: Bench) -> None:
    calls = [bench.call([[float(number)]]) for number in range(4)]
    assert [call.result(5).tolist() for call in calls] == [[[0.0]], [[2.0]], [[4.0]], [[6.0]]]
    assert bench.model.shapes == [(4, 1)]


def test_calls_of_several_rows_are_never_torn_apart_without_splitting(bench: Bench) -> None:
    calls = [bench.call(np.full((3, 1), number)) for number in (1, 2)]
    _waiting(bench, 2)
    assert calls[0].result(5).tolist() == [[2]] * 3 or calls[1].result(5).tolist() == [[4]] * 3
    bench.call(np.full((1, 1), 9)).result(5)
    assert [call.result(5)[0, 0] for call in calls] == [2, 4]
    assert sorted(bench.model.shapes) == [(3, 1), (4, 1)]


def test_a_lonely_call_waits_no_longer_than_the_timeout(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(batch_timeout_s=0.05)
    began = time.monotonic()
    assert bench.call([[1.0]]).result(5).tolist() == [[2.0]]
    assert 0.045 <= time.monotonic() - began < 2


def test_while_the_threads_are_busy_calls_gather_into_one_batch(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(batch_timeout_s=0.0)
    busy = bench.fill_the_thread()
    calls = [bench.call([[float(number)]]) for number in range(3)]
    _waiting(bench, 4)
    bench.model.gate.set()
    busy.result(5)
    assert [call.result(5)[0, 0] for call in calls] == [0, 2, 4]
    assert bench.model.shapes == [(4, 1), (3, 1)]


def test_rows_of_other_shapes_or_types_go_apart_and_fail_apart(bench: Bench) -> None:
    def only_pairs(x: Array) -> Array:
        if x.shape[1:] != (2,):
            raise ServingError(Code.INVALID_ARGUMENT, "not a pair")
        return x * 2

    bench.model.answer = only_pairs
    rows: list[Any] = [[[1.0, 2.0]], [[1.0, 2.0, 3.0]], [[1, 2]]]
    calls = [bench.call(rows[number % 3]) for number in range(12)]
    pairs, triples, integers = calls[0::3], calls[1::3], calls[2::3]
    assert all(call.result(5).tolist() == [[2.0, 4.0]] for call in pairs)
    assert all(call.result(5).dtype == np.int64 for call in integers)
    assert all(str(call.exception(5)) == "INVALID_ARGUMENT: not a pair" for call in triples)


def test_variable_lengths_are_padded_where_the_parameters_say_so(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(max_batch_size=2, pad_variable_length_inputs=True)
    calls = [bench.call([[1, 2, 3]]), bench.call([[7]])]
    assert [call.result(5).tolist() for call in calls] == [[[2, 4, 6]], [[14, 14, 14]]]


def test_a_batch_is_filled_up_to_an_allowed_size_and_the_filling_is_not_answered(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(max_batch_size=8, allowed_batch_sizes=(2, 8), batch_timeout_s=0.01)
    assert bench.call([[1.0], [2.0], [3.0]]).result(5).tolist() == [[2.0], [4.0], [6.0]]
    assert bench.model.shapes == [(8, 1)]
    assert ':padding_size_count{execution_batch_size="8"} 1' in bench.metrics.page().decode()


def test_a_full_queue_refuses_at_once_in_tensorflow_servings_words(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(max_enqueued_batches=2)
    busy = bench.fill_the_thread()
    queued = [bench.call(np.zeros((4, 1))) for _ in range(2)]
    _waiting(bench, 3)
    refused = bench.call(np.zeros((1, 1))).exception(5)
    assert isinstance(refused, ServingError)
    assert refused.code is Code.UNAVAILABLE
    assert refused.text == (
        "The batch scheduling queue to which this task was submitted is full; currently 2 batches enqueued and max_enqueued_batches is 2"
    )
    bench.model.gate.set()
    for call in (busy, *queued):
        call.result(5)


def test_a_call_that_waited_past_its_deadline_is_not_computed(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(batch_timeout_s=0.0)
    busy = bench.fill_the_thread()
    late = bench.call([[1.0]], timeout_s=0.02)
    patient = bench.call([[2.0]], timeout_s=30)
    _waiting(bench, 3)
    time.sleep(0.05)
    bench.model.gate.set()
    busy.result(5)
    assert patient.result(5).tolist() == [[4.0]]
    refused = late.exception(5)
    assert isinstance(refused, ServingError)
    assert (refused.code, refused.text) == (Code.RESOURCE_EXHAUSTED, "Run() timeout exceeded while waiting in batching queue")
    assert bench.model.shapes[1:] == [(1, 1)]
    assert bench.model.timeouts[1] is not None and 25 < bench.model.timeouts[1] <= 30


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda x: x.sum(), "Batched output tensor has 0 dimensions"),
        (
            lambda x: x[:1],
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input tensors",
        ),
    ],
)
def test_a_model_that_does_not_answer_row_by_row_cannot_be_batched(bench: Bench, answer: Callable[[Array], Array], text: str) -> None:
    bench.model.answer = answer
    refused = bench.call(np.zeros((4, 1))).exception(5)
    assert isinstance(refused, ServingError)
    assert (refused.code, refused.text) == (Code.FAILED_PRECONDITION, text)


def test_a_call_larger_than_a_batch_is_refused_and_with_splitting_computed_in_pieces(make_bench: Callable[..., Bench]) -> None:
    whole = make_bench()
    refused = whole.call(np.zeros((5, 1))).exception(5)
    assert isinstance(refused, ServingError)
    assert (refused.code, refused.text) == (Code.INVALID_ARGUMENT, "Task size 5 is larger than maximum input batch size 4")
    split = make_bench(max_batch_size=10, max_execution_batch_size=4, enable_large_batch_splitting=True, batch_timeout_s=0.0)
    assert split.call(np.arange(10.0).reshape(10, 1)).result(5).ravel().tolist() == [2 * number for number in range(10)]
    assert sorted(split.model.shapes) == [(2, 1), (4, 1), (4, 1)]


@pytest.mark.parametrize(
    ("feeds", "text"),
    [
        ([("x:0", np.float32(1))], "Batching Run() input tensors must have at least one dimension"),
    ],
)
def test_inputs_without_rows_cannot_be_batched(bench: Bench, feeds: Any, text: str) -> None:
    with pytest.raises(ServingError) as refused:
        bench.batcher.run([(name, np.asarray(value)) for name, value in feeds], ["y:0"])
    assert (refused.value.code, refused.value.text) == (Code.INVALID_ARGUMENT, text)


def test_calls_that_match_no_signature_run_alone(bench: Bench) -> None:
    assert bench.batcher.run([("x:0", np.ones((1, 1)))], ["y:0", "z:0"])[0].tolist() == [[2.0]]
    assert bench.model.shapes == [(1, 1)]


def test_what_the_model_fails_with_reaches_every_caller_of_the_batch(bench: Bench) -> None:
    def fail(x: Array) -> Array:
        raise ServingError(Code.RESOURCE_EXHAUSTED, "OOM when allocating tensor")

    bench.model.answer = fail
    calls = [bench.call([[1.0]]) for _ in range(4)]
    assert {str(call.exception(5)) for call in calls} == {"RESOURCE_EXHAUSTED: OOM when allocating tensor"}


def test_strings_are_joined_and_padded_too() -> None:
    words = np.array([[b"a", b"b"]], dtype=object)
    word = np.array([[b"c"]], dtype=object)
    joined = merge([[("x", words)], [("x", word)]], 1, pad=True)
    assert joined[0][1].tolist() == [[b"a", b"b"], [b"c", b"c"], [b"c", b"c"]]


def test_models_take_turns(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(batch_timeout_s=0.0)
    other = Doubling()
    second = Batcher(bench.scheduler, other.run, [_Signature()])
    busy = bench.fill_the_thread()
    flood = [bench.call(np.zeros((4, 1))) for _ in range(5)]
    _waiting(bench, 6)
    lonely = bench.callers.submit(lambda: second.run([("x:0", np.ones((1, 1)))], ["y:0"])[0])
    _waiting(bench, 7)
    other.answer = lambda x: x * len(bench.model.shapes)
    bench.model.gate.set()
    assert lonely.result(5)[0, 0] <= 3, "one model's flood must not make another wait for all of it"
    for call in (busy, *flood):
        call.result(5)
