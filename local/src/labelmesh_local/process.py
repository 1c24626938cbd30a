"""One child process with a log file, that ends when its parent does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from labelmesh_local.errors import LocalError

_LAUNCH = Path(__file__).with_name("launch.py")
_ROTATE_BYTES = 10 * 1024 * 1024


class PartDied(LocalError):
    """A part ended while it was needed; the message has the end of its log."""


class Process:
    """Starts `command` with its output appended to `log`, in a session of its own, and watches it.

    It gets `environment`, and what this process has itself where it is to `inherit`.

    Start it from a thread that lives as long as the child shall: the kernel ends the child by `death_signal` when that thread ends.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        inherit: bool = True,
        stop_signal: signal.Signals = signal.SIGTERM,
        unprivileged: bool = False,
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._environment = {**(os.environ if inherit else {}), **(environment or {})}
        self._stop_signal = stop_signal
        self._unprivileged = unprivileged
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    @property
    def exit_code(self) -> int | None:
        """None while it runs or was never started; negative: ended by that signal."""
        return self._child.poll() if self._child is not None else None

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Starts the program and returns at once."""
        if self.running:
            return
        privilege = "unprivileged" if self._unprivileged else "as-is"
        launch = [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), str(int(self._stop_signal)), privilege, *self._command]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._log_start = output.tell()
            self._child = subprocess.Popen(
                launch,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )

    def ask_to_stop(self) -> None:
        """Sends the stop signal and returns at once."""
        if self.running and self._child is not None:
            self._child.send_signal(self._stop_signal)

    def kill(self) -> None:
        """Kills the program and everything in its session."""
        if self._child is None or not self.running:
            return
        try:
            os.killpg(self._child.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            self._child.kill()
        self._child.wait()

    def wait(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds; True if it has ended."""
        if self._child is None:
            return True
        try:
            self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self, timeout: float = 15.0) -> bool:
        """Asks it to stop, and kills it after `timeout` seconds; True if it went by itself."""
        self.ask_to_stop()
        if self.wait(timeout):
            return True
        self.kill()
        return False

    def log_tail(self, lines: int = 15) -> str:
        """The last lines that this run has written."""
        try:
            with self.log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                start = max(size - 64 * 1024, self._log_start if self._log_start <= size else 0)
                file.seek(start)
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def rotate_log(self) -> None:
        """Keeps one older log beside the current one, each about 10 MiB at most. A line written meanwhile may be lost."""
        try:
            if self.log.stat().st_size < _ROTATE_BYTES:
                return
            content = self.log.read_bytes()
            self.log.with_name(self.log.name + ".1").write_bytes(content)
            os.truncate(self.log, 0)  # the child appends, so it goes on at the new end
            self._log_start = 0
        except OSError:
            return

    def died(self, doing: str) -> PartDied:
        """The error that says how it ended and what it wrote last."""
        code = self.exit_code
        how = f"was killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with exit code {code}"
        tail = self.log_tail()
        if "No space left on device" in tail:
            how = f"found the disk full and {how}"
        end = f" Its log {self.log} ends:\n{_indent(tail)}" if tail else f" Its log is {self.log}."
        return PartDied(f"{self.name} {how} {doing}.{end}")


def wait_until(process: Process, ready: object, *, timeout: float, poll: float = 0.01) -> None:
    """Calls `ready()` until it is true. Raises PartDied when the process ends first, LocalError after `timeout` seconds."""
    assert callable(ready)
    deadline = time.monotonic() + timeout
    while not ready():
        if not process.running:
            raise process.died("before it was ready")
        if time.monotonic() > deadline:
            tail = process.log_tail()
            raise LocalError(f"{process.name} was not ready within {timeout:.0f} s. Its log {process.log} ends:\n{_indent(tail)}")
        time.sleep(poll)


def _indent(text: str) -> str:
    return "\n".join("    " + line for line in text.splitlines())
