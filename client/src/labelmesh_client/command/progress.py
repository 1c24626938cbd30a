"""How far an import is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

from labelmesh_client.command.terminal import printable

_REDRAW_S = 0.1
_PLAIN_EVERY_S = 10.0
#: The rate is that of the last seconds, so that a line that became slow is seen.
_RATE_WINDOW_S = 15.0
#: Below this the rate is a guess, and so would be the time left.
_ESTIMATE_AFTER_S = 2.0


class Progress:
    """Counts things done out of `total`, weighed by bytes for the time left.

    On a terminal one line is redrawn at most ten times a second; elsewhere a line is written every ten seconds. `note` writes a line of its
    own in either case. Without `bar` a terminal shows nothing: what is printed there meanwhile tells how far it is.
    """

    def __init__(
        self,
        out: TextIO,
        *,
        total: int,
        total_bytes: int,
        unit: str = "images",
        bar: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = out
        self._total = total
        self._total_bytes = total_bytes
        self._unit = unit
        self._clock = clock
        self._tty = out.isatty()
        self._silent = self._tty and not bar
        self._started = clock()
        self._written_at = self._started if not self._tty else float("-inf")
        self._recent: deque[tuple[float, int, int]] = deque([(self._started, 0, 0)])
        self._line_shown = False
        self.done = 0
        self.done_bytes = 0

    def advance(self, size: int) -> None:
        """One more is done, of `size` bytes."""
        self.done += 1
        self.done_bytes += size
        now = self._clock()
        if not self._silent and now - self._written_at >= (_REDRAW_S if self._tty else _PLAIN_EVERY_S):
            self._remember(now)
            self._write(now)

    def reach(self, done: int) -> None:
        """So many are done by now, each as heavy as the others."""
        for _ in range(done - self.done):
            self.advance(1)

    def note(self, text: str) -> None:
        """A line that stays."""
        self._clear()
        print(printable(text), file=self._out, flush=True)
        self._written_at = float("-inf") if self._tty else self._written_at

    def finish(self) -> None:
        """Takes the bar away; what follows is the summary."""
        self._clear()

    @property
    def seconds(self) -> float:
        return self._clock() - self._started

    def _remember(self, now: float) -> None:
        self._recent.append((now, self.done, self.done_bytes))
        while len(self._recent) > 2 and now - self._recent[0][0] > _RATE_WINDOW_S:
            self._recent.popleft()

    def _write(self, now: float) -> None:
        self._written_at = now
        if not self._tty:
            print(self.line(now), file=self._out, flush=True)
            return
        columns = shutil.get_terminal_size().columns
        self._out.write("\r\x1b[K" + self.bar(now, columns - 1))
        self._out.flush()
        self._line_shown = True

    def _clear(self) -> None:
        if self._line_shown:
            self._out.write("\r\x1b[K")
            self._out.flush()
            self._line_shown = False

    def line(self, now: float) -> str:
        """E.g. `512 of 1,797 images (28 %), 35/s, 37 s left`."""
        return f"{self.done:,} of {self._total:,} {self._unit} ({self._percent} %), {self._pace(now)}"

    def bar(self, now: float, width: int) -> str:
        """The line with a bar before it, cut to `width` characters."""
        text = self.line(now)
        room = min(width - len(text) - 3, 30)
        if room < 5:
            return text[:width]
        filled = room * self._percent // 100
        return f"[{'#' * filled}{'-' * (room - filled)}] {text}"

    @property
    def _percent(self) -> int:
        return 100 if not self._total else self.done * 100 // self._total

    def _pace(self, now: float) -> str:
        then, done, done_bytes = self._recent[0]
        elapsed = now - then
        if now - self._started < _ESTIMATE_AFTER_S or elapsed <= 0:
            return "estimating"
        rate, byte_rate = (self.done - done) / elapsed, (self.done_bytes - done_bytes) / elapsed
        if rate <= 0 or byte_rate <= 0:
            return "waiting"
        left = max(0, self._total_bytes - self.done_bytes) / byte_rate
        return f"{rate:,.0f}/s, {duration(left)} left" if rate >= 10 else f"{rate:.1f}/s, {duration(left)} left"


def duration(seconds: float) -> str:
    """A length of time for people: `4.2 s`, `37 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
