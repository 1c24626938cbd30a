"""`down`, `status`, `logs`, `reset` and the labelmesh command."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

from labelmesh_local.errors import AlreadyRunning, LocalError, NotRunning
from labelmesh_local.first_start import client_command, command_environment
from labelmesh_local.home import Home, readable_trouble
from labelmesh_local.lock import MeshLock
from labelmesh_local.parts import environment_with
from labelmesh_local.state import MeshState, running_mesh

_STOP_SECONDS = 90.0


def down(home: Home) -> int:
    """Asks the mesh to stop and waits until it has; 0 also when none runs. Raises LocalError when it does not stop."""
    lock = MeshLock(home.lock)
    holder = lock.holder()
    if holder is None:
        print("Labelmesh is not running.")
        return 0
    print(f"Stopping labelmesh (process {holder}) ...", flush=True)
    os.kill(holder, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while lock.holder() == holder:
        if time.monotonic() > deadline:
            raise LocalError(f"Labelmesh (process {holder}) has not stopped within {_STOP_SECONDS:.0f} s; see {home.log('mesh')}.")
        time.sleep(0.05)
    print("Stopped. Everything is kept for the next start.")
    return 0


def status(home: Home, *, as_json: bool = False) -> int:
    """Prints what runs; 0 if the mesh runs with every part ready, 5 if it does not run, 1 otherwise."""
    state = running_mesh(home)
    if as_json:
        print(json.dumps({"running": state is not None, **(asdict(state) if state is not None else {})}))
    elif state is None:
        print("Labelmesh is not running." + (" The last mesh ended without stopping." if home.state.exists() else ""))
    else:
        _print_status(state, home)
    if state is None:
        return NotRunning.exit_code
    return 0 if state.phase == "running" and all(part.phase == "ready" for part in state.parts) else 1


def _print_status(state: MeshState, home: Home) -> None:
    print(f"Labelmesh is {state.phase} at {state.address} (process {state.pid}, since {_ago(state.started_at)}), data in {home.data}\n")
    print(f"  {'part':<11} {'state':<11} {'process':>8} {'started in':>11} {'restarts':>9} {'memory':>8}  ports")
    for part in state.parts:
        seconds = f"{part.start_seconds:.1f} s" if part.start_seconds is not None else "-"
        ports = " ".join(f"{name}:{port}" for name, port in part.ports.items())
        print(f"  {part.name:<11} {part.phase:<11} {part.pid or '-':>8} {seconds:>11} {part.restarts:>9} {_memory(part.pid):>8}  {ports}")


def _ago(moment: float) -> str:
    seconds = int(max(0.0, time.time() - moment))
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds % 60} s"


def _memory(pid: int | None) -> str:
    """Resident memory of the process itself."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return "-"
    return f"{pages * os.sysconf('SC_PAGE_SIZE') // 2**20} MB"


def logs(home: Home, part: str | None, *, follow: bool, lines: int = 40) -> int:
    """Prints the end of the logs, and with `follow` what comes. Raises LocalError for a part without a log."""
    known = {path.stem: path for path in sorted(home.logs.glob("*.log"))}
    if not known:
        raise LocalError(f"There are no logs in {home.logs} yet.")
    if part is not None and part not in known:
        raise LocalError(f"There is no log of {part!r}; there are: {', '.join(known)}.")
    chosen = {part: known[part]} if part is not None else known
    places = {}
    for name, path in chosen.items():
        content = path.read_bytes()
        places[name] = len(content)
        for line in content.decode(errors="replace").splitlines()[-lines:]:
            print(_log_line(name, line, alone=part is not None))
    while follow:
        sys.stdout.flush()
        time.sleep(0.2)
        for name, path in chosen.items():
            places[name] = _print_new(name, path, places[name], alone=part is not None)
    return 0


def _print_new(name: str, path: Path, place: int, *, alone: bool) -> int:
    size = path.stat().st_size if path.exists() else 0
    if size < place:  # it was rotated
        place = 0
    if size == place:
        return place
    with path.open("rb") as file:
        file.seek(place)
        content = file.read()
    whole = content[: content.rfind(b"\n") + 1]
    for line in whole.decode(errors="replace").splitlines():
        print(_log_line(name, line, alone=alone))
    return place + len(whole)


def _log_line(name: str, line: str, *, alone: bool) -> str:
    return line if alone else f"{name:<11} {line}"


def reset(home: Home, *, yes: bool) -> int:
    """Deletes all data after asking. Raises AlreadyRunning while a mesh uses it, LocalError when nobody can be asked."""
    with readable_trouble(home.root):
        home.root.mkdir(parents=True, exist_ok=True)
        lock = MeshLock(home.lock)
    running = running_mesh(home)
    if running is not None:
        raise AlreadyRunning(f"Labelmesh runs on this data (process {running.pid}). Stop it first: ./mesh down")
    if not home.data.exists():
        print(f"There is no data in {home.root}.")
        return 0
    if not yes:
        if not sys.stdin.isatty():
            raise LocalError("Deleting all data needs a yes: ./mesh reset --yes")
        print(f"This deletes every project, image, label and account in {home.data}. Type yes to go on: ", end="", flush=True)
        if sys.stdin.readline().strip().lower() != "yes":
            print("Nothing was deleted.")
            return 1
    with lock, readable_trouble(home.data):
        shutil.rmtree(home.data)
    print(f"Deleted {home.data}. The next ./mesh up begins anew.")
    return 0


def client(home: Home, arguments: list[str]) -> int:
    """Becomes the labelmesh command, signed in as the local administrator. Raises NotRunning."""
    state = running_mesh(home)
    environment: dict[str, str] = {}
    if not arguments or "--help" in arguments or "-h" in arguments:
        pass
    elif state is None or state.phase != "running":
        raise NotRunning("Labelmesh is not running; start it with ./mesh up (in another terminal, or with --detach).")
    else:
        environment = command_environment(home, state.port)
    program = str(client_command())
    os.execve(program, [program, *arguments], environment_with(environment))
