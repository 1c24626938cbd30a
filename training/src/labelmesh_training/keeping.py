"""Keeping a training alive while it runs, and noticing at once when it was lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from labelmesh_client import Aborted, LabelmeshError
from labelmesh_client.trainings import Training, TrainingProgress

#: It reports at least so often, in seconds; and at least four times within the lease.
_EVERY_S = 4.0
_WITHIN_LEASE = 4


class TrainingLost(LabelmeshError):
    """Somebody else may train this model by now: this training must leave no version."""

    def __init__(self) -> None:
        super().__init__(
            "The training was lost: the mesh had not heard of it for longer than it may be silent. No version was left. Start it again.",
            reason="TRAINING_LOST",
        )


class Reporting(Protocol):
    """The part of `RunningTraining` that is needed here."""

    lease_duration_s: float

    def report(self, progress: TrainingProgress | None = None) -> Training: ...


class Keeper:
    """Reports the latest progress from a thread of its own: after each epoch, with each new stage, and every few seconds.

    `note` is cheap and may be called after every batch; it raises TrainingLost once the training was lost, and KeyboardInterrupt once
    `stopped` says so. A mesh that is away is tried
    again with the next report; it decides itself whether that was too long. Use it in a `with`.
    """

    def __init__(
        self,
        training: Reporting,
        on_progress: Callable[[TrainingProgress], None],
        *,
        stopped: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._training = training
        self._on_progress = on_progress
        self._clock = clock
        self._stopped = stopped
        self._every_s = min(_EVERY_S, training.lease_duration_s / _WITHIN_LEASE)
        self._changed = threading.Condition()
        #: One report at a time: an older state never overtakes a newer one.
        self._sending = threading.Lock()
        self._progress = TrainingProgress()
        self._urgent: list[TrainingProgress] = []
        self._ended = False
        self._lost = False
        self._thread = threading.Thread(target=self._run, name="training-reports", daemon=True)

    def __enter__(self) -> Keeper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join()

    def note(self, done: float) -> None:
        """How much of the whole is done, 0 to 1. Raises TrainingLost."""
        with self._changed:
            self._check()
            self._progress = replace(self._progress, done=min(1.0, max(self._progress.done, done)))

    def say(self, progress: TrainingProgress) -> None:
        """A stage or an epoch: reported soon and none left out. Raises TrainingLost."""
        with self._changed:
            self._check()
            self._progress = replace(progress, done=min(1.0, max(self._progress.done, progress.done)))
            self._urgent.append(self._progress)
            self._changed.notify_all()
            shown = self._progress
        self._on_progress(shown)

    def confirm(self) -> None:
        """Returns when the mesh has said just now that the training is ours. Raises TrainingLost; Unavailable when it is away."""
        with self._sending:
            with self._changed:
                self._check()
            while self._send_next():
                pass
            self._send(self._progress)

    def _check(self) -> None:
        if self._stopped():
            raise KeyboardInterrupt
        if self._lost:
            raise TrainingLost

    def _run(self) -> None:
        pause = 0.0
        while self._wait(pause):
            try:
                with self._sending:
                    self._send_next()
                pause = 0.0
            except TrainingLost:
                return
            except LabelmeshError:
                pause = self._every_s / _WITHIN_LEASE  # the mesh is away or busy: the next report says the same and more

    def _wait(self, pause: float) -> bool:
        """Until it is time for a report, `pause` seconds at least; False at the end."""
        with self._changed:
            earliest, latest = self._clock() + pause, self._clock() + self._every_s
            while not self._ended and not self._lost:
                left = (earliest if self._urgent else latest) - self._clock()
                if left <= 0:
                    return True
                self._changed.wait(left)
            return False

    def _send_next(self) -> bool:
        """Reports the oldest thing that waits to be reported, else how it stands; says whether more waits."""
        with self._changed:
            is_urgent = bool(self._urgent)
            progress = self._urgent[0] if is_urgent else self._progress
        self._send(progress)
        with self._changed:
            if is_urgent:
                self._urgent.pop(0)
            return bool(self._urgent)

    def _send(self, progress: TrainingProgress) -> None:
        try:
            self._training.report(progress)
        except Aborted as error:
            with self._changed:
                self._lost = True
                self._changed.notify_all()
            raise TrainingLost from error
