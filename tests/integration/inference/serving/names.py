"""A name server on loopback whose answers a test changes."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from ipaddress import IPv4Address


class NameServer:
    """Answers every question for an IPv4 address with `addresses`, and every other one with nothing. Source: RFC 1035."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.questions = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def __enter__(self) -> NameServer:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def _serve(self) -> None:
        while True:
            try:
                question, asker = self._socket.recvfrom(512)
            except OSError:
                return
            if not question:
                return
            self.questions += 1
            end = question.index(b"\0", 12) + 5
            wanted = self.addresses if question[end - 4 : end - 2] == b"\0\1" else ()
            header = question[:2] + b"\x81\x80\0\1" + len(wanted).to_bytes(2, "big") + bytes(4)
            # A pointer to the name in the question, type A, class IN, kept for no time at all, four bytes.
            records = b"".join(b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + IPv4Address(address).packed for address in wanted)
            self._socket.sendto(header + question[12:end] + records, asker)
