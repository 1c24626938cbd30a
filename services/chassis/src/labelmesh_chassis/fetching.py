"""Getting a file from an address that somebody else chose, as by someone who expects an attack.

What is checked is what is connected to: the name is resolved once, every one of its addresses must be public, and the connection goes to
one of them. Redirects are addresses like the first.
"""

from __future__ import annotations

import io
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from ipaddress import IPv6Address, ip_address
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from labelmesh_chassis.addresses import Address, Network, literal, may_be_called
from labelmesh_chassis.errors import InvalidArgument

# Every address behind a name, as text. OSError where there is none.
Resolver = Callable[[str], Sequence[str]]

_REDIRECTS = 3
_REDIRECT_CODES = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}
_MAX_URL = 2048
_MAX_ADDRESSES = 32
_TRIED_ADDRESSES = 3
# What a reply may have besides its content: status, headers, sizes of chunks.
_MAX_OVERHEAD = 256 * 1024
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
# Looking up a name cannot be interrupted; so many may hang at once.
_LOOKUPS = threading.BoundedSemaphore(16)


@dataclass(frozen=True)
class Fetched:
    """A file, its type without parameters in lower case, and the address that it came from in the end."""

    content: bytes = field(repr=False)
    media_type: str
    url: str


def resolve(host: str) -> Sequence[str]:
    """Every address of a name, by the system's resolver. The name is complete: no search list of the machine applies."""
    return [str(found[4][0]) for found in socket.getaddrinfo(f"{host}.", None, type=socket.SOCK_STREAM)]


def fetch(
    url: str,
    *,
    max_bytes: int,
    timeout_s: float,
    accept: Sequence[str] = ("image/",),
    resolver: Resolver = resolve,
    allowed_networks: Sequence[Network] = (),
    allowed_ports: Collection[int] = frozenset(_PORTS.values()),
    tls: ssl.SSLContext | None = None,
) -> Fetched:
    """The file at an http or https address, in at most `timeout_s` seconds for everything, redirects included.

    InvalidArgument, all with the field `url`: URL_REFUSED for an address that is not public or not written plainly; URL_FAILED for one that
    does not answer in time with a file of a type that starts with one of `accept`; URL_TOO_LARGE for more than `max_bytes`.
    `allowed_networks` are let through although they are not public.
    """
    deadline = time.monotonic() + timeout_s
    trip = _Trip(deadline, max_bytes, tuple(accept), resolver, tuple(allowed_networks), frozenset(allowed_ports), tls)
    for _ in range(_REDIRECTS + 1):
        found = trip.get(url)
        if isinstance(found, Fetched):
            return found
        # Schemes are written in large letters too.
        if url[:6].lower() == "https:" and found[:5].lower() == "http:":
            raise _refused("it leads from https to http")
        url = found
    raise _failed(f"it leads on more than {_REDIRECTS} times")


@dataclass(frozen=True)
class _Place:
    """A URL taken apart and found to be plain."""

    url: str
    scheme: str
    host: str
    port: int
    # Of the host itself, where it is one.
    address: Address | None
    # Path and query, escaped.
    target: str

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True)
class _Trip:
    deadline: float
    max_bytes: int
    accept: tuple[str, ...]
    resolver: Resolver
    allowed_networks: tuple[Network, ...]
    allowed_ports: frozenset[int]
    tls: ssl.SSLContext | None

    def get(self, url: str) -> Fetched | str:
        """The file, or the address that this one leads to."""
        place = plain(url, self.allowed_ports)
        try:
            with self._connected(place) as connection:
                return self._asked(place, connection)
        except TimeoutError:
            raise _failed("it took too long") from None
        except ssl.SSLCertVerificationError:
            raise _failed("its certificate is not valid") from None
        except (OSError, HTTPException, ValueError):
            raise _failed("it gave no answer that could be read") from None

    def _connected(self, place: _Place) -> socket.socket:
        last: OSError = OSError("no address")
        for address in self._addresses(place)[:_TRIED_ADDRESSES]:
            try:
                connection = socket.create_connection((str(address), place.port), timeout=self._left())
            except OSError as failure:
                last = failure
                continue
            try:
                connection.settimeout(self._left())
                return self._secured(place, connection)
            except BaseException:
                connection.close()
                raise
        raise last

    def _secured(self, place: _Place, connection: socket.socket) -> socket.socket:
        if place.scheme == "http":
            return connection
        return (self.tls or ssl.create_default_context()).wrap_socket(connection, server_hostname=place.host)

    def _addresses(self, place: _Place) -> list[Address]:
        found = [place.address] if place.address is not None else self._looked_up(place.host)
        if not found:
            raise _failed("its name has no address")
        # One that is not public among them may be what an attacker's name server gave us to connect to.
        if not all(may_be_called(one, self.allowed_networks) for one in found):
            raise _refused("it is not on the public internet")
        return list(dict.fromkeys(found))

    def _looked_up(self, host: str) -> list[Address]:
        answers: SimpleQueue[Sequence[str] | OSError] = SimpleQueue()

        def look_up() -> None:
            try:
                answers.put(self.resolver(host))
            except (OSError, UnicodeError) as failure:
                answers.put(OSError(str(failure)))
            finally:
                _LOOKUPS.release()

        if not _LOOKUPS.acquire(timeout=self._left()):
            raise TimeoutError
        threading.Thread(target=look_up, name="name-lookup", daemon=True).start()
        try:
            answer = answers.get(timeout=self._left())
        except Empty:
            raise TimeoutError from None
        if isinstance(answer, OSError):
            raise _failed("its name is not known")
        return [ip_address(one) for one in answer[:_MAX_ADDRESSES]]

    def _asked(self, place: _Place, connection: socket.socket) -> Fetched | str:
        lines = [
            f"GET {place.target} HTTP/1.1",
            f"Host: {place.authority}",
            "User-Agent: labelmesh",
            "Accept: " + ", ".join(kind + "*" if kind.endswith("/") else kind for kind in self.accept),
            "Accept-Encoding: identity",
            "Connection: close",
        ]
        connection.settimeout(self._left())
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
        # Chunks of one byte each come to five times the content; nobody honest sends those.
        source: Any = _Source(connection, self._left, 2 * self.max_bytes + _MAX_OVERHEAD)
        response = HTTPResponse(source, method="GET")
        response.begin()
        if response.status in _REDIRECT_CODES:
            return urljoin(place.url, response.headers.get("Location") or "")
        if response.status != 200:
            raise _failed(f"it answers with status {response.status}")
        return Fetched(self._content(response), self._media_type(response), place.url)

    def _media_type(self, response: HTTPResponse) -> str:
        media_type = (response.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
        if not media_type.startswith(self.accept):
            raise _failed(f"it is of type {media_type[:100]!r}, not {' or '.join(self.accept)}")
        return media_type

    def _content(self, response: HTTPResponse) -> bytes:
        if (response.headers.get("Content-Encoding") or "identity").strip().lower() != "identity":
            raise _failed("it comes compressed, which was not asked for")
        self._media_type(response)
        promised = response.length
        if promised is not None and promised > self.max_bytes:
            raise _too_large(self.max_bytes)
        content = bytearray()
        while piece := response.read(min(65536, self.max_bytes + 1 - len(content))):
            content += piece
            if len(content) > self.max_bytes:
                raise _too_large(self.max_bytes)
        if not content or (promised is not None and len(content) != promised):
            raise _failed("it ends before its end" if content else "it is empty")
        return bytes(content)

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Source:
    """A connection read within one deadline and one number of bytes, in the form that HTTPResponse takes."""

    def __init__(self, connection: socket.socket, left: Callable[[], float], max_bytes: int) -> None:
        self._connection, self._left, self._max_bytes = connection, left, max_bytes

    def makefile(self, mode: str) -> io.BufferedIOBase:
        """A reader of what comes; HTTPResponse asks for one."""
        return io.BufferedReader(_Raw(self._connection, self._left, self._max_bytes))


class _Raw(io.RawIOBase):
    def __init__(self, connection: socket.socket, left: Callable[[], float], max_bytes: int) -> None:
        self._connection = connection
        self._left = left
        self._bytes_left = max_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # A server that drips must not start the clock anew with every drop.
        self._connection.settimeout(self._left())
        read = self._connection.recv_into(buffer)
        self._bytes_left -= read
        if self._bytes_left < 0:
            raise OSError("more bytes than the content could need")
        return read


def plain(url: str, allowed_ports: Collection[int] = frozenset(_PORTS.values())) -> _Place:
    """The parts of an address that everybody reads alike. InvalidArgument (URL_REFUSED) for any other."""
    if len(url) > _MAX_URL or any(ord(letter) <= 32 or ord(letter) == 127 or letter in "\\" for letter in url):
        raise _refused("it is too long or has blanks, backslashes or control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _refused("it is no address") from None
    scheme = parts.scheme
    if scheme not in _PORTS:
        raise _refused("only http and https are fetched")
    if "@" in parts.netloc:
        raise _refused("it has a user's name or password in it")
    if parts.netloc.endswith(":") or (_PORTS[scheme] if port is None else port) not in allowed_ports:
        raise _refused("only the ports 80 and 443 are fetched from")
    host, address = _host(parts)
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._") + (
        f"?{quote(parts.query, safe='/%:@!$&()*+,;=~-._?')}" if parts.query else ""
    )
    return _Place(url, scheme, host, port or _PORTS[scheme], address, target)


def _host(parts: SplitResult) -> tuple[str, Address | None]:
    bracketed = parts.netloc.startswith("[")
    host = (parts.hostname or "").removesuffix(".")
    # Not the host alone: letters that are not ASCII may have small ones that are.
    if not host or not parts.netloc.isascii():
        raise _refused("it has no host, or one that is not written in ASCII (xn--...)")
    try:
        address = literal(host)
    except ValueError:
        raise _refused("its host is a number in an unusual form") from None
    if bracketed != isinstance(address, IPv6Address):
        raise _refused("it is no address")
    if address is not None:
        return str(address), address
    labels = host.split(".")
    if len(host) > 253 or len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refused("its host is not a complete name")
    return host, None


def _refused(why: str) -> InvalidArgument:
    return InvalidArgument("URL_REFUSED", f"this address is not fetched from: {why}", field="url")


def _failed(why: str) -> InvalidArgument:
    return InvalidArgument("URL_FAILED", f"nothing could be fetched from this address: {why}", field="url")


def _too_large(max_bytes: int) -> InvalidArgument:
    return InvalidArgument("URL_TOO_LARGE", f"what is at this address is larger than {max_bytes} bytes", field="url")
