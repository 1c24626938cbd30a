"""Says how far a command is, on stderr, without flooding a log."""

from __future__ import annotations

import sys
import time

_EVERY_SECONDS = 5.0


class Progress:
    """Lines on stderr; `tick` at most one in five seconds. Quiet: none."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._next = time.monotonic() + _EVERY_SECONDS

    def say(self, text: str) -> None:
        if not self._quiet:
            print(text, file=sys.stderr, flush=True)

    def tick(self, text: str) -> None:
        """For loops: most calls say nothing."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY_SECONDS
            self.say(text)


def amount(size: int) -> str:
    """Bytes as people read them."""
    value = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
