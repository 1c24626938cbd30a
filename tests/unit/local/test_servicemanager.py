"""What the service manager hears."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from labelmesh_local.console import Console
from labelmesh_local.servicemanager import ServiceManager


def _listener(address: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.bind(address)
    made.settimeout(5)
    return made


@pytest.mark.parametrize("abstract", [True, False])
def test_it_hears_each_step_at_either_kind_of_address(abstract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"labelmesh-test-{os.getpid()}" if abstract else str(tmp_path / "socket")
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}" if abstract else name)
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    with _listener(f"\0{name}" if abstract else name) as listener:
        manager = ServiceManager.from_environment()
        assert manager.is_there
        manager.ready("here")
        assert listener.recv(1000) == b"READY=1\nSTATUS=here"
        manager.alive()
        assert listener.recv(1000) == b"WATCHDOG=1"
        manager.stopping()
        assert listener.recv(1000).decode().startswith("STOPPING=1\n")
    manager.alive()  # one that has gone is no reason to end
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & os.environ.keys(), "no part inherits them"


def test_a_watchdog_of_another_process_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "socket"))
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    with _listener(str(tmp_path / "socket")) as listener:
        manager = ServiceManager.from_environment()
        manager.alive()
        manager.ready("here")
        assert listener.recv(1000).startswith(b"READY=1")


def test_without_a_manager_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    manager = ServiceManager.from_environment()
    assert not manager.is_there
    manager.ready("here")
    manager.stopping()


def test_what_is_kept_somewhere_has_no_secrets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kept in (False, True):
        console = Console(tmp_path / "log", kept=kept)
        console.say("the password", secret=True)
        console.say("the rest")
        assert capsys.readouterr().out == ("the rest\n" if kept else "the password\nthe rest\n")
    assert "the password" not in (tmp_path / "log").read_text()
