"""What tries a mesh after a build gives a real label in a real mesh, and says so when it cannot."""

from __future__ import annotations

import subprocess
import sys

from tests.support.mesh import HOUSE, LocalMesh

PROGRAM = HOUSE / ".github" / "one_label.py"


def tried(address: str, seconds: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(PROGRAM), address, str(seconds)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_one_label_goes_through_a_mesh_and_is_counted(mesh: LocalMesh) -> None:
    first, second = tried(mesh.address, 60), tried(mesh.address, 60)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    counts = [int(done.stdout.split(": ")[1].split()[0]) for done in (first, second)]
    assert counts[1] == counts[0] + 1


def test_where_nobody_answers_it_says_so(free_port: int) -> None:
    done = tried(f"http://127.0.0.1:{free_port}", 1)
    assert done.returncode == 1
    assert "no demo after 1 s" in done.stderr
