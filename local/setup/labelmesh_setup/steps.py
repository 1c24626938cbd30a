"""Showing what happens, and how long it takes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

from labelmesh_setup.places import HOUSE


class Trouble(Exception):
    """Something a person can act on; the message is shown as it is."""


class Steps:
    """Prints one line for each step with its time; the output of commands goes into a log."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._terminal = sys.stderr.isatty()
        self._width = max(40, shutil.get_terminal_size().columns - 1)

    def run(self, title: str, command: list[str], *, folder: Path = HOUSE, environment: dict[str, str] | None = None) -> None:
        """Runs a command as one step. Raises Trouble with the end of its output if it fails."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        if not self._terminal:
            print(f"  {title} ...", file=sys.stderr, flush=True)
        lines: list[str] = []
        with self._log.open("a") as log:
            log.write(f"\n$ {' '.join(command)}\n")
            child = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            reader = threading.Thread(target=self._read, args=(child, lines, log), daemon=True)
            reader.start()
            try:
                while child.poll() is None:
                    self._show(title, started, lines)
                    time.sleep(0.1)
            except BaseException:
                child.terminate()
                raise
            reader.join()
        seconds = time.monotonic() - started
        self._clear()
        if child.returncode != 0:
            raise Trouble(
                f"{title}: failed after {seconds:.0f} s.{_hint(lines)} The end of {self._log}:\n"
                + "\n".join("    " + line for line in lines[-30:])
            )
        print(f"  {title:<58} {seconds:6.1f} s", file=sys.stderr, flush=True)

    @staticmethod
    def _read(child: subprocess.Popen[str], lines: list[str], log: TextIO) -> None:
        assert child.stdout is not None
        with child.stdout:
            for line in child.stdout:
                log.write(line)
                if line.strip():
                    lines.append(line.rstrip())
                    del lines[:-200]

    def _show(self, title: str, started: float, lines: list[str]) -> None:
        if self._terminal:
            last = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", lines[-1]).strip() if lines else ""
            text = f"  {title}  {time.monotonic() - started:.0f} s  {last}"
            print("\r\x1b[K" + text[: self._width], end="", file=sys.stderr, flush=True)

    def _clear(self) -> None:
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _hint(lines: list[str]) -> str:
    text = "\n".join(lines[-60:]).lower()
    if "no space left" in text or "os error 28" in text:
        return " The disk is full."
    if "hash" in text and "mismatch" in text:
        return " A package is not the one that was pinned: the download was changed or cut short."
    if any(
        word in text
        for word in (
            "resolve host",
            "name resolution",
            "connection refused",
            "network is unreachable",
            "timed out",
            "etimedout",
            "dns error",
        )
    ):
        return " The package registry was not reached: is there a network, and is a proxy or mirror needed?"
    if "permission denied" in text or "read-only file system" in text:
        return " A folder cannot be written to."
    return ""
