"""`up`: starts the mesh and stays with it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from labelmesh_local.console import Console
from labelmesh_local.errors import AlreadyRunning, LocalError, PortTaken
from labelmesh_local.first_start import ADMIN_ACCOUNT, DEMO_ACCOUNT, FirstStart
from labelmesh_local.home import Home, Secrets
from labelmesh_local.lock import MeshLock
from labelmesh_local.models import why_tensorflow_cannot_run
from labelmesh_local.parts import Plan, make_parts
from labelmesh_local.ports import is_taken, listener, next_free
from labelmesh_local.servicemanager import ServiceManager
from labelmesh_local.state import MeshState, running_mesh
from labelmesh_local.supervisor import Signals, Stopped, Supervisor


@dataclass(frozen=True)
class Wishes:
    """What a person asked `up` for."""

    port: int = 8080
    demo: bool = True
    models: bool = True

    @property
    def arguments(self) -> list[str]:
        """The same as arguments of the command."""
        return ["--port", str(self.port), *([] if self.demo else ["--no-demo"]), *([] if self.models else ["--no-models"])]


def up(home: Home, house: Path, wishes: Wishes, *, detached: bool = False) -> int:
    """Starts everything and returns when it was asked to stop and has stopped: 0. `detached`: nobody listens once it runs."""
    began = time.monotonic()
    _refuse_a_second(home)
    home.prepare()
    lock = MeshLock(home.lock)
    lock.take()
    try:
        _wait_for_left_overs(MeshState.load(home.state))
        _check_port(wishes.port)
        return _up_alone(home, house, wishes, detached=detached, began=began)
    finally:
        lock.release()


def _up_alone(home: Home, house: Path, wishes: Wishes, *, detached: bool, began: float) -> int:
    manager = ServiceManager.from_environment()
    console = Console(home.log("mesh"), kept=manager.is_there)
    signals = Signals()
    left_over = MeshState.load(home.state)
    if left_over is not None and left_over.phase != "stopping":
        console.say("The last mesh ended without stopping; its data is whole and is used again.")
    obstacle = why_tensorflow_cannot_run() if wishes.models else ""
    if obstacle:
        console.say(f"Starting without models: {obstacle}. Labeling works as ever; predictions are refused.")
    state = MeshState(pid=os.getpid(), port=wishes.port, started_at=time.time())
    secrets = Secrets.load_or_make(home.secrets)
    plan = Plan.made(home, house, secrets, wishes.port, demo=wishes.demo, models=wishes.models and not obstacle)
    first_start = FirstStart(plan, console)
    console.say(f"Starting labelmesh; its data is in {home.data}")
    supervisor = Supervisor(make_parts(plan), home, state, console, signals)
    try:
        try:
            supervisor.start()
            new_admin = first_start.make_accounts()
            state.phase = "running"
            state.start_seconds = round(time.monotonic() - began, 3)
            state.save(home.state)
            _greet(console, state, home, demo=wishes.demo, new_admin=new_admin)
            manager.ready(f"At {state.address}")
            someone_waits = detached

            def meanwhile() -> bool:
                nonlocal someone_waits
                busy = first_start.go_on()
                if someone_waits and not first_start.loading_digits:
                    someone_waits = False
                    console.close()
                return busy

            supervisor.run(meanwhile, manager.alive)
        except Stopped:
            pass
        except LocalError:
            if not signals.stops:  # else a helper was stopped by the same Ctrl-C
                raise
    finally:
        manager.stopping()
        console.say("Stopping ...")
        first_start.stop()
        supervisor.stop()
        home.state.unlink(missing_ok=True)
    console.say("Stopped. Everything is kept for the next start.")
    return 0


def _refuse_a_second(home: Home) -> None:
    running = running_mesh(home)
    if running is not None:
        where = f"at {running.address}" if running.port else "and is only just starting"
        raise AlreadyRunning(f"Labelmesh runs already {where} (process {running.pid}, data in {home.data}). `./mesh down` stops it.")


def _wait_for_left_overs(state: MeshState | None, seconds: float = 30.0) -> None:
    """Gives the parts of a mesh that was killed the time to end: the kernel has told them to."""
    deadline = time.monotonic() + seconds
    for part in state.parts if state is not None else ():
        while part.pid is not None and _is_a_part(part.pid) and time.monotonic() < deadline:
            time.sleep(0.05)


def _is_a_part(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return any(word in command for word in (b"postgres", b"rclone", b"envoy", b"labelmesh_"))


def _check_port(port: int) -> None:
    if is_taken(port):
        who = listener(port) or "another program"
        raise PortTaken(f"Port {port} is taken by {who}. Choose another: ./mesh up --port {next_free(port)}")


def _greet(console: Console, state: MeshState, home: Home, *, demo: bool, new_admin: bool) -> None:
    console.say(f"\nLabelmesh runs at {state.address} after {state.start_seconds:.1f} s.")
    if demo:
        console.say(f"  demo account      {DEMO_ACCOUNT[0]} / {DEMO_ACCOUNT[1]}")
    if new_admin:
        console.say(f"  administrator     {ADMIN_ACCOUNT} / {home.admin_password.read_text().strip()}   (shown only now)", secret=True)
    console.say(f"  administrator's password is kept in {home.admin_password}")
    console.say(f"  data              {home.data}")
    console.say("  stop              Ctrl-C here, or ./mesh down\n")


def up_detached(home: Home, house: Path, wishes: Wishes) -> int:
    """Starts the mesh in the background; returns when it runs, or with its exit code when it does not come up."""
    _refuse_a_second(home)
    command = [sys.executable, "-m", "labelmesh_local", "up", *wishes.arguments, "--detached-child"]
    environment = {**os.environ, "LABELMESH_HOME": str(home.root), "LABELMESH_HOUSE": str(house)}
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, start_new_session=True
    )
    assert child.stdout is not None
    try:
        for line in child.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
    except KeyboardInterrupt:
        child.terminate()
        child.wait()
        raise
    state = running_mesh(home)
    if child.poll() is None and state is not None and state.phase == "running":
        return 0
    try:
        return child.wait(30) or 1
    except subprocess.TimeoutExpired:
        raise LocalError(f"The mesh closed its output without running; its log is {home.log('mesh')}.") from None
