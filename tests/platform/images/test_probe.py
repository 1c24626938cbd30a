"""The health check that the images carry, against a real gRPC server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import probe
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

PROBE = Path(__file__).resolve().parents[3] / "images" / "probe.py"


@pytest.fixture
def servicer() -> health.HealthServicer:
    return health.HealthServicer()


@pytest.fixture
def port(servicer: health.HealthServicer) -> Iterator[int]:
    server = grpc.server(ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None).wait()


def test_a_server_that_serves_is_healthy(port: int) -> None:
    assert probe.serves("127.0.0.1", port)


def test_a_server_that_does_not_serve_is_not_healthy(port: int, servicer: health.HealthServicer) -> None:
    servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)

    assert not probe.serves("127.0.0.1", port)


def test_as_a_program_it_says_so_by_its_status(port: int, free_port: int) -> None:
    def status(asked: int) -> int:
        return subprocess.run([sys.executable, "-I", "-S", str(PROBE), str(asked)], capture_output=True, check=False).returncode

    assert status(port) == 0
    assert status(free_port) == 1


def test_a_server_that_is_no_grpc_server_is_not_healthy(free_port: int) -> None:
    import http.server
    import threading

    with http.server.HTTPServer(("127.0.0.1", free_port), http.server.SimpleHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            assert not probe.serves("127.0.0.1", free_port, timeout=1)
        except OSError:
            pass
        finally:
            server.shutdown()
            thread.join()
