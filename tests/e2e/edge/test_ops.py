"""What those who operate the gateway can ask, and nothing else of Envoy's admin page."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from labelmesh_gateway.tending import Admin
from labelmesh_local.ports import free_port

from tests.e2e.edge.mesh import Door, EdgeMesh

# What an admin page answers by GET, said in every way that a proxy might turn into it.
ADMIN_PATHS = ("/", "/stats", "/config_dump", "/certs", "/clusters", "/logging", "/server_info", "/stats/prometheus", "/listeners")
CHANGES = ("/quitquitquit", "/healthcheck/fail", "/drain_listeners", "/logging?level=trace", "/reset_counters")
DETOURS = (
    "/ready/../config_dump",
    "/metrics/../../config_dump",
    "/metrics/..%2fconfig_dump",
    "/metrics%2f..%2fconfig_dump",
    "/%2e%2e/config_dump",
    "/metrics/%2e%2e/config_dump",
    "/metrics\\..\\config_dump",
    "/metrics;/../config_dump",
    "/metrics?/../config_dump",
    "/metrics#/../config_dump",
    "/metrics/",
    "/metrics?filter=.*&format=json",
    "/ready?enable",
    "/METRICS",
)


@pytest.fixture(scope="module")
def ops(edge: EdgeMesh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Door, Door]]:
    """A door, and the listener beside it for those who operate it."""
    port = free_port()
    with edge.second_door(tmp_path_factory.mktemp("ops"), ops_listen=f"127.0.0.1:{port}") as door:
        yield door, Door(port, door.admin_port)


def said(port: int, request: bytes) -> bytes:
    """What is answered to bytes that no client library would send."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer and (data := connection.recv(65536)):
            answer += data
    return answer


def test_it_is_ready_and_counts_what_it_serves(ops: tuple[Door, Door]) -> None:
    door, asked = ops
    assert door.http("GET", "/v1/projects").status == 401
    assert (asked.http("GET", "/ready").status, asked.http("GET", "/ready").body) == (200, b"LIVE\n")
    metrics = asked.http("GET", "/metrics")
    assert (metrics.status, metrics.headers["content-type"]) == (200, "text/plain; charset=UTF-8")
    assert b'envoy_http_downstream_rq_xx{envoy_response_code_class="4",envoy_http_conn_manager_prefix="edge"} 1\n' in metrics.body
    assert b'envoy_cluster_membership_healthy{envoy_cluster_name="auth"} 2\n' in metrics.body


@pytest.mark.parametrize("path", [*ADMIN_PATHS, *CHANGES, *DETOURS])
def test_no_other_path_of_the_admin_page_is_reached(ops: tuple[Door, Door], path: str) -> None:
    _, asked = ops
    for verb in ("GET", "POST", "HEAD", "PUT"):
        line = f"{verb} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        status, _, body = said(asked.port, line.encode()).partition(b"\r\n")
        assert status.split()[1] in (b"404", b"400"), (verb, path, status)
        assert b"envoy" not in body.lower().replace(b"server: envoy", b""), (verb, path)


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET http://127.0.0.1/config_dump HTTP/1.1",
        b"CONNECT 127.0.0.1:9901 HTTP/1.1",
        b"GET /ready\t/config_dump HTTP/1.1",
        b"POST /ready HTTP/1.1",
    ],
)
def test_no_other_way_of_asking_reaches_it(ops: tuple[Door, Door], request_line: bytes) -> None:
    answer = said(ops[1].port, request_line + b"\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    assert answer.split()[1] in (b"404", b"400", b"403")


def test_two_requests_in_one_do_not_become_one_for_the_admin_page(ops: tuple[Door, Door]) -> None:
    first = b"GET /ready HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    said(ops[1].port, first + b"POST /healthcheck/fail HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
    assert ops[1].http("GET", "/ready").status == 200


def test_the_edge_itself_serves_neither(ops: tuple[Door, Door]) -> None:
    door, _ = ops
    # Without a page in the way: whatever else is asked is answered by the page.
    for path in ("/metrics", "/ready"):
        reply = door.http("GET", path)
        assert b"envoy_" not in reply.body
        assert b"LIVE" not in reply.body


def test_probes_get_through_where_callers_hold_every_connection(edge: EdgeMesh, tmp_path: Path) -> None:
    port = free_port()
    with edge.second_door(tmp_path, ops_listen=f"127.0.0.1:{port}", max_connections=3) as door:
        held = [socket.create_connection(("127.0.0.1", door.port), timeout=10) for _ in range(6)]
        try:
            assert [Door(port, door.admin_port).http("GET", "/ready").status for _ in range(3)] == [200] * 3
            assert door.envoy_stat(f"listener.127.0.0.1_{door.port}.downstream_global_cx_overflow") > 0
        finally:
            for connection in held:
                connection.close()


def test_a_draining_gateway_says_so_and_serves_on(edge: EdgeMesh, tmp_path: Path) -> None:
    port = free_port()
    with edge.second_door(tmp_path, ops_listen=f"127.0.0.1:{port}") as door:
        asked = Door(port, door.admin_port)
        Admin(door.admin_port).ask("POST", "/healthcheck/fail")
        assert (asked.http("GET", "/ready").status, asked.http("GET", "/metrics").status) == (503, 200)
        assert door.http("GET", "/v1/projects").status == 401
