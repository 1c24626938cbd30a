"""The client against a real server in this process that speaks its API."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from labelmesh_chassis.calls import Call, current_call
from labelmesh_chassis.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    MeshError,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from labelmesh_chassis.methods import MethodOptions
from labelmesh_inference.serving.client import ModelServer
from labelmesh_inference.serving.values import DataType, ServedVersion, TensorSpec, VersionState
from labelmesh_local.ports import free_port

from tests.integration.inference.serving.names import NameServer
from tests.unit.inference.serving.lean_server import LeanServer, Refused

ROWS = np.arange(6, dtype=np.float32).reshape(3, 2)


@pytest.fixture
def server() -> Iterator[LeanServer]:
    with LeanServer(versions=(1, 3)) as running:
        yield running


@pytest.fixture
def client(server: LeanServer) -> Iterator[ModelServer]:
    made = ModelServer(server.target)
    yield made
    made.close()


def ask(client: ModelServer, model: str = "m", version: int | None = None, timeout_s: float = 5, **inputs: Any) -> Any:
    return client.predict(model, version, "", inputs or {"x": ROWS}, timeout_s=timeout_s)


def serving(left_s: float) -> Call:
    context: Any = SimpleNamespace()
    deadline = time.monotonic() + left_s
    return Call("/a/b", context, MethodOptions(full_name="a.b"), {}, unauthenticated=False, deadline=deadline)


def test_the_newest_version_answers_and_is_named(client: ModelServer) -> None:
    reply = ask(client)
    assert reply.version == 3
    assert np.array_equal(reply.array("y"), ROWS * 2)


def test_a_version_that_is_asked_for_answers(client: ModelServer) -> None:
    assert ask(client, version=1).version == 1


def test_only_the_outputs_asked_for_come(server: LeanServer, client: ModelServer) -> None:
    server.model = lambda inputs: {"y": inputs["x"], "z": inputs["x"]}
    assert set(ask(client).outputs) == {"y", "z"}
    assert set(client.predict("m", None, "", {"x": ROWS}, outputs=["z"], timeout_s=5).outputs) == {"z"}


def test_inputs_and_outputs_larger_than_grpcs_own_limit_pass(client: ModelServer) -> None:
    large = np.ones((3, 1_000_000), np.float32)
    assert ask(client, x=large).array("y").shape == large.shape


def test_a_message_larger_than_the_setting_is_refused_as_such(server: LeanServer) -> None:
    client = ModelServer(server.target, max_message_bytes=1_000_000)
    with pytest.raises(ResourceExhausted) as refused:
        ask(client, x=np.ones(300_000, np.float32))
    assert refused.value.reason == "MESSAGE_TOO_LARGE"
    server.model = lambda inputs: {"y": np.ones(300_000, np.float32)}
    with pytest.raises(ResourceExhausted) as refused:
        ask(client)
    assert refused.value.reason == "MESSAGE_TOO_LARGE"
    client.close()


@pytest.mark.parametrize(
    ("code", "text", "kind", "reason"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "input size does not match signature", InvalidArgument, "INPUT_REFUSED"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "OOM when allocating tensor with shape[64,512]", ResourceExhausted, "MODEL_OUT_OF_MEMORY"),
        (
            grpc.StatusCode.UNAVAILABLE,
            "The batch scheduling queue to which this task was submitted is full; currently 100",
            ResourceExhausted,
            "MODEL_BUSY",
        ),
        (grpc.StatusCode.UNAVAILABLE, "Socket closed", Unavailable, "MODEL_SERVER_UNAVAILABLE"),
        (grpc.StatusCode.CANCELLED, "stopping", Unavailable, "MODEL_SERVER_UNAVAILABLE"),
        (grpc.StatusCode.FAILED_PRECONDITION, 'Serving signature key "a" not found.', FailedPrecondition, "SIGNATURE_NOT_FOUND"),
        (grpc.StatusCode.FAILED_PRECONDITION, "Could not find variable conv1", FailedPrecondition, "MODEL_FAILED"),
        (grpc.StatusCode.INTERNAL, "Blas GEMM launch failed", FailedPrecondition, "MODEL_FAILED"),
        (grpc.StatusCode.UNIMPLEMENTED, "no such method", FailedPrecondition, "NOT_A_MODEL_SERVER"),
    ],
)
def test_every_status_of_the_model_server_has_a_reason(
    server: LeanServer, client: ModelServer, code: grpc.StatusCode, text: str, kind: type[MeshError], reason: str
) -> None:
    def refuse(inputs: Any) -> Any:
        raise Refused(code, text)

    server.model = refuse
    with pytest.raises(kind) as refused:
        ask(client)
    assert refused.value.reason == reason
    # A caller learns what is wrong with its input or model, and of the mesh's inside nothing.
    assert (text in refused.value.message) == (
        code not in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNIMPLEMENTED}
    )
    assert (refused.value.retry_after is not None) == (reason in {"MODEL_OUT_OF_MEMORY", "MODEL_BUSY", "MODEL_SERVER_UNAVAILABLE"})


def test_what_is_not_served_is_not_found(client: ModelServer) -> None:
    with pytest.raises(NotFound) as refused:
        ask(client, model="n")
    assert refused.value.reason == "MODEL_NOT_SERVED"
    with pytest.raises(NotFound) as refused:
        ask(client, version=2)
    assert refused.value.reason == "VERSION_NOT_SERVED"


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
def test_a_call_that_found_nobody_or_a_stopping_server_is_tried_again(
    server: LeanServer, client: ModelServer, code: grpc.StatusCode
) -> None:
    failures = iter([1, 2, 3])

    def fail_three_times(inputs: Any) -> Any:
        if next(failures, None):
            raise Refused(code, "restarting")
        return {"y": inputs["x"]}

    server.model = fail_three_times
    assert ask(client).version == 3
    assert len(server.requests) == 4


def test_a_large_call_that_found_nobody_is_tried_again(server: LeanServer, client: ModelServer) -> None:
    failures = iter([1])

    def fail_once(inputs: Any) -> Any:
        if next(failures, None):
            raise Refused(grpc.StatusCode.UNAVAILABLE, "restarting")
        return {"y": inputs["x"][:1]}

    server.model = fail_once
    assert ask(client, x=np.zeros((4, 1_000_000), np.float32)).version == 3


@pytest.mark.parametrize("code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL])
def test_nothing_else_is_tried_again(server: LeanServer, client: ModelServer, code: grpc.StatusCode) -> None:
    def refuse(inputs: Any) -> Any:
        raise Refused(code, "no")

    server.model = refuse
    with pytest.raises(MeshError):
        ask(client)
    assert len(server.requests) == 1


def test_a_slow_model_costs_no_more_than_the_time_it_may_take(server: LeanServer, client: ModelServer) -> None:
    server.delay_s = 2
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded) as refused:
        ask(client, timeout_s=0.2)
    assert time.monotonic() - started < 1
    assert refused.value.reason == "MODEL_TOO_SLOW"


def test_the_model_server_is_told_what_the_call_being_served_has_left(server: LeanServer, client: ModelServer) -> None:
    token = current_call.set(serving(0.5))
    try:
        ask(client, timeout_s=30)
        ask(client, timeout_s=0.1)
    finally:
        current_call.reset(token)
    left, less = server.timeouts
    assert left is not None and 0.2 < left <= 0.55
    assert less is not None and less <= 0.15


def test_nobody_is_asked_when_no_time_is_left(server: LeanServer, client: ModelServer) -> None:
    token = current_call.set(serving(-1))
    try:
        with pytest.raises(DeadlineExceeded):
            ask(client)
    finally:
        current_call.reset(token)
    assert not server.requests


def test_nobody_there_is_said_at_once_and_found_when_it_comes() -> None:
    port = free_port()
    client = ModelServer(f"127.0.0.1:{port}")
    started = time.monotonic()
    with pytest.raises(Unavailable) as refused:
        ask(client, timeout_s=10)
    assert time.monotonic() - started < 4
    assert refused.value.retry_after
    assert not client.is_up()
    with LeanServer(address=f"127.0.0.1:{port}"):
        until = time.monotonic() + 5
        while not client.is_up():
            assert time.monotonic() < until
            time.sleep(0.05)
        assert ask(client).version == 1
    client.close()


def test_load_goes_to_all_replicas_and_a_stopped_one_loses_no_answer() -> None:
    with LeanServer(delay_s=0.002) as first:
        second = LeanServer(delay_s=0.002)
        client = ModelServer(f"ipv4:{first.target},{second.target}")
        ask(client)
        answered = []

        def work() -> None:
            for _ in range(100):
                answered.append(ask(client).version)

        with ThreadPoolExecutor(4) as callers:
            running = [callers.submit(work) for _ in range(4)]
            time.sleep(0.15)
            second.stop()
            for one in running:
                one.result()
        assert len(answered) == 400
        assert len(first.requests) > 100 and len(second.requests) > 20
        client.close()


def test_what_a_model_takes_and_gives_is_known(client: ModelServer) -> None:
    found = client.signature("m", None)
    assert found.name == "serving_default"
    assert found.inputs == {"x": TensorSpec("x", DataType.FLOAT32, (-1, 2))}
    assert found.outputs["seen"] == TensorSpec("seen", "variant", None)


def test_a_signature_that_is_not_there_is_said_with_those_that_are(client: ModelServer) -> None:
    with pytest.raises(FailedPrecondition, match="m has no signature other; there are: serving_default") as refused:
        client.signature("m", 1, "other")
    assert refused.value.reason == "SIGNATURE_NOT_FOUND"


def test_the_states_of_versions_are_kept_for_a_moment(server: LeanServer) -> None:
    client = ModelServer(server.target, states_kept_s=0.3)
    wanted = (ServedVersion(3, VersionState.AVAILABLE), ServedVersion(1, VersionState.AVAILABLE))
    assert client.versions("m") == client.states("m") == wanted
    server.versions = (1,)
    assert client.states("m") == wanted
    assert client.versions("m") == wanted[1:]
    time.sleep(0.31)
    assert client.states("m") == wanted[1:]
    client.close()


def test_a_model_that_is_not_known_has_no_versions(client: ModelServer) -> None:
    assert client.versions("n") == ()


def test_a_server_that_does_not_know_the_model_is_up_all_the_same(client: ModelServer) -> None:
    assert client.is_up()


def test_a_closed_client_ends_its_calls(server: LeanServer, client: ModelServer) -> None:
    server.delay_s = 3
    ended: list[MeshError] = []

    def wait() -> None:
        with pytest.raises(MeshError) as failure:
            ask(client)
        ended.append(failure.value)

    caller = threading.Thread(target=wait)
    caller.start()
    until = time.monotonic() + 5
    while not server.requests:
        assert time.monotonic() < until
        time.sleep(0.01)
    client.close()
    caller.join(2)
    assert len(ended) == 1
    server.delay_s = 0


def test_no_proxy_of_the_environment_is_used(server: LeanServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("grpc_proxy", "https_proxy", "http_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_grpc_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    client = ModelServer(server.target)
    assert ask(client).version == 3
    client.close()


def test_new_replicas_behind_a_name_get_calls_and_old_ones_none_without_a_broken_connection() -> None:
    port = free_port()
    here, there = f"127.0.0.1:{port}", f"127.0.0.2:{port}"
    with LeanServer(address=here) as first, LeanServer(address=there) as second, NameServer("127.0.0.1") as names:
        client = ModelServer(f"dns://127.0.0.1:{names.port}/replicas.test:{port}", renew_s=0.2)
        ask(client)
        assert (len(first.requests), len(second.requests)) == (1, 0)
        names.addresses = ("127.0.0.1", "127.0.0.2")
        until = time.monotonic() + 5
        while not second.requests:
            assert time.monotonic() < until
            ask(client)
            time.sleep(0.02)
        names.addresses = ("127.0.0.2",)
        # Until ten calls in a row have gone to the one that is left.
        asked = len(first.requests)
        for _ in range(200):
            for _ in range(10):
                ask(client)
            if len(first.requests) == asked:
                break
            asked = len(first.requests)
            time.sleep(0.02)
        else:
            raise AssertionError("the replica that is gone still gets calls")
        client.close()
