"""Every way to an inside that is known to us: none of them leads to a connection."""

from __future__ import annotations

import gzip
import socket
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from ipaddress import ip_network
from typing import Any

import pytest
from labelmesh_chassis.errors import InvalidArgument
from labelmesh_chassis.fetching import Fetched, fetch

from tests.integration.chassis.attacks import NAMED, REDIRECTED, WRITTEN

# A server of good standing, as far as those who fetch are told: everything else of loopback is not.
ORIGIN = "127.0.0.77"
ALLOWED = (ip_network(ORIGIN + "/32"),)
MAX_BYTES = 100_000
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"
Answer = Callable[[socket.socket, bytes], None]
_connections: dict[int, list[Any]] = {}


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and (seen := _connections.get(threading.get_ident())) is not None:
        seen.append(arguments[1])


# Python tells of every connection that this process begins.
sys.addaudithook(_audit)


@pytest.fixture
def connections() -> Iterator[list[Any]]:
    """Where this test's own thread connects to."""
    _connections[threading.get_ident()] = []
    yield _connections[threading.get_ident()]
    del _connections[threading.get_ident()]


class Trap:
    """Listens on every address of the machine, both families, and notes who comes."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]

    def close(self) -> None:
        self._listener.close()

    def caught(self) -> int:
        """How many have come since the last time."""
        count = 0
        with suppress(BlockingIOError):
            while True:
                self._listener.accept()[0].close()
                count += 1
        return count


@pytest.fixture(scope="module")
def trap() -> Iterator[Trap]:
    with closing(Trap()) as made:
        yield made


class Origin:
    """Answers each request by a function."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._listener = socket.create_server((ORIGIN, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(5)
                request = b""
                while b"\r\n\r\n" not in request and (piece := connection.recv(4096)):
                    request += piece
                self._answer(connection, request)


def names(host: str) -> Sequence[str]:
    return {"pictures.example": [ORIGIN], "inside.example": ["127.0.0.1"]}[host]


def refused(url: str, **options: Any) -> InvalidArgument:
    asked: dict[str, Any] = {"max_bytes": MAX_BYTES, "timeout_s": 2, "resolver": names, "allowed_networks": ALLOWED}
    with pytest.raises(InvalidArgument) as found:
        fetch(url, **asked | options)
    assert found.value.violations[0].field == "url"
    return found.value


def leading_to(*places: str) -> Answer:
    """Redirects the first request to the first place, the second to the second ..."""
    left = list(places)

    def answer(connection: socket.socket, request: bytes) -> None:
        place = left.pop(0) if len(left) > 1 else left[0]
        connection.sendall(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + place.encode() + b"\r\n\r\n")

    return answer


def test_there_are_more_than_250_ways_and_no_two_are_alike() -> None:
    ways = [
        *WRITTEN,
        *(f"name {name}" for name, _ in NAMED),
        *(f"redirect {place}" for place in REDIRECTED),
        *(f"answer {n}" for n in ANSWERS),
    ]
    assert len(set(ways)) == len(ways) >= 250


def test_the_trap_would_catch(trap: Trap, connections: list[Any]) -> None:
    open_to_all: dict[str, Any] = {"allowed_networks": (ip_network("127.0.0.0/8"), ip_network("::1/128")), "allowed_ports": {trap.port}}
    refused(f"http://127.0.0.1:{trap.port}/", timeout_s=0.2, **open_to_all)
    refused(f"http://[::1]:{trap.port}/", timeout_s=0.2, **open_to_all)
    assert (trap.caught(), len(connections)) == (2, 2)


@pytest.mark.parametrize("url", WRITTEN)
def test_an_address_that_is_not_plainly_public_is_refused_as_it_is_written(url: str, trap: Trap, connections: list[Any]) -> None:
    looked_up: list[str] = []

    def resolver(host: str) -> Sequence[str]:
        looked_up.append(host)
        return ["127.0.0.1"]

    ports = {80, 443, trap.port} if "{port}" in url else {80, 443}
    found = refused(url.replace("{port}", str(trap.port)), resolver=resolver, allowed_ports=ports, allowed_networks=())
    assert found.reason == "URL_REFUSED"
    assert (looked_up, connections, trap.caught()) == ([], [], 0)


@pytest.mark.parametrize(("name", "addresses"), NAMED)
def test_a_name_that_leads_inside_is_refused(name: str, addresses: list[str], trap: Trap, connections: list[Any]) -> None:
    found = refused(f"http://{name}:{trap.port}/", resolver=lambda host: addresses, allowed_ports={trap.port})
    assert found.reason == "URL_REFUSED"
    assert (connections, trap.caught()) == ([], 0)


@pytest.mark.parametrize("hops", [0, 2])
@pytest.mark.parametrize("place", REDIRECTED)
def test_a_redirect_leads_no_further_inside_than_an_address(place: str, hops: int, trap: Trap, connections: list[Any]) -> None:
    target = place.replace("{port}", str(trap.port))
    with closing(Origin(leading_to(*(f"/{hop}" for hop in range(hops)), target))) as origin:
        url = f"http://pictures.example:{origin.port}/"
        found = refused(url, allowed_ports={80, 443, origin.port, trap.port})
        # Some are paths of the same server, read as it is meant: that one leads in a ring then.
        assert found.reason in ("URL_REFUSED", "URL_FAILED")
        assert {address for address, *_ in connections} == {ORIGIN}
    assert trap.caught() == 0


def test_a_name_server_that_changes_its_answer_gains_nothing(trap: Trap, connections: list[Any]) -> None:
    answers = iter([[ORIGIN], ["127.0.0.1"]])
    with closing(Origin(leading_to("/again"))) as origin:
        url = f"http://pictures.example:{origin.port}/"
        found = refused(url, resolver=lambda host: next(answers), allowed_ports={origin.port, trap.port})
    assert found.reason == "URL_REFUSED"
    assert [address for address, *_ in connections] == [ORIGIN]


@pytest.mark.parametrize("answer", [[], ["no address"], ["127.0.0.1 "], ["1"], ["\x00"], ["::1::"]])
def test_a_name_server_that_answers_nonsense_is_not_believed(answer: list[str], connections: list[Any]) -> None:
    assert refused("http://pictures.example/", resolver=lambda host: answer).reason == "URL_FAILED"
    assert not connections


def sending(*pieces: bytes, pause: float = 0.0, times: int = 1) -> Answer:
    """The first piece once, the others again and again."""

    def answer(connection: socket.socket, request: bytes) -> None:
        connection.sendall(pieces[0])
        for _ in range(times):
            for piece in pieces[1:]:
                connection.sendall(piece)
                time.sleep(pause)

    return answer


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
FOREVER = 1_000_000
ANSWERS: dict[str, Answer] = {
    "a body without end": sending(HEAD + b"\r\n", bytes(65536), times=FOREVER),
    "a body that drips": sending(HEAD + b"Content-Length: 1000\r\n\r\n", b"a", pause=0.02, times=500),
    "a head that drips": sending(b"HTTP/1.1 200 OK\r\nX-", b"a", pause=0.02, times=500),
    "a status that drips": sending(b"", b"H", pause=0.02, times=500),
    "silence": lambda connection, request: time.sleep(3),
    "a head without end": sending(b"HTTP/1.1 200 OK\r\n", b"X: " + b"y" * 1000 + b"\r\n", times=FOREVER),
    "a line without end": sending(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 65536, times=FOREVER),
    "a status without end": sending(b"HTTP/1.1 200 ", b"O" * 65536, times=FOREVER),
    "early hints without end": sending(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", times=FOREVER),
    "chunks without end": sending(CHUNKED, b"10000\r\n" + bytes(65536) + b"\r\n", times=FOREVER),
    "chunks of one byte": sending(CHUNKED, b"1\r\na\r\n" * 5000, times=FOREVER),
    "a chunk of 2^64": sending(CHUNKED + b"ffffffffffffffff\r\n", bytes(65536), times=FOREVER),
    "a chunk of less than nothing": sending(CHUNKED + b"-1\r\n", bytes(65536), times=10),
    "a chunk with a size without end": sending(CHUNKED, b"0" * 65536, times=FOREVER),
    "chunks with extensions without end": sending(CHUNKED + b"1;", b"x" * 65536, times=FOREVER),
    "trailers without end": sending(CHUNKED + b"1\r\na\r\n0\r\n", b"X: y\r\n" * 1000, times=FOREVER),
    "a length of 2^63": sending(HEAD + b"Content-Length: 9223372036854775807\r\n\r\n", bytes(65536), times=FOREVER),
    "a length of 4,300 digits": sending(HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", bytes(65536), times=FOREVER),
    "a length that is too long": sending(HEAD + b"Content-Length: 100\r\n\r\n" + bytes(50)),
    "two lengths": sending(HEAD + b"Content-Length: 200000\r\nContent-Length: 5\r\n\r\n", bytes(65536), times=10),
    "a packed bomb": sending(HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(10_000_000))),
    "a packed bomb of another kind": sending(HEAD + b"Content-Encoding: br\r\n\r\n" + bytes(100)),
    "a page": sending(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>"),
    "no type": sending(b"HTTP/1.1 200 OK\r\n\r\nabc"),
    "a type with a line in it": sending(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n image/png\r\n\r\nabc"),
    "no HTTP": sending(b"SSH-2.0-OpenSSH_9.6\r\n", b"a" * 1000, times=100),
    "an older HTTP": sending(b"\x89PNG\r\n\x1a\n" + bytes(1000)),
    "a redirect to nowhere": sending(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"),
    "a ring": sending(b"HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"),
    "nothing": lambda connection, request: None,
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_a_server_that_means_ill_costs_little_time_and_memory(answer: Answer) -> None:
    with closing(Origin(answer)) as origin:
        tracemalloc.start()
        started = time.monotonic()
        try:
            found = refused(f"http://pictures.example:{origin.port}/", timeout_s=0.2, allowed_ports={origin.port})
            taken, (_, peak) = time.monotonic() - started, tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert found.reason in ("URL_FAILED", "URL_TOO_LARGE")
    assert taken < 1
    assert peak < 10 * MAX_BYTES


def test_a_server_that_means_well_is_asked_at_its_own_address(connections: list[Any]) -> None:
    with closing(Origin(sending(HEAD + b"Content-Length: 3\r\n\r\nabc"))) as origin:
        got = fetch(
            f"http://pictures.example:{origin.port}/",
            max_bytes=MAX_BYTES,
            timeout_s=2,
            resolver=names,
            allowed_networks=ALLOWED,
            allowed_ports={origin.port},
        )
    assert got == Fetched(b"abc", "image/png", f"http://pictures.example:{origin.port}/")
    assert [address for address, *_ in connections] == [ORIGIN]
