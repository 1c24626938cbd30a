"""What the mesh says to the person who started it, and to its log."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path


class Console:
    """Prints lines; keeps them in `log` too, except secrets. Goes on silently when nobody listens any more.

    `kept`: what is printed is kept somewhere, as in a journal, so that secrets are not printed either.
    """

    def __init__(self, log: Path | None = None, *, kept: bool = False) -> None:
        self._log = log
        self._kept = kept

    def say(self, text: str = "", *, secret: bool = False) -> None:
        if not (secret and self._kept):
            with contextlib.suppress(OSError, ValueError):
                print(text, flush=True)
        if self._log is not None and not secret and text:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            with contextlib.suppress(OSError), self._log.open("a") as file:
                file.write("".join(f"{stamp} {line}\n" for line in text.splitlines()))

    def close(self) -> None:
        """Lets whoever waits for the end of the output go on."""
        with open(os.devnull, "w") as nowhere:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
                os.dup2(nowhere.fileno(), stream.fileno())
