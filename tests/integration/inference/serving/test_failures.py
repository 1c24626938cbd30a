"""Model servers that are killed, hang, are slow or reload, and the calls that were under way."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from labelmesh_chassis.errors import DeadlineExceeded, MeshError, NotFound, ResourceExhausted, Unavailable
from labelmesh_inference.serving.batching import BatchPolicy, CallKey, ModelCalls
from labelmesh_inference.serving.client import ModelServer
from labelmesh_inference.serving.values import Reply
from prometheus_client import CollectorRegistry

from tests.support.models import digit_of
from tests.support.serving import ServedModels

PICTURE = np.full((28, 28, 1), 0.45, np.float32)


class Load:
    """Callers that ask again and again from the moment this is made; what they got, by version, and what failed."""

    def __init__(self, client: ModelServer, *, callers: int = 4, timeout_s: float = 10, name: str = "digits") -> None:
        self.answered: Counter[int] = Counter()
        self.wrong: list[object] = []
        self.failures: list[MeshError] = []
        self.slowest = 0.0
        self._client, self._name, self._timeout_s = client, name, timeout_s
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._work) for _ in range(callers)]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                reply = self._client.predict(self._name, None, "", {"image": PICTURE[None]}, timeout_s=self._timeout_s)
            except MeshError as failure:
                with self._lock:
                    self.failures.append(failure)
                continue
            digit = int(reply.array("scores").argmax())
            with self._lock:
                self.slowest = max(self.slowest, time.monotonic() - started)
                self.answered[reply.version] += 1
                if digit != digit_of(0.45, reply.version):
                    self.wrong.append((reply.version, digit))

    def until(self, version: int, more: int = 20, timeout_s: float = 20) -> None:
        """Waits until `more` further answers of a version have come."""
        wanted, end = self.answered[version] + more, time.monotonic() + timeout_s
        while self.answered[version] < wanted:
            assert time.monotonic() < end, f"version {version} does not answer: {self.answered}, {self.failures[:3]}"
            time.sleep(0.01)

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *failure: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in self._threads)


def ask(client: ModelServer, model: str = "digits", timeout_s: float = 5) -> Reply:
    return client.predict(model, None, "", {"image": PICTURE[None]}, timeout_s=timeout_s)


def eventually(client: ModelServer, timeout_s: float = 15) -> float:
    """Seconds until a call is answered."""
    started = time.monotonic()
    while True:
        try:
            ask(client, timeout_s=1)
            return time.monotonic() - started
        except MeshError:
            assert time.monotonic() - started < timeout_s
            time.sleep(0.05)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedModels]:
    """Version 1 of digits, not started yet."""
    made = ServedModels(tmp_path / "first")
    made.publish("digits", 1)
    yield made
    made.stop()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[ServedModels]:
    """A second replica. It serves version 2 instead, so that an answer tells who gave it."""
    made = ServedModels(tmp_path / "second")
    made.publish("digits", 2)
    yield made
    made.stop()


def test_a_killed_model_server_is_said_at_once_and_found_again_when_it_is_back(served: ServedModels) -> None:
    served.start()
    client = ModelServer(served.target)
    ask(client)
    served.kill()
    started = time.monotonic()
    with pytest.raises(Unavailable) as failure:
        ask(client, timeout_s=10)
    assert time.monotonic() - started < 4
    assert failure.value.retry_after
    assert not client.is_up()
    served.start()
    assert eventually(client) < 4
    client.close()


def test_a_hung_model_server_costs_callers_no_more_than_their_time_and_is_found_again(served: ServedModels) -> None:
    served.start()
    client = ModelServer(served.target, silence_s=3)
    ask(client)
    served.pause()
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded) as slow:
        ask(client, timeout_s=1)
    assert slow.value.reason == "MODEL_TOO_SLOW"
    assert time.monotonic() - started < 1.5
    # With more time than it may be silent, it is given up, and what follows is refused without waiting.
    with pytest.raises(Unavailable):
        ask(client, timeout_s=20)
    assert time.monotonic() - started < 10
    again = time.monotonic()
    with pytest.raises((Unavailable, DeadlineExceeded)):
        ask(client, timeout_s=20)
    assert time.monotonic() - again < 8
    served.resume()
    assert eventually(client) < 5
    client.close()


def test_a_long_call_is_not_taken_for_a_hung_server(served: ServedModels) -> None:
    served.publish("slow", 1)
    served.start()
    client = ModelServer(served.target, silence_s=0.9)
    took, steps = 0.0, 4000
    for _ in range(6):  # As many steps as this machine needs for twice the silence.
        inputs = {"x": np.ones(1, np.float32), "steps": np.array(steps, np.int32)}
        started = time.monotonic()
        assert client.predict("slow", None, "", inputs, timeout_s=60).array("y").tolist() == [1]
        took, steps = time.monotonic() - started, steps * 2
        if took > 1.8:
            break
    assert took > 1.8, "the call was too short to show anything"
    client.close()


def test_while_one_model_is_slow_the_others_go_on(served: ServedModels) -> None:
    served.publish("slow", 1)
    served.start()
    client = ModelServer(served.target)
    calls = ModelCalls(client, registry=CollectorRegistry())
    policy = BatchPolicy(max_batch_size=1, max_calls_in_flight=1, timeout_s=1)
    inputs = {"x": np.ones(1, np.float32), "steps": np.array(100_000, np.int32)}

    def hang() -> None:
        with pytest.raises(DeadlineExceeded):
            client.predict("slow", None, "", inputs, timeout_s=1.5)

    hanging = threading.Thread(target=hang)
    hanging.start()
    time.sleep(0.2)
    took = []
    for _ in range(20):
        started = time.monotonic()
        answer = calls.call(CallKey("digits", None), policy, {"image": PICTURE})
        took.append(time.monotonic() - started)
        assert int(answer.outputs["scores"].argmax()) == digit_of(0.45, 1)
    hanging.join(10)
    assert sorted(took)[10] < 0.5
    calls.close()
    client.close()


def test_load_goes_to_both_replicas_and_a_killed_one_loses_no_answer(served: ServedModels, other: ServedModels) -> None:
    served.start()
    other.start()
    client = ModelServer(f"ipv4:{served.target},{other.target}")
    with Load(client) as load:
        load.until(1)
        load.until(2)
        other.kill()
        load.until(1, 200)
        other.start()
        load.until(2)
    assert (load.failures, load.wrong) == ([], [])
    client.close()


def test_a_replica_that_hangs_loses_no_answer_and_is_used_again_when_it_goes_on(served: ServedModels, other: ServedModels) -> None:
    served.start()
    other.start()
    client = ModelServer(f"ipv4:{served.target},{other.target}", silence_s=3)
    with Load(client) as load:
        load.until(1)
        load.until(2)
        other.pause()
        load.until(1, 200)
        other.resume()
        load.until(2)
    assert (load.failures, load.wrong) == ([], [])
    assert load.slowest < 8
    client.close()


def test_a_new_version_under_load_fails_no_call_and_answers_name_who_gave_them(served: ServedModels) -> None:
    served.start()
    client = ModelServer(served.target)
    with Load(client) as load:
        load.until(1)
        served.publish("digits", 2)
        load.until(2)
        served.publish("digits", 3)
        load.until(3)
        served.withdraw("digits", 1, 2)
        load.until(3, 100)
    assert (load.failures, load.wrong) == ([], [])
    assert set(load.answered) == {1, 2, 3}
    client.close()


def test_a_model_that_is_no_longer_served_is_said_and_the_others_go_on(served: ServedModels) -> None:
    served.publish("digits", 1, name="numbers")
    served.start()
    client = ModelServer(served.target)
    with Load(client, callers=2) as load:
        load.until(1)
        assert ask(client, "numbers").version == 1
        served.withdraw("numbers", 1)
        end = time.monotonic() + 10
        with pytest.raises(NotFound) as gone:
            while time.monotonic() < end:
                ask(client, "numbers")
                time.sleep(0.02)
        assert gone.value.reason == "MODEL_NOT_SERVED"
        load.until(1)
    assert load.failures == []
    client.close()


def test_the_cap_refuses_at_once_while_the_server_hangs(served: ServedModels) -> None:
    served.start()
    client = ModelServer(served.target)
    calls = ModelCalls(client, registry=CollectorRegistry())
    policy = BatchPolicy(max_batch_size=1, max_calls_in_flight=2, timeout_s=3)
    ask(client)
    served.pause()
    ended: list[MeshError] = []

    def hang() -> None:
        with pytest.raises(MeshError) as failure:
            calls.call(CallKey("digits", None), policy, {"image": PICTURE})
        ended.append(failure.value)

    hanging = [threading.Thread(target=hang) for _ in range(2)]
    for thread in hanging:
        thread.start()
    time.sleep(0.3)
    started = time.monotonic()
    for _ in range(50):
        with pytest.raises(ResourceExhausted):
            calls.call(CallKey("digits", None), policy, {"image": PICTURE})
    assert time.monotonic() - started < 0.5
    for thread in hanging:
        thread.join(10)
    assert [one.reason for one in ended] == ["MODEL_TOO_SLOW"] * 2
    served.resume()
    assert eventually(client) < 5
    calls.close()
    client.close()
