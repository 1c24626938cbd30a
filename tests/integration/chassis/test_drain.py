"""A stop that nobody notices: not ready first, while calls are still taken; then those being served end; then nothing is left."""

from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from labelmesh_chassis.errors import MeshError, Unavailable

from tests.integration.chassis.service import Caller, Service, settings, until

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class Probe:
    """Asks for health as Envoy and the kubelet do."""

    def __init__(self, port: int) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub: Any = health_pb2_grpc.HealthStub(self._channel)

    def status(self, service: str = "") -> int:
        return int(self.stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5).status)

    def close(self) -> None:
        self._channel.close()


@pytest.fixture
def service() -> Iterator[Service]:
    started = Service(settings(health_listen="127.0.0.1:0"))
    yield started
    started.stop()


def test_health_is_told_on_a_port_of_its_own_and_nothing_else_is(service: Service) -> None:
    probe = Probe(service.server.health_port)
    assert probe.status() == probe.status("labelmesh.labeling.v1.ProjectService") == SERVING
    caller = Caller(f"127.0.0.1:{service.server.health_port}")
    with pytest.raises(MeshError, match="Method not found"):
        caller.get(timeout=5)
    caller.close()
    probe.close()


def test_while_a_stop_leads_health_says_so_everywhere_and_calls_are_still_served(service: Service) -> None:
    own, besides = Probe(service.server.port), Probe(service.server.health_port)
    caller = Caller(service.target)
    assert [own.status(), besides.status(), _ops(service)] == [SERVING, SERVING, 200]
    watched = besides.stub.Watch(health_pb2.HealthCheckRequest(), timeout=30)
    assert next(watched).status == SERVING
    stopping = threading.Thread(target=service.server.stop, kwargs={"lead_s": 3, "drain_s": 5})
    stopping.start()
    # Told at once to those who watch, long before calls are refused.
    assert next(watched).status == NOT_SERVING
    assert [own.status(), besides.status(), _ops(service)] == [NOT_SERVING, NOT_SERVING, 503]
    # A check that goes on finding everything well does not make it ready again.
    time.sleep(1.2)
    assert [own.status(), besides.status(), _ops(service)] == [NOT_SERVING, NOT_SERVING, 503]
    caller.get()
    assert stopping.is_alive()
    stopping.join()
    with pytest.raises(Unavailable):
        caller.get(timeout=0.5)
    for probe in (own, besides):
        probe.close()
    caller.close()


def test_health_is_told_until_the_last_call_has_ended() -> None:
    """A probe that finds nobody would have the container killed with the calls that it still serves."""
    go_on = threading.Event()
    began = threading.Event()

    def work() -> None:
        began.set()
        assert go_on.wait(30)

    service = Service(settings(health_listen="127.0.0.1:0"), get=work)
    probe, caller = Probe(service.server.health_port), Caller(service.target)
    answers: list[object] = []
    calling = threading.Thread(target=lambda: answers.append(caller.get(timeout=30)))
    calling.start()
    assert began.wait(10)
    stopping = threading.Thread(target=service.server.stop, kwargs={"lead_s": 0, "drain_s": 20})
    stopping.start()
    until(lambda: _refused(service.target))
    assert probe.status() == NOT_SERVING
    go_on.set()
    calling.join()
    stopping.join()
    assert len(answers) == 1
    probe.close()
    caller.close()


def test_a_stream_that_lasts_longer_than_the_drain_ends_with_it_and_its_caller_may_call_again() -> None:
    over = threading.Event()

    def watch() -> Iterator[int]:
        number = 0
        while not over.wait(0.05):
            yield (number := number + 1)

    service = Service(settings(), watch=watch)
    caller = Caller(service.target)
    stream = iter(caller.watch())
    next(stream)
    stopping = threading.Thread(target=service.server.stop, kwargs={"lead_s": 0.5, "drain_s": 0.5})
    stopping.start()
    with pytest.raises(MeshError) as caught:
        for _ in stream:
            assert not over.is_set()
    stopping.join(10)
    assert not stopping.is_alive()
    over.set()
    # To whoever sees it this is a service that is away, not an answer.
    assert isinstance(caught.value, Unavailable), caught.value
    caller.close()


def _ops(service: Service) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{service.server.ops.port}/healthz", timeout=5) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


def _refused(target: str) -> bool:
    """Whether nobody listens there any more."""
    host, _, port = target.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except ConnectionError:  # refused, or ended while it waited to be taken
        return True
    return False
