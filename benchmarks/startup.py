"""`./mesh up` from a fresh clone: the first start and the second, seconds and megabytes.

The first start downloads the packages; how long that takes is the network's and the package cache's affair, so the cache is left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from labelmesh_local.ports import free_port

from benchmarks.figures import spread, table
from benchmarks.mesh import family

HOUSE = Path(__file__).resolve().parent.parent
RUNS = 3


def main() -> str:
    """Runs it and returns Markdown."""
    with tempfile.TemporaryDirectory(prefix="labelmesh-bench-") as folder:
        clone = Path(folder) / "labelmesh"
        subprocess.run(["git", "clone", "--quiet", str(HOUSE), str(clone)], check=True)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("LABELMESH_", "VIRTUAL_ENV"))}
        environment |= {"UV_CACHE_DIR": str(Path(folder) / "uv"), "npm_config_cache": str(Path(folder) / "npm")}
        first = _up(clone, environment)
        installed = _megabytes(clone / ".labelmesh" / "venv") + _megabytes(clone / "web" / "node_modules")
        resident = _resident_megabytes(clone)
        _mesh(clone, environment, "down")
        seconds = []
        for _ in range(RUNS):
            seconds.append(_up(clone, environment))
            _mesh(clone, environment, "down")
        data = _megabytes(clone / ".labelmesh" / "data")
    rows: list[list[object]] = [
        ["first start, everything downloaded and built, s", f"{first:.1f}"],
        ["second start, s", spread(seconds)],
        ["installed, MB", f"{installed:,.0f}"],
        ["data after the first start with the demo digits, MB", f"{data:,.0f}"],
        ["memory of all parts (proportional set size), MB", f"{resident:,.0f}"],
    ]
    return table(["figure", "value"], rows)


def _up(clone: Path, environment: dict[str, str]) -> float:
    started = time.perf_counter()
    _mesh(clone, environment, "up", "--detach", "--port", str(free_port()))
    return time.perf_counter() - started


def _mesh(clone: Path, environment: dict[str, str], *arguments: str) -> None:
    done = subprocess.run([str(clone / "mesh"), *arguments], cwd=clone, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"./mesh {' '.join(arguments)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


def _megabytes(folder: Path) -> float:
    if not folder.exists():
        return 0
    if shutil.which("du") is None:
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    return int(subprocess.run(["du", "-sb", str(folder)], capture_output=True, text=True, check=True).stdout.split()[0]) / 1e6


def _resident_megabytes(clone: Path) -> float:
    """Memory of the mesh's processes, shared pages counted by share."""
    import json

    state = json.loads((clone / ".labelmesh" / "data" / "state.json").read_text())
    kilobytes = 0
    for pid in family(state["pid"]):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes / 1000


if __name__ == "__main__":
    print(main())
