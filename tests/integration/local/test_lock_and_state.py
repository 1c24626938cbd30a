"""A lock among processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from labelmesh_local.lock import MeshLock


def test_a_lock_whose_holder_was_killed_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = f"""
import time, pathlib
from labelmesh_local.lock import MeshLock
lock = MeshLock(pathlib.Path({str(path)!r}))
lock.take()
print("taken", flush=True)
time.sleep(60)
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == "taken\n"
        assert MeshLock(path).holder() == child.pid
        child.kill()
        child.wait()
    assert path.exists()
    assert MeshLock(path).holder() is None
    with MeshLock(path) as lock:
        assert lock.holder() == os.getpid()
