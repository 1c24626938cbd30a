"""Starts the parts in order, keeps them running, stops them in order."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType

from labelmesh_local.backoff import Backoff
from labelmesh_local.console import Console
from labelmesh_local.errors import LocalError
from labelmesh_local.home import Home
from labelmesh_local.parts import Part
from labelmesh_local.process import Process
from labelmesh_local.state import MeshState, PartPhase, PartState

_LOOK_SECONDS = 5.0
"""How often running parts are asked whether they still answer; more often where they may not be silent for long."""
_LOOKS_AT_LEAST = 3
"""A single pause, as when the whole machine slept, is nobody's fault."""
_STARTING_TICK = 0.02
_RUNNING_TICK = 1.0
_HOUSEKEEPING_SECONDS = 10.0
_LOW_DISK_BYTES = 100 * 1024 * 1024
_TRIES_TO_START = 3
"""Deaths before its first readiness after which a part is given up, and the mesh with it."""


class Stopped(Exception):
    """A signal asked the mesh to stop."""


@dataclass
class _Watched:
    part: Part
    state: PartState
    process: Process | None = None
    launched_at: float = 0.0
    was_ready: bool = False
    start_again_at: float = 0.0
    look_at: float = 0.0
    silent_since: float | None = None
    silent_looks: int = 0
    backoff: Backoff = field(default_factory=Backoff)


class Signals:
    """Turns SIGINT, SIGTERM and SIGHUP into a count, and any signal into the end of a wait. Use it in the main thread."""

    def __init__(self) -> None:
        self.stops = 0
        self._reader, writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stops += 1

    def wait(self, seconds: float) -> None:
        """Waits, shorter if a signal comes: of a person, or of a child that ended."""
        if select.select([self._reader], [], [], max(seconds, 0))[0]:
            try:
                while os.read(self._reader, 512):
                    pass
            except BlockingIOError:
                pass


class Supervisor:
    """Owns the processes of `parts`. Everything happens in the thread that calls it: the kernel ends the children with that thread."""

    def __init__(self, parts: Sequence[Part], home: Home, state: MeshState, console: Console, signals: Signals) -> None:
        self._home = home
        self._state = state
        self._console = console
        self._signals = signals
        self._watched = [_Watched(part, PartState(part.name, part.title, ports=dict(part.ports))) for part in parts]
        self._housekeeping_at = 0.0
        self._disk_was_low = False
        state.parts = [watched.state for watched in self._watched]

    # --- starting ---

    def start(self) -> None:
        """Returns when every part that is waited for is ready. Raises Stopped on a signal, PartDied or LocalError when one cannot be
        started."""
        self._save()
        while not all(watched.was_ready or watched.part.background for watched in self._watched):
            self._stop_if_asked()
            self._tick(give_up=True)
            self._signals.wait(_STARTING_TICK)

    def _tick(self, *, give_up: bool = False) -> None:
        ready = {watched.part.name for watched in self._watched if watched.state.phase == "ready"}
        for watched in self._watched:
            phase = watched.state.phase
            may_launch = phase == "waiting" and ready.issuperset(watched.part.needs)
            may_launch = may_launch or (phase == "restarting" and time.monotonic() >= watched.start_again_at)
            if may_launch:
                self._launch(watched)
            elif phase in ("starting", "ready") and watched.process is not None and not watched.process.running:
                self._died(watched, give_up=give_up)
            elif phase == "starting":
                self._look_whether_ready(watched)
            elif phase == "ready":
                self._look_whether_it_hangs(watched)

    def _launch(self, watched: _Watched) -> None:
        watched.launched_at = time.monotonic()
        try:
            watched.process = watched.part.launch()
        except (LocalError, OSError) as error:
            if not (watched.was_ready or watched.part.background):
                raise
            self._start_again(watched, f"{watched.part.title} could not be started: {error}")
            return
        watched.state.pid = watched.process.pid
        self._set(watched, "starting")

    def _look_whether_ready(self, watched: _Watched) -> None:
        seconds = time.monotonic() - watched.launched_at
        if watched.part.ready():
            if not watched.was_ready:
                watched.part.once_ready()
            watched.state.start_seconds = round(time.monotonic() - watched.launched_at, 3)
            watched.state.ready_at = time.time()
            watched.silent_since, watched.silent_looks = None, 0
            watched.look_at = time.monotonic() + self._look_seconds(watched)
            self._set(watched, "ready")
            verb = "runs again" if watched.was_ready else "ready"
            self._console.say(f"  {watched.part.title:<22} {verb} after {watched.state.start_seconds:.1f} s")
            watched.was_ready = True
        elif seconds > watched.part.ready_seconds and watched.process is not None:
            self._console.say(f"{watched.part.title}: not ready after {seconds:.0f} s; it is ended.")
            watched.process.kill()

    def _look_whether_it_hangs(self, watched: _Watched) -> None:
        now = time.monotonic()
        if not watched.part.hang_seconds or now < watched.look_at or watched.process is None:
            return
        responds = watched.part.responds()
        watched.look_at = time.monotonic() + self._look_seconds(watched)
        if responds:
            watched.silent_since, watched.silent_looks = None, 0
            return
        watched.silent_looks += 1
        if watched.silent_since is None:
            watched.silent_since = now
        silent = time.monotonic() - watched.silent_since
        if silent >= watched.part.hang_seconds and watched.silent_looks >= _LOOKS_AT_LEAST:
            self._console.say(f"{watched.part.title}: has not answered for {silent:.0f} s; it is killed.")
            watched.process.kill()

    @staticmethod
    def _look_seconds(watched: _Watched) -> float:
        return min(_LOOK_SECONDS, watched.part.hang_seconds / _LOOKS_AT_LEAST)

    # --- running ---

    def run(self, meanwhile: Callable[[], bool] = lambda: False, alive: Callable[[], None] = lambda: None) -> None:
        """Keeps the parts running until a signal comes. `meanwhile` is called again and again while it returns True, `alive` always."""
        busy = True
        while not self._signals.stops:
            alive()
            self._tick()
            self._keep_house()
            busy = busy and meanwhile()
            soon = busy or any(watched.state.phase in ("starting", "restarting") for watched in self._watched)
            self._signals.wait(_STARTING_TICK * 2 if soon else _RUNNING_TICK)

    def _died(self, watched: _Watched, *, give_up: bool) -> None:
        assert watched.process is not None
        death = watched.process.died("while it was needed" if watched.was_ready else "before it was ready")
        if give_up and not (watched.was_ready or watched.part.background) and watched.backoff.deaths + 1 >= _TRIES_TO_START:
            raise death
        self._start_again(watched, str(death))

    def _start_again(self, watched: _Watched, why: str) -> None:
        delay = watched.backoff.died(time.monotonic() - watched.launched_at)
        watched.state.restarts += 1
        watched.state.pid = None
        watched.start_again_at = time.monotonic() + delay
        if watched.backoff.keeps_dying:
            self._console.say(f"{why}\nIt keeps dying ({watched.backoff.deaths} times in a row); the next try is in {delay:.0f} s.")
        else:
            self._console.say(f"{why.splitlines()[0].partition(' Its log')[0]} It is started again in {delay:.1f} s.")
        self._set(watched, "restarting")

    def _keep_house(self) -> None:
        if time.monotonic() < self._housekeeping_at:
            return
        self._housekeeping_at = time.monotonic() + _HOUSEKEEPING_SECONDS
        for watched in self._watched:
            if watched.process is not None:
                watched.process.rotate_log()
        free = self._home.free_bytes()
        if free < _LOW_DISK_BYTES and not self._disk_was_low:
            self._console.say(f"Only {free // 2**20} MB are free on the disk of {self._home.data}: labels can be refused soon. Make room.")
        self._disk_was_low = free < _LOW_DISK_BYTES

    # --- stopping ---

    def stop(self) -> None:
        """Drains the gateway, then stops services, storage and database. Another signal meanwhile kills what is left at once."""
        already = self._signals.stops
        self._state.phase = "stopping"
        self._save()
        for group in self._stop_order():
            for watched in group:
                if watched.process is not None and watched.process.running and self._signals.stops <= already:
                    watched.part.drain()
                    watched.process.ask_to_stop()
            deadline = time.monotonic() + max(watched.part.stop_seconds for watched in group)
            while any(watched.process is not None and watched.process.running for watched in group):
                if self._signals.stops > already:
                    self._console.say("Asked again: everything is killed now.")
                    self._kill()
                    return
                if time.monotonic() > deadline:
                    self._kill_slow(group)
                self._signals.wait(0.05)
            for watched in group:
                watched.state.phase, watched.state.pid = "stopped", None
            self._save()

    def _stop_order(self) -> list[list[_Watched]]:
        """Who needs or uses others stops before them; those on one level stop together."""
        left = list(self._watched)
        order = []
        while left:
            needed = {name for watched in left for name in (*watched.part.needs, *watched.part.uses)}
            group = [watched for watched in left if watched.part.name not in needed]
            order.append(group)
            left = [watched for watched in left if watched not in group]
        return order

    def _kill_slow(self, group: list[_Watched]) -> None:
        for watched in group:
            if watched.process is not None and watched.process.running:
                self._console.say(f"{watched.part.title}: did not end within {watched.part.stop_seconds:g} s; it is killed.")
                watched.process.kill()

    def _kill(self) -> None:
        for watched in reversed(self._watched):
            if watched.process is not None:
                watched.process.kill()

    # --- bookkeeping ---

    def _stop_if_asked(self) -> None:
        if self._signals.stops:
            raise Stopped

    def _set(self, watched: _Watched, phase: PartPhase) -> None:
        watched.state.phase = phase
        self._save()

    def _save(self) -> None:
        try:
            self._state.save(self._home.state)
        except LocalError as error:  # a full disk must not end a mesh that still serves
            self._console.say(str(error))
