"""Fetching from addresses that others chose: every way to an inside that is known to us, and servers that do not play fair."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from labelmesh_chassis.addresses import is_public
from labelmesh_chassis.errors import InvalidArgument
from labelmesh_chassis.fetching import Fetched, fetch, plain

PICTURE = b"\x89PNG" + bytes(5000)
LOOPBACK = (ip_network("127.0.0.0/8"),)
Answer = Callable[[socket.socket, bytes], None]


def whole(body: bytes = PICTURE, *headers: str, status: str = "200 OK", media_type: str = "image/png") -> Answer:
    """Answers a request with everything at once."""

    def answer(connection: socket.socket, request: bytes) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Type: {media_type}", *(headers or [f"Content-Length: {len(body)}"])]
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)

    return answer


class Server:
    """A server on loopback that answers each connection by a function; it notes what it was asked."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        # Wakes the thread that waits in accept.
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
                self._one(connection)

    def _one(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        if self._tls:
            connection = self._tls.wrap_socket(connection, server_side=True)
        request = b""
        while b"\r\n\r\n" not in request:
            piece = connection.recv(4096)
            if not piece:
                return
            request += piece
        self.requests.append(request)
        self.answer(connection, request)
        if self._tls:
            connection.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(answer: Answer, tls: ssl.SSLContext | None = None) -> Server:
        started.append(Server(answer, tls))
        return started[-1]

    yield start
    for server in started:
        server.close()


def loopback(host: str) -> Sequence[str]:
    return ["127.0.0.1"]


def get(server: Server, path: str = "/a.png", *, scheme: str = "http", **changes: Any) -> Fetched:
    options: dict[str, Any] = {"max_bytes": 100_000, "timeout_s": 5, "resolver": loopback, "allowed_networks": LOOPBACK}
    options |= {"allowed_ports": {server.port, 80, 443}} | changes
    return fetch(f"{scheme}://pictures.example:{server.port}{path}", **options)


def refusal(do: Callable[[], object]) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as refused:
        do()
    assert refused.value.violations[0].field == "url"
    return refused.value


@pytest.mark.parametrize(
    ("url", "host", "port", "target"),
    [
        ("http://example.org", "example.org", 80, "/"),
        ("https://example.org", "example.org", 443, "/"),
        ("HTTPS://EXAMPLE.org./a.png", "example.org", 443, "/a.png"),
        ("http://example.org:443/a%20b.png?c=d&e=%2F#f", "example.org", 443, "/a%20b.png?c=d&e=%2F"),
        ("http://xn--exmple-cua.org/ä", "xn--exmple-cua.org", 80, "/%C3%A4"),
        ("http://8.8.8.8/", "8.8.8.8", 80, "/"),
        ("http://[2a00:1450:4001::1]/", "2a00:1450:4001::1", 80, "/"),
        ("http://a_b.example.org/", "a_b.example.org", 80, "/"),
    ],
)
def test_a_plain_address_is_read_as_it_is_written(url: str, host: str, port: int, target: str) -> None:
    found = plain(url)
    assert (found.host, found.port, found.target) == (host, port, target)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "193.0.6.139", "2a00:1450:4001:82a::200e", "2606:4700:4700::1111"])
def test_ordinary_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        ["8.8.8.8", "10.0.0.1"],
        ["::ffff:10.0.0.1"],
        ["64:ff9b::a00:1"],
        ["fe80::1%eth0"],
        ["8.8.8.8"] * 31 + ["::1"],
    ],
)
def test_a_name_that_leads_inside_is_refused_even_if_only_in_part(addresses: list[str]) -> None:
    found = refusal(lambda: fetch("http://example.org/", max_bytes=1000, timeout_s=1, resolver=lambda host: addresses))
    assert found.reason == "URL_REFUSED"


def test_a_file_is_fetched_with_its_type(serve: Callable[..., Server]) -> None:
    server = serve(whole(media_type="Image/PNG; charset=binary"))
    found = get(server, "/a.png?b=c")
    assert found == Fetched(PICTURE, "image/png", f"http://pictures.example:{server.port}/a.png?b=c")
    asked = server.requests[0].decode().split("\r\n")
    assert asked[0] == "GET /a.png?b=c HTTP/1.1"
    assert f"Host: pictures.example:{server.port}" in asked
    assert "Accept-Encoding: identity" in asked


def test_the_address_that_was_checked_is_the_one_connected_to(serve: Callable[..., Server]) -> None:
    server = serve(whole())
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    assert get(server, resolver=lambda host: next(answers)).content == PICTURE
    assert next(answers) == ["10.0.0.1"]


def test_another_address_of_the_name_is_tried_when_one_does_not_answer(serve: Callable[..., Server]) -> None:
    assert get(serve(whole()), resolver=lambda host: ["127.0.0.9", "127.0.0.1"]).content == PICTURE


def test_no_proxy_of_the_environment_is_used(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = serve(whole(b"from a proxy"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    assert get(serve(whole())).content == PICTURE


def test_redirects_are_followed_three_times_and_no_more(serve: Callable[..., Server]) -> None:
    def count_down(connection: socket.socket, request: bytes) -> None:
        left = int(request.split()[1][1:])
        answer = whole(b"", "Content-Length: 0", f"Location: /{left - 1}", status="302 Found") if left else whole()
        answer(connection, request)

    server = serve(count_down)
    assert get(server, "/3").url.endswith("/0")
    assert refusal(lambda: get(server, "/4")).reason == "URL_FAILED"


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "to",
    [
        "http://127.0.0.1/",
        "http://[::1]/",
        "file:///etc/passwd",
        "http://169.254.169.254/",
        "//10.0.0.1/",
        "http://u:p@example.org/",
        "http://a:22/",
    ],
)
def test_a_redirect_is_checked_like_the_first_address(serve: Callable[..., Server], code: int, to: str) -> None:
    server = serve(whole(b"", f"Location: {to}", "Content-Length: 0", status=f"{code} Moved"))
    # The test's server is on loopback, so what leads to port 80 of it is refused by its port.
    options: dict[str, Any] = {"allowed_ports": {server.port}} if "127.0.0.1" in to else {}
    found = refusal(lambda: get(server, resolver={"pictures.example": ["127.0.0.1"]}.__getitem__, **options))
    assert found.reason == "URL_REFUSED"
    assert len(server.requests) == 1


def test_a_redirect_to_a_name_that_leads_inside_is_refused(serve: Callable[..., Server]) -> None:
    server = serve(whole(b"", "Location: http://inside.example/", "Content-Length: 0", status="302 Found"))
    names = {"pictures.example": ["127.0.0.1"], "inside.example": ["10.0.0.1"]}
    assert refusal(lambda: get(server, resolver=names.__getitem__)).reason == "URL_REFUSED"


@pytest.mark.parametrize(
    ("answer", "reason", "text"),
    [
        (whole(status="404 Not Found"), "URL_FAILED", "status 404"),
        (whole(status="206 Partial Content"), "URL_FAILED", "status 206"),
        (whole(status="500 Oops"), "URL_FAILED", "status 500"),
        (whole(media_type="text/html"), "URL_FAILED", "text/html"),
        (whole(media_type=""), "URL_FAILED", "of type ''"),
        (whole(PICTURE, "Content-Encoding: gzip", f"Content-Length: {len(PICTURE)}"), "URL_FAILED", "compressed"),
        (whole(PICTURE, f"Content-Length: {len(PICTURE) + 10}"), "URL_FAILED", "ends before its end"),
        (whole(b"", "Content-Length: 0"), "URL_FAILED", "empty"),
        (whole(PICTURE, "Content-Length: 100001"), "URL_TOO_LARGE", "100000 bytes"),
        (whole(bytes(100_001), "X: y"), "URL_TOO_LARGE", "100000 bytes"),
        (whole(b"186a1\r\n" + bytes(100_001) + b"\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), "URL_TOO_LARGE", "100000 bytes"),
        (whole(b"5\r\nab", "Transfer-Encoding: chunked"), "URL_FAILED", "no answer that could be read"),
        (whole(b"zz\r\nab", "Transfer-Encoding: chunked"), "URL_FAILED", "no answer that could be read"),
        (lambda connection, request: connection.sendall(b"\x89PNG, no HTTP at all\r\n\r\n"), "URL_FAILED", "no answer that could be read"),
        (lambda connection, request: None, "URL_FAILED", "no answer that could be read"),
        (whole(PICTURE, *(f"X-{number}: y" for number in range(200))), "URL_FAILED", "no answer that could be read"),
        (whole(PICTURE, "X: " + "y" * 70_000), "URL_FAILED", "no answer that could be read"),
    ],
)
def test_a_server_that_does_not_answer_well_is_no_source(serve: Callable[..., Server], answer: Answer, reason: str, text: str) -> None:
    server = serve(answer)
    found = refusal(lambda: get(server))
    assert (found.reason, text in found.message) == (reason, True)


def test_bytes_beyond_the_promised_length_are_not_read(serve: Callable[..., Server]) -> None:
    assert get(serve(whole(PICTURE + b"more", f"Content-Length: {len(PICTURE)}"))).content == PICTURE


def test_a_file_in_chunks_is_fetched(serve: Callable[..., Server]) -> None:
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (PICTURE[:7], PICTURE[7:])) + b"0\r\n\r\n"
    assert get(serve(whole(body, "Transfer-Encoding: chunked"))).content == PICTURE


def test_the_largest_file_that_is_allowed_is_fetched(serve: Callable[..., Server]) -> None:
    assert len(get(serve(whole(bytes(100_000)))).content) == 100_000


def endless(piece: bytes, start: bytes = b"") -> Answer:
    def answer(connection: socket.socket, request: bytes) -> None:
        connection.sendall(start)
        until = time.monotonic() + 4
        while time.monotonic() < until:
            connection.sendall(piece)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        endless(b"HTTP/1.1 100 Continue\r\n\r\n"),
        endless(b"1;" + b"x" * 1000 + b"\r\na\r\n", b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"),
        endless(b"X: y\r\n", b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"),
        endless(bytes(1000), b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n"),
    ],
    ids=["100-continue", "chunk extensions", "trailers", "body"],
)
def test_a_server_that_never_ends_is_given_up_after_some_bytes(serve: Callable[..., Server], answer: Answer) -> None:
    started = time.monotonic()
    server = serve(answer)
    assert refusal(lambda: get(server, timeout_s=3)).reason in {"URL_FAILED", "URL_TOO_LARGE"}
    assert time.monotonic() - started < 2.5


def dripping(start: bytes) -> Answer:
    def answer(connection: socket.socket, request: bytes) -> None:
        connection.sendall(start)
        for _ in range(40):
            time.sleep(0.05)
            connection.sendall(b"a")

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        dripping(b"HTTP/1.1 200 OK\r\nX-"),
        dripping(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\n"),
        lambda connection, request: time.sleep(2),
    ],
    ids=["headers", "body", "silence"],
)
def test_one_deadline_holds_for_everything_however_often_something_comes(serve: Callable[..., Server], answer: Answer) -> None:
    server, started = serve(answer), time.monotonic()
    found = refusal(lambda: get(server, timeout_s=0.4))
    assert "too long" in found.message
    assert time.monotonic() - started < 1


def test_redirects_share_the_deadline(serve: Callable[..., Server]) -> None:
    def slow(connection: socket.socket, request: bytes) -> None:
        time.sleep(0.25)
        whole(b"", "Location: /again", "Content-Length: 0", status="302 Found")(connection, request)

    server, started = serve(slow), time.monotonic()
    assert "too long" in refusal(lambda: get(server, timeout_s=0.4)).message
    assert time.monotonic() - started < 0.9


def test_a_name_server_that_does_not_answer_costs_no_more_than_the_deadline() -> None:
    released = threading.Event()

    def hang(host: str) -> Sequence[str]:
        released.wait(5)
        return []

    started = time.monotonic()
    found = refusal(lambda: fetch("http://example.org/", max_bytes=1, timeout_s=0.2, resolver=hang))
    released.set()
    assert "too long" in found.message
    assert time.monotonic() - started < 1


def test_a_name_that_is_not_known_says_so() -> None:
    def unknown(host: str) -> Sequence[str]:
        raise socket.gaierror(-2, "Name or service not known")

    found = refusal(lambda: fetch("http://example.org/", max_bytes=1, timeout_s=1, resolver=unknown))
    assert (found.reason, "name is not known" in found.message) == ("URL_FAILED", True)


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts of a server with a certificate for a name, and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / f"{name}.pem"
    file.write_bytes(pem + secret)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=pem.decode())


def test_https_checks_the_certificate_for_the_name_not_for_the_address(serve: Callable[..., Server], tmp_path: Path) -> None:
    ours, trusting = certificate(tmp_path, "pictures.example")
    server = serve(whole(), ours)
    assert get(server, scheme="https", tls=trusting).content == PICTURE
    assert "certificate" in refusal(lambda: get(server, scheme="https")).message
    others, trusting_others = certificate(tmp_path, "other.example")
    assert "certificate" in refusal(lambda: get(serve(whole(), others), scheme="https", tls=trusting_others)).message


def test_https_never_leads_to_http_however_the_schemes_are_written(serve: Callable[..., Server], tmp_path: Path) -> None:
    ours, trusting = certificate(tmp_path, "pictures.example")
    for before, after in (("https", "http"), ("HTTPS", "http"), ("https", "HTTP"), ("hTTpS", "hTTp")):
        server = serve(whole(b"", f"Location: {after}://pictures.example/a.png", "Content-Length: 0", status="302 Found"), ours)
        assert "https to http" in refusal(lambda: get(server, scheme=before, tls=trusting)).message  # noqa: B023


def test_a_server_that_is_silent_in_the_handshake_is_given_up() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        started = time.monotonic()
        options: dict[str, Any] = {"resolver": loopback, "allowed_networks": LOOPBACK, "allowed_ports": {port}}
        found = refusal(lambda: fetch(f"https://pictures.example:{port}/", max_bytes=1, timeout_s=0.3, **options))
        assert "too long" in found.message
        assert time.monotonic() - started < 1
