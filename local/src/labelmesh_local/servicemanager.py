"""What the service manager (systemd) is told, by datagrams as sd_notify(3) describes them; nothing where there is none."""

from __future__ import annotations

import contextlib
import os
import socket


class ServiceManager:
    """Takes its address from the environment, so that no part inherits it."""

    def __init__(self, address: str, *, watched: bool) -> None:
        # A leading @ stands for the zero byte of Linux' abstract names.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watched = watched

    @classmethod
    def from_environment(cls) -> ServiceManager:
        address = os.environ.pop("NOTIFY_SOCKET", "")
        microseconds, pid = os.environ.pop("WATCHDOG_USEC", ""), os.environ.pop("WATCHDOG_PID", "")
        return cls(address, watched=microseconds.isdigit() and pid in ("", str(os.getpid())))

    @property
    def is_there(self) -> bool:
        return bool(self._address)

    def ready(self, words: str) -> None:
        """The mesh runs; whoever waits for it may go on."""
        self._tell(f"READY=1\nSTATUS={words}")

    def alive(self) -> None:
        """Call it again and again: a mesh that is silent for WatchdogSec= is ended and started anew."""
        if self._watched:
            self._tell("WATCHDOG=1")

    def stopping(self) -> None:
        self._tell("STOPPING=1\nSTATUS=Calls in flight end, then the parts stop.")

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        # A manager that does not listen is no reason to end.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as speaker:
            speaker.settimeout(1)
            speaker.sendto(text.encode(), self._address)
