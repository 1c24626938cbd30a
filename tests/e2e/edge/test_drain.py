"""A gateway that goes while its callers call: the tender beside it drains it first, and no call is lost."""

from __future__ import annotations

import http.client
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labelmesh_gateway.tending import Admin
from labelmesh_local.ports import free_port
from labelmesh_local.process import Process, wait_until

from tests.e2e.edge.mesh import Door, EdgeMesh

PATH = "/v1/projects?page_size=1"


@contextmanager
def tender(door: Door, folder: Path, *arguments: str) -> Iterator[Process]:
    """`python -m labelmesh_gateway tend` beside a gateway."""
    log = folder / "tend.log"
    command = [sys.executable, "-m", "labelmesh_gateway", "tend", *arguments]
    process = Process("tend", command, log=log, environment={"LABELMESH_GATEWAY_ADMIN_PORT": str(door.admin_port)})
    process.start()
    try:
        wait_until(process, lambda: "tending" in log.read_text(), timeout=60)
        yield process
    finally:
        process.kill()


class Callers:
    """Four callers that keep their connections, as browsers do. A new one goes to the gateway only while that is ready, else to another, as
    a balancer would have it."""

    def __init__(self, leaving: Door, ops: Door, other: Door, token: str) -> None:
        self._leaving, self._ops, self._other = leaving, ops, other
        self._headers = {"authorization": f"Bearer {token}"}
        self._stop = threading.Event()
        self.outcomes: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(4)]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self) -> None:
        while not self._stop.is_set():
            gateway = self._leaving if self._ops_say_ready() else self._other
            where = "leaving" if gateway is self._leaving else "other"
            connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=15)
            open_still = True
            while open_still and not self._stop.is_set():
                try:
                    connection.request("GET", PATH, headers=self._headers)
                    response = connection.getresponse()
                    response.read()
                    outcome = f"{where} {response.status}"
                    open_still = not response.will_close
                except (OSError, http.client.HTTPException) as error:
                    outcome, open_still = f"{where} {error!r}", False
                with self._lock:
                    self.outcomes[outcome] += 1
            connection.close()

    def _ops_say_ready(self) -> bool:
        try:
            return self._ops.http("GET", "/ready").status == 200
        except OSError:
            return False


def test_a_gateway_that_goes_under_load_loses_no_call(edge: EdgeMesh, token: str, tmp_path: Path) -> None:
    port = free_port()
    with edge.second_door(tmp_path / "gateway", ops_listen=f"127.0.0.1:{port}") as door, tender(door, tmp_path, "--lead", "1") as tending:
        ops = Door(port, door.admin_port)
        slow = http.client.HTTPConnection("127.0.0.1", door.port, timeout=60)
        slow.putrequest("POST", "/v1/sessions:reportActivity")
        for name, value in (("authorization", f"Bearer {token}"), ("content-type", "application/json"), ("content-length", "2")):
            slow.putheader(name, value)
        slow.endheaders(b"{")
        with Callers(door, ops, edge, token) as callers:
            while callers.outcomes["leaving 200"] < 50:
                time.sleep(0.05)
            tending.ask_to_stop()
            wait_until(tending, lambda: ops.http("GET", "/ready").status == 503, timeout=20)
            assert not tending.wait(3), "it did not wait for the call whose body is still on its way"
            slow.send(b"}")
            assert slow.getresponse().status == 200
            slow.close()
            assert tending.wait(30)
            assert tending.exit_code == 0
            before = callers.outcomes["other 200"]
            Admin(door.admin_port).ask("POST", "/quitquitquit")
            while callers.outcomes["other 200"] < before + 50:
                time.sleep(0.05)
    assert set(callers.outcomes) == {"leaving 200", "other 200"}


def test_a_call_that_does_not_end_is_waited_for_as_long_as_told(edge: EdgeMesh, token: str, tmp_path: Path) -> None:
    with (
        edge.second_door(tmp_path / "gateway") as door,
        tender(door, tmp_path, "--lead", "0", "--seconds", "1") as tending,
    ):
        slow = http.client.HTTPConnection("127.0.0.1", door.port, timeout=60)
        slow.putrequest("POST", "/v1/sessions:reportActivity")
        slow.putheader("authorization", f"Bearer {token}")
        slow.putheader("content-length", "2")
        slow.endheaders(b"{")
        deadline = time.monotonic() + 20
        while door.envoy_stat("http.edge.downstream_rq_active") != 1:
            assert time.monotonic() < deadline
        tending.ask_to_stop()
        assert tending.wait(30)
        assert tending.exit_code == 1
        slow.close()


def test_from_the_first_moment_callers_are_told_to_take_another_connection(edge: EdgeMesh, tmp_path: Path) -> None:
    with edge.second_door(tmp_path / "gateway") as door, tender(door, tmp_path, "--lead", "20") as tending:
        assert "connection" not in door.http("GET", "/v1/projects").headers
        tending.ask_to_stop()
        deadline = time.monotonic() + 15
        while door.http("GET", "/v1/projects").headers.get("connection") != "close":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert tending.running, "the lead is not over"
