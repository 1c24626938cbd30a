"""How far a training is, on a terminal, in a log, or for a program."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

from labelmesh_client.command.progress import duration
from labelmesh_client.command.terminal import Terminal, printable
from labelmesh_client.trainings import TrainingProgress

_BAR = 30
#: Below these the time left would be a guess.
_ESTIMATE_AFTER_S, _ESTIMATE_AFTER_SHARE = 4.0, 0.15


class Display:
    """On a terminal one line that is redrawn; elsewhere a line for each stage and epoch; with `json` the same as JSON on stdout."""

    def __init__(self, terminal: Terminal, *, json: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._terminal = terminal
        self._json = json
        self._clock = clock
        self._started = clock()
        self._tty = terminal.stderr.isatty()
        self._line_shown = False
        self._last = ""

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self._clock() - self._started

    def show(self, progress: TrainingProgress) -> None:
        """Shows a state; the same line is not written twice."""
        if self._json:
            self._terminal.print_json({"event": "progress", **_fields(progress)})
            self._terminal.stdout.flush()
            return
        if self._tty:
            columns = shutil.get_terminal_size().columns
            self._terminal.stderr.write("\r\x1b[K" + self.bar(progress)[: columns - 1])
            self._terminal.stderr.flush()
            self._line_shown = True
        elif (line := described(progress)) != self._last:
            self._last = line
            self._terminal.say(line)

    def note(self, text: str) -> None:
        """A line that stays."""
        self.clear()
        self._terminal.say(text)

    def clear(self) -> None:
        """Takes the bar away."""
        if self._line_shown:
            self._terminal.stderr.write("\r\x1b[K")
            self._terminal.stderr.flush()
            self._line_shown = False

    def bar(self, progress: TrainingProgress) -> str:
        """E.g. `[#####-----] training, epoch 3 of 8, accuracy 0.962, 12 s left`."""
        filled = int(_BAR * min(1.0, max(0.0, progress.done)))
        left = ""
        if self.seconds >= _ESTIMATE_AFTER_S and progress.done >= _ESTIMATE_AFTER_SHARE:
            left = f", {duration(self.seconds * (1 - progress.done) / progress.done)} left"
        return printable(f"[{'#' * filled}{'-' * (_BAR - filled)}] {described(progress)}{left}")


def described(progress: TrainingProgress) -> str:
    """E.g. `training, epoch 3 of 8, loss 0.141, accuracy 0.957, validation accuracy 0.981`."""
    parts = [progress.stage or "starting"]
    if progress.epoch:
        parts.append(f"epoch {progress.epoch} of {progress.epochs}")
        for name in ("loss", "accuracy", "validation_accuracy"):
            if name in progress.metrics:
                parts.append(f"{name.replace('_', ' ')} {progress.metrics[name]:.3f}")
    return ", ".join(parts)


def _fields(progress: TrainingProgress) -> dict[str, object]:
    return {
        "stage": progress.stage,
        "epoch": progress.epoch,
        "epochs": progress.epochs,
        "done": round(progress.done, 4),
        "metrics": dict(progress.metrics),
    }
