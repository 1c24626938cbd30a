"""The mesh as systemd runs it: the unit's own command, with a socket that listens as systemd does."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.platform.systemd.units import HOUSE, INSTALLED, UNITS, command, environment, settings
from tests.support.mesh import LocalMesh

UNIT = UNITS / "labelmesh-local.service"


class Manager:
    """The far end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self.heard: list[str] = []

    def hear(self, wanted: str, seconds: float) -> None:
        """Waits until something with `wanted` in it was heard."""
        deadline = time.monotonic() + seconds
        while not any(wanted in one for one in self.heard):
            self._socket.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                self.heard.append(self._socket.recv(4096).decode())
            except TimeoutError:
                raise AssertionError(f"{wanted} was not heard, but {self.heard}") from None

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    made = Manager(tmp_path_factory.mktemp("notify") / "socket")
    yield made
    made.close()


@pytest.mark.timeout(240)
def test_the_unit_s_command_says_that_it_is_ready_lives_and_stops(manager: Manager, tmp_path: Path) -> None:
    mesh = LocalMesh(tmp_path / "state")
    values = {
        name: value.replace(INSTALLED, str(HOUSE)).replace("/var/lib/labelmesh", str(mesh.home))
        for name, value in environment(UNIT).items()
    }
    # The file of one's own settings.
    values["LABELMESH_UP"] += f" --no-models --port {mesh.port}"
    words = [word.replace(f"{INSTALLED}/.labelmesh/venv/bin/python", sys.executable) for word in command(UNIT, values)]
    given = {**values, "PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "60000000"}
    # systemd starts it with an environment of its own making, and nothing on stdin.
    given["PYTHONPYCACHEPREFIX"] = os.environ.get("PYTHONPYCACHEPREFIX", str(tmp_path / "cache"))
    log = (tmp_path / "journal").open("wb")
    with log, subprocess.Popen(words, env=given, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=HOUSE) as process:
        try:
            manager.hear("READY=1", 120)
            assert f"STATUS=At {mesh.address}" in "".join(manager.heard)
            assert mesh.call("GET", "/v1/sessions/current")[0] == 401, "it is ready when it says so"
            manager.hear("WATCHDOG=1", 30)
            parts = [part["pid"] for part in mesh.state()["parts"] if part["pid"]]
            environments = [Path(f"/proc/{pid}/environ").read_bytes() for pid in parts]
            assert not any(b"NOTIFY_SOCKET" in one for one in environments), "no part speaks for the mesh"
            process.send_signal(signal.SIGTERM)
            manager.hear("STOPPING=1", 10)
            assert process.wait(_stop_seconds()) == 0
        finally:
            process.kill()
    said = (tmp_path / "journal").read_text()
    assert "Stopped. Everything is kept" in said
    assert mesh.admin_password not in said, "a journal keeps what it is told"
    _backs_up(mesh, tmp_path)
    shutil.rmtree(mesh.home, ignore_errors=True)


def _backs_up(mesh: LocalMesh, scratch: Path) -> None:
    """The night's unit, on a mesh that happens not to run."""
    unit, backups = UNITS / "labelmesh-backup.service", scratch / "backups"
    values = {name: value.replace(INSTALLED, str(HOUSE)) for name, value in environment(unit).items()}
    values["LABELMESH_HOME"] = str(mesh.home)
    values["LABELMESH_BACKUP"] = (
        values["LABELMESH_BACKUP"].replace("/var/lib/labelmesh-backups", str(backups)) + f" --metrics-file {backups}.prom"
    )
    words = [word.replace(f"{INSTALLED}/.labelmesh/venv/bin/python", sys.executable) for word in command(unit, values)]
    done = subprocess.run(words, env={**values, "PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    checked = subprocess.run(
        [sys.executable, "-m", "labelmesh_operations", "verify", str(backups)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0 and checked.stdout.startswith("Whole: "), checked.stderr
    assert "labelmesh_backup_last_attempt_success 1\n" in Path(f"{backups}.prom").read_text()
    assert mesh.command("status").returncode == 5, "what it started it has stopped"


def _stop_seconds() -> float:
    text = settings(UNIT)["Service"]["TimeoutStopSec"][0]
    return float(text.removesuffix("min")) * 60
