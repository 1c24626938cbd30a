"""One mesh for one home, and what it tells about itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from labelmesh_local.errors import AlreadyRunning
from labelmesh_local.home import Home
from labelmesh_local.lock import MeshLock
from labelmesh_local.state import MeshState, PartState, running_mesh


def test_a_second_mesh_is_refused_and_told_who_is_first(tmp_path: Path) -> None:
    with MeshLock(tmp_path / "lock"), pytest.raises(AlreadyRunning, match=rf"process {os.getpid()}\)"):
        MeshLock(tmp_path / "lock").take()


def test_the_state_survives_the_file(tmp_path: Path) -> None:
    state = MeshState(pid=7, port=8080, started_at=1.5, phase="running", parts=[PartState("auth", "auth service", "ready", 9, {"grpc": 1})])
    state.save(tmp_path / "state.json")
    assert MeshState.load(tmp_path / "state.json") == state
    assert state.address == "http://127.0.0.1:8080"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"parts": 3}', '{"parts": [{"unknown": 1}]}'])
def test_a_damaged_state_file_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    assert MeshState.load(tmp_path / "state.json") is None


def test_the_state_of_a_mesh_that_is_gone_is_not_believed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    state = MeshState(pid=os.getpid(), port=8080, started_at=0)
    state.save(home.state)
    assert running_mesh(home) is None
    with MeshLock(home.lock):
        assert running_mesh(home) == state
