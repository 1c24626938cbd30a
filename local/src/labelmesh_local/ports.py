"""Loopback ports."""

from __future__ import annotations

import http.client
import os
import random
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

# Below the range that systems take the ports of outgoing connections from (32768 and up on Linux): a part that is started again
# must find its port free.
_LOWEST, _HIGHEST = 12_000, 30_000


def free_ports(count: int) -> list[int]:
    """Returns different TCP ports of 127.0.0.1 that nobody listened on a moment ago."""
    found: list[int] = []
    with ExitStack() as stack:
        for port in random.SystemRandom().sample(range(_LOWEST, _HIGHEST), count + 500):
            if len(found) == count:
                break
            probe = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
    return found


def free_port() -> int:
    """Returns one such port."""
    return free_ports(1)[0]


def is_taken(port: int) -> bool:
    """Says whether somebody holds the TCP port on 127.0.0.1 (or on all addresses)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a closed connection of a minute ago does not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def answers(port: int, timeout: float = 0.5) -> bool:
    """Says whether a connection to the TCP port of 127.0.0.1 is accepted within `timeout` seconds."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout):
            return True
    except OSError:
        return False


def http_status(port: int, path: str, timeout: float = 1.0) -> int:
    """The status of GET on 127.0.0.1, 0 where nobody answers within `timeout` seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()  # to the end: hanging up on an answer is a line in the log of who gives it
        return response.status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def next_free(port: int) -> int:
    """The first free port above `port`, to suggest to a person."""
    for candidate in range(port + 1, min(port + 100, 65536)):
        if not is_taken(candidate):
            return candidate
    return free_port()


def listener(port: int) -> str | None:
    """Name and number of the process that listens on the TCP port, where the system lets us see it: "nginx (process 12)"."""
    try:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    except OSError:
        return None
    inodes = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(process / "fd" / entry) in inodes for entry in os.listdir(process / "fd")):
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:
            continue
    return None
