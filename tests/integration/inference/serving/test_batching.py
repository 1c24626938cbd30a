"""Rows that share calls, over a real channel to a server in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelmesh_chassis.calls import Call, current_call
from labelmesh_chassis.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, MeshError, ResourceExhausted, Unavailable
from labelmesh_chassis.methods import MethodOptions
from labelmesh_inference.serving.batching import Answer, BatchPolicy, CallKey, ModelCalls
from labelmesh_inference.serving.client import ModelServer
from labelmesh_inference.serving.packing import Row
from labelmesh_inference.serving.values import DataType, Tensor
from prometheus_client import CollectorRegistry

from tests.unit.inference.serving.lean_server import LeanServer, Refused, doubled

KEY = CallKey("m", None)


class Setup:
    """A server, and calls to it."""

    def __init__(self, **options: Any) -> None:
        self.server = LeanServer()
        self.client = ModelServer(self.server.target)
        self.registry = CollectorRegistry()
        self.calls = ModelCalls(self.client, registry=self.registry, **options)
        # The connection is there before anything is measured.
        self.client.is_up()

    def ask(self, number: float, policy: BatchPolicy | None = None, **options: Any) -> Answer:
        return self.calls.call(KEY, policy or BatchPolicy(), row(number), **options)

    def figure(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, {"model": "m", **labels}) or 0

    def close(self) -> None:
        self.calls.close()
        self.client.close()
        self.server.stop()


@pytest.fixture
def setup() -> Iterator[Setup]:
    made = Setup()
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Setup]:
    """One for all examples of a property."""
    made = Setup()
    yield made
    made.close()


def row(number: float) -> dict[str, Any]:
    return {"x": np.full((2,), number, np.float32)}


def told(answer: Answer | MeshError) -> list[float] | str:
    return answer.reason if isinstance(answer, MeshError) else answer.outputs["y"].tolist()


def outcome(asked: Future[Answer]) -> Answer | MeshError:
    try:
        return asked.result(10)
    except MeshError as failure:
        return failure


def in_flight(setup: Setup, calls: int = 1) -> None:
    until = time.monotonic() + 5
    while setup.server.at_once < calls:
        assert time.monotonic() < until
        time.sleep(0.001)


def bad_rows_refused(inputs: Any) -> Any:
    if (inputs["x"] < 0).any():
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "negative")
    return doubled(inputs)


def serving(left_s: float) -> Call:
    context: Any = SimpleNamespace()
    return Call("/a/b", context, MethodOptions(full_name="a.b"), {}, unauthenticated=False, deadline=time.monotonic() + left_s)


class TestOneCaller:
    def test_a_row_gets_its_own_answer(self, setup: Setup) -> None:
        answer = setup.ask(3)
        assert answer.outputs["y"].tolist() == [6, 6]
        assert (answer.version, answer.batch_size) == (1, 1)
        assert 0 <= answer.waiting_s < 0.1 and 0 < answer.model_s < 1

    def test_a_row_does_not_wait_when_nobody_else_asks(self, setup: Setup) -> None:
        policy = BatchPolicy(max_wait_s=1)
        started = time.monotonic()
        for number in range(20):
            setup.ask(number, policy)
        assert time.monotonic() - started < 1

    def test_rows_may_be_tensors_strings_and_of_several_inputs(self, setup: Setup) -> None:
        setup.server.model = lambda inputs: {"n": np.char.str_len(inputs["s"].astype("S")) + inputs["a"]}
        rows: list[Row] = [{"s": Tensor(DataType.STRING, (), strings=(b"x" * count,)), "a": np.array(10 * count)} for count in (1, 2, 3)]
        found = setup.calls.call_many(KEY, BatchPolicy(), rows)
        assert [int(one.outputs["n"]) for one in found if isinstance(one, Answer)] == [11, 22, 33]
        assert setup.server.sizes == [3]

    def test_an_input_that_no_model_takes_is_refused_by_name(self, setup: Setup) -> None:
        with pytest.raises(InvalidArgument, match="x: no model takes datetime64"):
            setup.calls.call(KEY, BatchPolicy(), {"x": np.zeros(1, "M8[s]")})
        assert not setup.server.requests

    @pytest.mark.parametrize("output", [np.zeros((3, 2), np.float32), np.float32(1)])
    def test_an_output_that_is_not_one_for_each_row_is_named(self, setup: Setup, output: Any) -> None:
        setup.server.model = lambda inputs: {"y": output}
        with pytest.raises(FailedPrecondition, match="output y has the shape") as refused:
            setup.ask(1)
        assert refused.value.reason == "MANIFEST_MISMATCH"

    def test_an_answer_can_be_turned_down_by_the_deadline_of_the_call_being_served(self, setup: Setup) -> None:
        setup.server.delay_s = 1
        token = current_call.set(serving(0.1))
        try:
            with pytest.raises(DeadlineExceeded) as failure:
                setup.ask(1)
        finally:
            current_call.reset(token)
        assert failure.value.reason == "MODEL_TOO_SLOW"


class TestSharing:
    def test_rows_that_come_while_a_call_is_in_flight_share_the_next(self, setup: Setup) -> None:
        setup.server.delay_s = 0.1
        policy = BatchPolicy(max_wait_s=0.3)
        with ThreadPoolExecutor(9) as callers:
            first = callers.submit(setup.ask, 0, policy)
            in_flight(setup)
            others = [callers.submit(setup.ask, number, policy) for number in range(1, 9)]
            answers = [first.result(), *(one.result() for one in others)]
        assert setup.server.sizes == [1, 8]
        assert [answer.outputs["y"].tolist() for answer in answers] == [[2 * number] * 2 for number in range(9)]
        assert {answer.batch_size for answer in answers[1:]} == {8}

    def test_a_row_waits_no_longer_than_it_may_for_company(self, setup: Setup) -> None:
        setup.server.delay_s = 0.5
        policy = BatchPolicy(max_wait_s=0.05)
        with ThreadPoolExecutor(2) as callers:
            first = callers.submit(setup.ask, 1, policy)
            in_flight(setup)
            answer = callers.submit(setup.ask, 2, policy).result()
            first.result()
        assert 0.04 < answer.waiting_s < 0.3
        assert setup.server.sizes == [1, 1]

    def test_a_full_call_leaves_at_once(self, setup: Setup) -> None:
        setup.server.delay_s = 0.3
        policy = BatchPolicy(max_batch_size=4, max_wait_s=1)
        with ThreadPoolExecutor(5) as callers:
            first = callers.submit(setup.ask, 0, policy)
            in_flight(setup)
            others = [callers.submit(setup.ask, number, policy) for number in range(4)]
            assert max(one.result().waiting_s for one in others) < 0.25
            first.result()
        assert setup.server.sizes == [1, 4]

    def test_callers_in_a_loop_fill_the_calls(self, setup: Setup) -> None:
        setup.server.delay_s = 0.005

        def work() -> None:
            for _ in range(30):
                setup.ask(1, BatchPolicy(max_wait_s=0.02))

        with ThreadPoolExecutor(8) as callers:
            for one in [callers.submit(work) for _ in range(8)]:
                one.result()
        assert sum(setup.server.sizes) == 240
        assert 240 / len(setup.server.sizes) > 5

    def test_rows_of_different_shapes_types_outputs_versions_and_signatures_never_share(self, setup: Setup) -> None:
        setup.server.versions = (1, 2)
        setup.server.delay_s = 0.05
        policy = BatchPolicy(max_wait_s=1)
        kinds: list[tuple[CallKey, dict[str, Any], list[str]]] = [
            (KEY, {"x": np.zeros(2, np.float32)}, []),
            (KEY, {"x": np.zeros(3, np.float32)}, []),
            (KEY, {"x": np.zeros(2, np.float64)}, []),
            (KEY, {"x": np.zeros(2, np.float32), "z": np.zeros(2, np.float32)}, []),
            (KEY, {"x": np.zeros(2, np.float32)}, ["y"]),
            (CallKey("m", 1), {"x": np.zeros(2, np.float32)}, []),
            (CallKey("m", None, "other"), {"x": np.zeros(2, np.float32)}, []),
        ]
        with ThreadPoolExecutor(21) as callers:
            answers = [callers.submit(setup.calls.call, key, policy, sent, outputs) for _ in range(3) for key, sent, outputs in kinds]
            assert max(one.result().batch_size for one in answers) <= 2
        assert sum(setup.server.sizes) == 21

    def test_one_refused_row_fails_alone(self, setup: Setup) -> None:
        setup.server.delay_s = 0.1
        setup.server.model = bad_rows_refused
        policy = BatchPolicy(max_wait_s=0.3)
        with ThreadPoolExecutor(8) as callers:
            first = callers.submit(setup.ask, 0, policy)
            in_flight(setup)
            setup.server.delay_s = 0
            found = [outcome(one) for one in [callers.submit(setup.ask, number, policy) for number in (1, 2, -3, 4, 5, 6, 7)]]
            first.result()
        assert [told(one) for one in found] == [[2, 2], [4, 4], "INPUT_REFUSED", [8, 8], [10, 10], [12, 12], [14, 14]]
        assert setup.server.sizes[1] == 7

    def test_a_failure_of_the_model_server_is_everybodys(self, setup: Setup) -> None:
        setup.server.delay_s = 0.1
        policy = BatchPolicy(max_wait_s=1)

        def away(inputs: Any) -> Any:
            raise Refused(grpc.StatusCode.UNAVAILABLE, "away")

        with ThreadPoolExecutor(4) as callers:
            first = callers.submit(setup.ask, 0, policy)
            in_flight(setup)
            setup.server.delay_s, setup.server.model = 0, away
            found = [outcome(one) for one in [callers.submit(setup.ask, number, policy) for number in range(3)]]
            outcome(first)
        assert all(isinstance(one, Unavailable) for one in found)
        assert len({id(one) for one in found}) == 3

    def test_who_has_no_time_left_leaves_without_hurting_the_others(self, setup: Setup) -> None:
        setup.server.delay_s = 0.4
        patient, hasty = BatchPolicy(max_wait_s=0.02, timeout_s=5), BatchPolicy(max_wait_s=0.02, timeout_s=0.2)
        with ThreadPoolExecutor(5) as callers:
            first = callers.submit(setup.ask, 0, patient)
            in_flight(setup)
            started = time.monotonic()
            leaving = [callers.submit(setup.ask, number, hasty) for number in (1, 2)]
            staying = [callers.submit(setup.ask, number, patient) for number in (3, 4)]
            for one in leaving:
                with pytest.raises(DeadlineExceeded):
                    one.result()
            assert time.monotonic() - started < 0.39
            assert [one.result().outputs["y"].tolist() for one in staying] == [[6, 6], [8, 8]]
            first.result()

    def test_who_leaves_before_the_call_is_sent_is_not_sent(self, setup: Setup) -> None:
        setup.server.delay_s = 0.3
        policy = BatchPolicy(max_wait_s=0.5, max_calls_in_flight=1)
        with ThreadPoolExecutor(3) as callers:
            first = callers.submit(setup.ask, 0, policy)
            in_flight(setup)
            leaving = callers.submit(setup.ask, 1, BatchPolicy(max_wait_s=0.5, max_calls_in_flight=1, timeout_s=0.05))
            staying = callers.submit(setup.ask, 2, policy)
            with pytest.raises(DeadlineExceeded):
                leaving.result()
            staying.result()
            first.result()
        assert setup.server.sizes == [1, 1]


class TestLimits:
    def test_beyond_the_cap_a_call_is_refused_at_once_and_told_when_to_come_back(self, setup: Setup) -> None:
        setup.server.delay_s = 0.3
        policy = BatchPolicy(max_batch_size=1, max_calls_in_flight=2)
        with ThreadPoolExecutor(2) as callers:
            running = [callers.submit(setup.ask, number, policy) for number in range(2)]
            in_flight(setup, 2)
            started = time.monotonic()
            with pytest.raises(ResourceExhausted) as refused:
                setup.ask(3, policy)
            assert time.monotonic() - started < 0.1
            assert setup.figure("labelmesh_model_calls_in_flight") == 2
            for one in running:
                one.result()
        assert refused.value.reason == "MODEL_BUSY"
        assert refused.value.retry_after is not None and 0.05 <= refused.value.retry_after <= 5
        assert setup.figure("labelmesh_model_calls_refused_total") == 1
        assert setup.figure("labelmesh_model_calls_in_flight") == 0
        assert setup.ask(3, policy).outputs["y"].tolist() == [6, 6]

    def test_no_more_rows_wait_than_one_call_holds(self, setup: Setup) -> None:
        setup.server.delay_s = 0.3
        policy = BatchPolicy(max_batch_size=3, max_wait_s=1, max_calls_in_flight=1)
        with ThreadPoolExecutor(8) as callers:
            first = callers.submit(setup.ask, 0, policy)
            in_flight(setup)
            found = [outcome(one) for one in [callers.submit(setup.ask, number, policy) for number in range(7)]]
            first.result()
        assert [told(one) for one in found].count("MODEL_BUSY") == 4
        assert setup.server.sizes == [1, 3]
        assert setup.server.most_at_once == 1

    def test_the_cap_holds_under_load(self, setup: Setup) -> None:
        setup.server.delay_s = 0.002
        policy = BatchPolicy(max_batch_size=2, max_wait_s=0.001, max_calls_in_flight=2)

        def work(caller: int) -> int:
            answered = 0
            for _ in range(40):
                try:
                    assert setup.ask(caller, policy).outputs["y"].tolist() == [2 * caller] * 2
                    answered += 1
                except ResourceExhausted:
                    time.sleep(0.001)
            return answered

        with ThreadPoolExecutor(16) as callers:
            answered = sum(callers.map(work, range(16)))
        assert setup.server.most_at_once <= 2
        assert answered == sum(setup.server.sizes)
        assert setup.figure("labelmesh_model_calls_in_flight") == 0

    def test_a_model_that_hangs_leaves_threads_for_the_others(self) -> None:
        setup = Setup(max_callers=3, stuck_s=0.1)
        setup.server.delay_s = 0.5
        with ThreadPoolExecutor(4) as callers:
            running = [callers.submit(setup.ask, number) for number in range(4)]
            in_flight(setup)
            time.sleep(0.2)
            with pytest.raises(ResourceExhausted):
                setup.ask(4)
            for one in running:
                one.result()
        assert setup.ask(4).outputs["y"].tolist() == [8, 8]
        setup.close()

    def test_a_model_that_answers_takes_as_many_callers_as_come(self) -> None:
        setup = Setup(max_callers=3, stuck_s=0.5)
        setup.server.delay_s = 0.02
        with ThreadPoolExecutor(24) as callers:
            answers = [callers.submit(setup.ask, number % 7) for number in range(200)]
            assert [one.result().outputs["y"].tolist() for one in answers] == [[2 * (number % 7)] * 2 for number in range(200)]
        setup.close()

    def test_how_many_rows_shared_calls_is_a_figure(self, setup: Setup) -> None:
        setup.calls.call_many(KEY, BatchPolicy(max_batch_size=8), [row(1)] * 20)
        assert setup.figure("labelmesh_model_batch_size_count") == 3
        assert setup.figure("labelmesh_model_batch_size_sum") == 20
        assert setup.figure("labelmesh_model_batch_size_bucket", le="4.0") == 1
        assert setup.figure("labelmesh_model_call_seconds_count") == 3


class TestManyRows:
    def test_answers_come_in_the_order_of_their_rows_whatever_their_shapes(self, setup: Setup) -> None:
        rows = [{"x": np.full((2 + number % 3,), number, np.float32)} for number in range(50)]
        found = setup.calls.call_many(KEY, BatchPolicy(max_batch_size=8), rows)
        assert [told(one) for one in found] == [[2 * number] * (2 + number % 3) for number in range(50)]
        assert sorted(setup.server.sizes) == sorted([8, 8, 1] * 2 + [8, 8])

    def test_no_rows_are_no_answers(self, setup: Setup) -> None:
        assert setup.calls.call_many(KEY, BatchPolicy(), []) == []

    @settings(max_examples=25, deadline=None)
    @given(numbers=st.lists(st.sampled_from([1, 2, 3, -1]), max_size=20), size=st.integers(1, 8))
    def test_whichever_rows_are_refused_the_others_are_answered(self, shared: Setup, numbers: list[int], size: int) -> None:
        setup = shared
        setup.server.model = bad_rows_refused
        found = setup.calls.call_many(KEY, BatchPolicy(max_batch_size=size), [row(number) for number in numbers])
        assert [told(one) for one in found] == ["INPUT_REFUSED" if number < 0 else [2 * number] * 2 for number in numbers]

    def test_a_call_that_is_too_large_for_the_models_memory_is_made_smaller(self, setup: Setup) -> None:
        def small_memory(inputs: Any) -> Any:
            if len(inputs["x"]) > 3:
                raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "OOM when allocating tensor")
            return doubled(inputs)

        setup.server.model = small_memory
        found = setup.calls.call_many(KEY, BatchPolicy(), [row(number) for number in range(10)])
        assert [told(one) for one in found] == [[2 * number] * 2 for number in range(10)]
        assert {one.batch_size for one in found if isinstance(one, Answer)} <= {2, 3}

    def test_a_row_of_another_kind_than_a_model_takes_fails_alone(self, setup: Setup) -> None:
        found = setup.calls.call_many(KEY, BatchPolicy(), [row(1), {"x": np.zeros(1, "M8[s]")}, row(2)])
        assert [told(one) for one in found] == [[2, 2], "WRONG_TYPE", [4, 4]]

    def test_two_calls_at_most_are_in_flight_for_one_caller(self, setup: Setup) -> None:
        setup.server.delay_s = 0.02
        setup.calls.call_many(KEY, BatchPolicy(max_batch_size=1), [row(number) for number in range(12)])
        assert setup.server.most_at_once == 2

    def test_at_the_cap_all_rows_are_refused_at_once(self, setup: Setup) -> None:
        setup.server.delay_s = 0.3
        policy = BatchPolicy(max_batch_size=1, max_calls_in_flight=1)
        with ThreadPoolExecutor(1) as callers:
            running = callers.submit(setup.ask, 0, policy)
            in_flight(setup)
            found = setup.calls.call_many(KEY, policy, [row(1), row(2)])
            running.result()
        assert [told(one) for one in found] == ["MODEL_BUSY", "MODEL_BUSY"]

    def test_what_is_not_answered_in_time_says_so(self, setup: Setup) -> None:
        setup.server.delay_s = 0.3
        found = setup.calls.call_many(KEY, BatchPolicy(max_batch_size=1, timeout_s=0.45), [row(number) for number in range(6)])
        reasons = [told(one) for one in found]
        assert reasons[:2] == [[0, 0], [2, 2]]
        assert set(map(str, reasons[2:])) == {"MODEL_TOO_SLOW"}

    def test_rows_wait_for_a_place_that_a_call_of_many_gives_back(self, setup: Setup) -> None:
        setup.server.delay_s = 0.1
        policy = BatchPolicy(max_batch_size=2, max_wait_s=0.001, max_calls_in_flight=1)
        with ThreadPoolExecutor(2) as callers:
            many = callers.submit(setup.calls.call_many, KEY, policy, [row(number) for number in range(4)])
            in_flight(setup)
            assert setup.ask(5, policy).outputs["y"].tolist() == [10, 10]
            assert [told(one) for one in many.result()] == [[2 * number] * 2 for number in range(4)]
