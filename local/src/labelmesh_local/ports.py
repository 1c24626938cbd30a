"""Loopback ports."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from pathlib import Path


def free_ports(count: int) -> list[int]:
    """Returns different TCP ports of 127.0.0.1 that nobody listened on a moment ago."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


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
