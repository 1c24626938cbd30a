"""The supervisor over small real processes: order, restarts, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from labelmesh_local.ports import free_port

# Two parts: `store`, and `service` that needs it. Each writes a line when it starts and when it is asked to stop.
_MESH = '''
import os, pathlib, sys, time
from labelmesh_local.console import Console
from labelmesh_local.errors import LocalError
from labelmesh_local.home import Home
from labelmesh_local.lock import MeshLock
from labelmesh_local.parts import Part
from labelmesh_local.process import Process
from labelmesh_local.state import MeshState
from labelmesh_local.supervisor import Signals, Stopped, Supervisor

home = Home(pathlib.Path(sys.argv[1]))
port = int(sys.argv[2])
home.prepare()
events = home.root / "events"
PROGRAM = """
import signal, sys, time
name, events, slow = sys.argv[1], sys.argv[2], float(sys.argv[3])
def note(what):
    with open(events, "a") as file:
        file.write(f"{name} {what}\\\\n")
def stop(number, frame):
    note("asked")
    time.sleep(slow)
    note("gone")
    raise SystemExit(0)
if name in ("broken", "hopeless"):
    raise SystemExit("the settings are wrong")
signal.signal(signal.SIGTERM, stop)
note("started")
if name == "moody":
    time.sleep(0.5)
    raise SystemExit("out of patience")
while True:
    time.sleep(1)
"""

def part(name, needs, slow, **more):
    running = []
    def launch():
        process = Process(name, [sys.executable, "-c", PROGRAM, name, str(events), str(slow)], log=home.log(name))
        process.start()
        running[:] = [process]
        return process
    def ready():
        return events.exists() and f"{name} started" in events.read_text()
    return Part(name, name, needs, launch, ready, {"none": port}, stop_seconds=float(os.environ.get("STOP_SECONDS", "10")), **more)

def responds():
    """As long as the file is there; looking at it is counted."""
    with open(home.root / "looks", "a") as file:
        file.write(".")
    return not (home.root / "silent").exists()

slow = float(os.environ.get("SLOW", "0.2"))
parts = [part("store", (), 0.2), part("service", ("store",), slow, responds=responds, hang_seconds=float(os.environ.get("HANG", "0.6")))]
if os.environ.get("HOPELESS"):
    parts.append(part("hopeless", (), 0, background=True))
if os.environ.get("LATE"):
    parts.append(part("model", ("service",), 0.2, background=True))
    parts.append(part("asker", ("store",), 0.2, uses=("model",)))
for name in ("broken", "moody"):
    if os.environ.get(name.upper()):
        parts.append(part(name, (), 0))
with MeshLock(home.lock):
    supervisor = Supervisor(parts, home, MeshState(os.getpid(), port, time.time()), Console(home.log("mesh")), Signals())
    try:
        supervisor.start()
        print("started", flush=True)
        supervisor.run()
    except Stopped:
        pass
    except LocalError as error:
        print(error, flush=True)
        sys.exit(error.exit_code)
    finally:
        supervisor.stop()
'''


class RunningMesh:
    """A supervisor in a process of its own, over a home in `root`."""

    def __init__(self, root: Path, **environment: str) -> None:
        self.root = root
        self.events_file = root / "events"
        command = [sys.executable, "-u", "-c", _MESH, str(root), str(free_port())]
        self.output = (root.parent / "output").open("w+")
        self.process = subprocess.Popen(command, stdout=self.output, stderr=subprocess.STDOUT, env={**os.environ, **environment})

    def said(self) -> str:
        self.output.seek(0)
        return self.output.read()

    def events(self) -> list[str]:
        return self.events_file.read_text().splitlines() if self.events_file.exists() else []

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.root / "data" / "state.json").read_text())
        return state

    def pid(self, name: str) -> int:
        return next(int(part["pid"]) for part in self.state()["parts"] if part["name"] == name)

    def until(self, condition: Callable[[], bool], seconds: float = 15.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds} s; it said:\n{self.said()}"
            time.sleep(0.02)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.output.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., RunningMesh]]:
    meshes: list[RunningMesh] = []

    def starter(**environment: str) -> RunningMesh:
        meshes.append(RunningMesh(tmp_path / "home", **environment))
        return meshes[-1]

    yield starter
    for mesh in meshes:
        mesh.end()


def test_parts_start_after_what_they_need_and_stop_before_it(start: Callable[..., RunningMesh]) -> None:
    mesh = start()
    mesh.until(lambda: "started\n" in mesh.said())
    mesh.process.send_signal(signal.SIGINT)
    assert mesh.process.wait(15) == 0
    assert mesh.events() == ["store started", "service started", "service asked", "service gone", "store asked", "store gone"]


def test_a_killed_part_is_started_again_and_it_is_said(start: Callable[..., RunningMesh]) -> None:
    mesh = start()
    mesh.until(lambda: "started\n" in mesh.said())
    before = mesh.pid("service")
    os.kill(before, signal.SIGKILL)
    mesh.until(lambda: "runs again after" in mesh.said())
    assert "service was killed by SIGKILL while it was needed. It is started again in 0.5 s." in mesh.said()
    assert mesh.pid("service") != before
    assert next(part["restarts"] for part in mesh.state()["parts"] if part["name"] == "service") == 1


def test_a_part_that_cannot_start_ends_the_mesh_with_its_own_words(start: Callable[..., RunningMesh]) -> None:
    mesh = start(BROKEN="1")
    assert mesh.process.wait(30) == 1
    assert "broken ended with exit code 1 before it was ready" in mesh.said()
    assert "the settings are wrong" in mesh.said()
    assert "Traceback" not in mesh.said()
    assert "service gone" in mesh.events()


def test_a_part_that_keeps_dying_is_said_so_with_the_end_of_its_log_and_the_others_go_on(start: Callable[..., RunningMesh]) -> None:
    mesh = start(MOODY="1")
    mesh.until(lambda: "It keeps dying (5 times in a row); the next try is in 8 s." in mesh.said(), seconds=40)
    assert "moody ended with exit code 1 while it was needed. Its log" in mesh.said()
    assert "out of patience" in mesh.said()
    assert mesh.events().count("service started") == 1


def test_a_part_that_hangs_is_killed_started_again_and_counted(start: Callable[..., RunningMesh]) -> None:
    mesh = start()
    mesh.until(lambda: "started\n" in mesh.said())
    before = mesh.pid("service")
    (mesh.root / "silent").touch()
    mesh.until(lambda: "has not answered for" in mesh.said())
    (mesh.root / "silent").unlink()
    mesh.until(lambda: "runs again after" in mesh.said())
    assert "service was killed by SIGKILL while it was needed. It is started again in 0.5 s." in mesh.said()
    assert mesh.pid("service") != before
    assert next(part["restarts"] for part in mesh.state()["parts"] if part["name"] == "service") == 1
    assert mesh.events().count("store started") == 1, "the others go on"


def test_a_part_that_is_silent_for_a_moment_is_left_alone(start: Callable[..., RunningMesh]) -> None:
    mesh = start(HANG="6")
    looks = mesh.root / "looks"
    mesh.until(lambda: "started\n" in mesh.said())
    (mesh.root / "silent").touch()
    mesh.until(lambda: looks.exists())
    (mesh.root / "silent").unlink()
    seen = len(looks.read_text())
    mesh.until(lambda: len(looks.read_text()) >= seen + 3)
    assert mesh.events().count("service started") == 1


def test_nobody_looks_where_it_was_not_wanted(start: Callable[..., RunningMesh]) -> None:
    mesh = start(HANG="0")
    mesh.until(lambda: "started\n" in mesh.said())
    (mesh.root / "silent").touch()
    time.sleep(1.5)
    assert not (mesh.root / "looks").exists()
    assert mesh.events().count("service started") == 1


def test_a_part_in_the_background_that_cannot_start_does_not_keep_the_mesh_from_running(start: Callable[..., RunningMesh]) -> None:
    mesh = start(HOPELESS="1")
    mesh.until(lambda: "started\n" in mesh.said())
    mesh.until(lambda: "It keeps dying (5 times in a row)" in mesh.said(), seconds=40)
    assert "the settings are wrong" in mesh.said()
    assert mesh.process.poll() is None
    assert next(part["phase"] for part in mesh.state()["parts"] if part["name"] == "service") == "ready"


def test_who_uses_a_part_need_not_wait_for_it_but_stops_before_it(start: Callable[..., RunningMesh]) -> None:
    mesh = start(LATE="1")
    mesh.until(lambda: "started\n" in mesh.said())
    mesh.until(lambda: "model started" in mesh.events())
    mesh.process.send_signal(signal.SIGINT)
    assert mesh.process.wait(15) == 0
    events = mesh.events()
    assert events.index("asker started") < events.index("model started")
    assert events.index("asker gone") < events.index("model asked")
    assert events.index("model gone") < events.index("service asked"), "the model needs it"


def test_a_second_signal_kills_what_is_slow_to_stop(start: Callable[..., RunningMesh]) -> None:
    mesh = start(SLOW="60", STOP_SECONDS="60")
    mesh.until(lambda: "started\n" in mesh.said())
    mesh.process.send_signal(signal.SIGTERM)
    mesh.until(lambda: "service asked" in mesh.events())
    mesh.process.send_signal(signal.SIGINT)
    assert mesh.process.wait(5) == 0
    assert "Asked again: everything is killed now." in mesh.said()


def test_a_part_that_does_not_stop_in_time_is_killed(start: Callable[..., RunningMesh]) -> None:
    mesh = start(SLOW="60", STOP_SECONDS="0.5")
    mesh.until(lambda: "started\n" in mesh.said())
    mesh.process.send_signal(signal.SIGTERM)
    assert mesh.process.wait(15) == 0
    assert "service: did not end within 0.5 s; it is killed." in mesh.said()
    assert "store gone" in mesh.events()


def test_nothing_is_left_when_the_supervisor_itself_is_killed(start: Callable[..., RunningMesh]) -> None:
    mesh = start()
    mesh.until(lambda: "started\n" in mesh.said())
    mesh.process.kill()
    mesh.until(lambda: {"service gone", "store gone"} <= set(mesh.events()))
