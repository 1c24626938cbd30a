"""Between the gateway and the services: nobody is believed without the right certificate, and certificates change while all run."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from tests.e2e.edge.mesh import Door, EdgeMesh, bearer
from tests.e2e.edge.secured import SecuredServices
from tests.e2e.edge.test_tokens import list_projects
from tests.e2e.edge.test_traces import until_answered
from tests.support.certificates import Authority
from tests.support.collector import Collector

_SEEN_S = 30


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SEEN_S
    while not true():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.1)


def is_shut_out(door: Door) -> None:
    """Nobody behind the door can be reached; judged once the gateway itself has tried often enough to know."""
    until(lambda: door.envoy_stat("cluster.auth.health_check.failure") >= 2)
    assert door.envoy_stat("cluster.auth.health_check.success") == 0
    refused = door.refused_sign_in()
    assert (refused.status, refused.reason) == (503, "SERVICE_UNAVAILABLE")


@pytest.mark.parametrize("whose", ["another authority", "nobody"])
def test_services_speak_with_nobody_without_a_certificate_of_theirs(
    edge: EdgeMesh, secured: SecuredServices, tmp_path: Path, whose: str
) -> None:
    foreign = secured.mounted(tmp_path / "foreign", authority=Authority(tmp_path / "authority", name="foreign"))
    settings = secured.told(secured.mounted(tmp_path / "tls"))
    if whose == "another authority":
        settings |= {"upstream_certificate": foreign.certificate, "upstream_private_key": foreign.key}
    else:
        settings |= {"upstream_certificate": None, "upstream_private_key": None}
    with edge.second_door(tmp_path / "gateway", **settings) as door:
        is_shut_out(door)


def test_auth_takes_no_call_of_another_service(edge: EdgeMesh, secured: SecuredServices, tmp_path: Path) -> None:
    settings = secured.told(secured.mounted(tmp_path / "tls", name="inference"))
    with edge.second_door(tmp_path / "gateway", **settings) as door:
        # Whether it is healthy it says to every service.
        until(lambda: door.envoy_stat("cluster.auth.health_check.success") > 0)
        assert door.refused_sign_in().status == 403
        headers = {"authorization": f"Bearer {edge.sign_in()}"}
        assert door.http("GET", "/v1/projects", headers=headers).reason == "AUTH_UNAVAILABLE"


def test_the_gateway_takes_one_service_for_another_never(edge: EdgeMesh, secured: SecuredServices, tmp_path: Path) -> None:
    settings = secured.told(secured.mounted(tmp_path / "tls")) | {"auth": secured.settings["labeling"]}
    with edge.second_door(tmp_path / "gateway", **settings) as door:
        is_shut_out(door)
        assert door.envoy_stat("cluster.auth.ssl.fail_verify_san") > 0


def test_the_gateway_believes_no_service_and_no_keys_of_another_authority(edge: EdgeMesh, secured: SecuredServices, tmp_path: Path) -> None:
    foreign = secured.mounted(tmp_path / "foreign", authority=Authority(tmp_path / "authority", name="foreign"))
    settings = secured.told(secured.mounted(tmp_path / "tls")) | {"upstream_ca": foreign.ca}
    with edge.second_door(tmp_path / "gateway", **settings) as door:
        is_shut_out(door)
        token = edge.sign_in()
        assert door.http("GET", "/v1/projects", headers={"authorization": f"Bearer {token}"}).reason == "AUTH_UNAVAILABLE"
        assert door.envoy_stat("cluster.auth_ops.ssl.fail_verify_error") > 0
        assert door.envoy_stat("cluster.auth_ops.upstream_rq_total") == 0


def test_services_speak_no_plaintext(edge: EdgeMesh, secured: SecuredServices, tmp_path: Path) -> None:
    with edge.second_door(tmp_path / "gateway", **secured.settings) as door:
        is_shut_out(door)


def test_a_renewed_certificate_is_used_without_a_new_start(edge: EdgeMesh, secured: SecuredServices, tmp_path: Path) -> None:
    certificate = secured.mounted(tmp_path / "tls", authority=Authority(tmp_path / "authority", name="foreign"))
    with edge.second_door(tmp_path / "gateway", **secured.told(certificate)) as door:
        is_shut_out(door)
        certificate.put(secured.authority, "gateway")
        token = edge.sign_in()
        until_answered(lambda: list_projects(door, *bearer(token)))


def test_spans_go_to_no_collector_without_a_certificate_of_the_authority(edge: EdgeMesh, secured: SecuredServices, tmp_path: Path) -> None:
    settings = secured.told(secured.mounted(tmp_path / "tls"))
    certificate, key = secured.authority.issue("collector", addresses=["127.0.0.1"])
    pair = (key.read_bytes(), certificate.read_bytes())
    trusted = grpc.ssl_server_credentials([pair], secured.authority.ca.read_bytes(), require_client_auth=True)
    with Collector(credentials=trusted) as collector, Collector() as plain:
        with edge.second_door(tmp_path / "gateway", otlp=collector.endpoint, **settings) as door:
            door.http("GET", "/v1/nothing")
            collector.wait_for(len)
        with edge.second_door(tmp_path / "other", otlp=plain.endpoint, otlp_http=plain.http_endpoint, **settings) as door:
            headers = {"authorization": f"Bearer {edge.sign_in()}"}
            until(lambda: door.http("GET", "/v1/projects", headers=headers).status == 200)
            until(lambda: door.envoy_stat("cluster.collector.ssl.connection_error") > 0)
            assert door.http("POST", "/telemetry/v1/traces", {"resourceSpans": []}, headers).status == 503
        assert plain.spans() == []


def test_callers_are_shown_the_renewed_certificate(edge: EdgeMesh, tmp_path: Path, secured: SecuredServices) -> None:
    own = secured.mounted(tmp_path / "tls", name="localhost")

    def shown(port: int) -> bytes | None:
        context = ssl.create_default_context(cafile=str(secured.authority.ca))
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            assert tls.version() in ("TLSv1.2", "TLSv1.3")
            return tls.getpeercert(binary_form=True)

    with edge.second_door(tmp_path / "gateway", tls_certificate=own.certificate, tls_private_key=own.key) as door:
        first = shown(door.port)
        own.put(secured.authority, "localhost")
        until(lambda: shown(door.port) != first)
