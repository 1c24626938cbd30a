"""Augmenting beside Albumentations and a plain loop of OpenCV, in turns, by the CPU seconds that each way takes; and through the service.

One core is enough for each way, so what counts is CPU time, which a busy machine disturbs less than time on the clock.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.augmentation_service import Service
from benchmarks.augmentation_ways import FLIP_AND_COLOUR, IN_COLOUR, QUALITY
from benchmarks.figures import ratio, spread, table
from benchmarks.mesh import HOUSE

RUNS = 7
FILES, LARGE_FILES = 64, 24
# Long enough for a stream's beginning and end not to count.
LARGE_REPEATS = 10
HERE = Path(__file__).resolve().parent
# What our workers ask of glibc's allocator (`labelmesh_chassis.memory`), as variables of mallopt(3).
KEEPING_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(8 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(64 * 2**20),
    "MALLOC_TOP_PAD_": str(4 * 2**20),
}


def peer_environment() -> Path:
    """Albumentations' own environment, made once from its lock file."""
    home = Path(os.environ.get("LABELMESH_BENCH_HOME") or HERE.parent / ".labelmesh" / "bench")
    environment = home / "albumentations"
    done = environment / "complete"
    if not done.exists():
        shutil.rmtree(environment, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        requirements = HERE / "albumentations.txt"
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(requirements)]
        subprocess.run(pip, check=True)
        done.touch()
    return environment


def photographs(folder: Path, count: int, side: int = 512) -> None:
    """Square JPEG files, each different: large shapes, and grain as a camera has it."""
    folder.mkdir(parents=True)
    chance = np.random.default_rng(5)
    for number in range(count):
        coarse = cv2.resize(chance.integers(0, 256, (24, 24, 3), dtype=np.uint8), (side, side), interpolation=cv2.INTER_CUBIC)
        grain = cv2.GaussianBlur(chance.integers(0, 256, (side, side, 3), dtype=np.uint8), (5, 5), 1.0)
        done, written = cv2.imencode(".jpg", cv2.addWeighted(coarse, 0.85, grain, 0.15, 0.0), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        assert done
        (folder / f"{number:03d}.jpg").write_bytes(written.tobytes())


class Way:
    """A process that does rounds when it is asked to."""

    def __init__(self, command: list[str], folder: Path, *more: str, environment: Mapping[str, str] | None = None) -> None:
        # A lookup of newer versions would cost the peer time that is not augmenting.
        environment = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1", "OMP_NUM_THREADS": "1", **(environment or {})}
        self._process = subprocess.Popen(
            [*command, str(folder), *more], cwd=HOUSE, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.files = int(self._read()["files"])

    def per_cpu_second(self, work: str) -> float:
        """Pictures in a second of CPU, over one round."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{work}\n")
        self._process.stdin.flush()
        return self.files / float(self._read())

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a way of augmenting ended with {self._process.wait(10)}")
        return json.loads(line)


def main() -> str:
    """Runs it and returns Markdown."""
    environment = peer_environment()
    with tempfile.TemporaryDirectory(prefix="labelmesh-bench-") as folder:
        files = Path(folder) / "files"
        photographs(files, FILES)
        return f"{_library(files, environment)}\n\nThrough the service:\n\n{_service(files, Path(folder))}"


def _library(folder: Path, environment: Path) -> str:
    own = [sys.executable, "-m", "benchmarks.augmentation_ways"]
    peer = [str(environment / "bin" / "python"), str(HERE / "albumentations_way.py")]
    ways = {
        "ours": Way([*own, "library"], folder),
        "albumentations": Way(peer, folder),
        "albumentations kept": Way(peer, folder, environment=KEEPING_MEMORY),
        "loop": Way([*own, "loop"], folder),
        "kept": Way([*own, "loop"], folder, "keep"),
    }
    try:
        whole = _in_turns(ways, "files")
        pixels = _in_turns({name: ways[name] for name in ("ours", "albumentations", "albumentations kept")}, "pixels")
    finally:
        for way in ways.values():
            way.stop()
    rows = [
        ["from file to file: labelmesh", spread(whole["ours"]), ""],
        ["the same: Albumentations 2.0.8", spread(whole["albumentations"]), ""],
        ["the same: Albumentations, keeping memory as our workers do", spread(whole["albumentations kept"]), ""],
        ["the same: a loop of OpenCV", spread(whole["loop"]), ""],
        ["the same: that loop, keeping memory as our workers do", spread(whole["kept"]), ""],
        ["labelmesh / Albumentations", ratio(whole["ours"], whole["albumentations"]), "at least 1.3"],
        ["labelmesh / Albumentations, keeping memory", ratio(whole["ours"], whole["albumentations kept"]), "reported"],
        ["labelmesh / loop of OpenCV", ratio(whole["ours"], whole["loop"]), "at least 0.95"],
        ["labelmesh / that loop, keeping memory", ratio(whole["ours"], whole["kept"]), "reported"],
        ["five movements: labelmesh", spread(pixels["ours"]), ""],
        ["the same: Albumentations 2.0.8", spread(pixels["albumentations"]), ""],
        ["labelmesh / Albumentations", ratio(pixels["ours"], pixels["albumentations"]), "at least 3"],
        ["labelmesh / Albumentations, keeping memory", ratio(pixels["ours"], pixels["albumentations kept"]), "reported"],
    ]
    return table(["pictures per CPU second", "median (range)", "goal"], rows)


def _service(folder: Path, home: Path) -> str:
    photographs(home / "large", LARGE_FILES, 1024)
    files, large = ([path.read_bytes() for path in sorted(place.glob("*.jpg"))] for place in (folder, home / "large"))
    loop = Way([sys.executable, "-m", "benchmarks.augmentation_ways", "loop"], folder)
    services: dict[int, Service] = {}
    cpu: list[float] = []
    beside: list[float] = []
    clock: dict[int, list[float]] = {1: [], 2: []}
    large_clock: dict[int, list[float]] = {1: [], 2: []}
    try:
        for workers in clock:
            services[workers] = Service(home / f"mesh-{workers}", workers)
        for run in range(RUNS + 1):
            rounds = {workers: service.round(files, FLIP_AND_COLOUR, run) for workers, service in services.items()}
            large_rounds = {workers: service.round(large, IN_COLOUR, run, LARGE_REPEATS) for workers, service in services.items()}
            plain = loop.per_cpu_second("files")
            if run > 0:  # The first run warms up.
                cpu.append(rounds[1].per_cpu_second)
                beside.append(plain)
                for workers, figures in clock.items():
                    figures.append(rounds[workers].per_second)
                    large_clock[workers].append(large_rounds[workers].per_second)
    finally:
        loop.stop()
        for service in services.values():
            service.stop()
    rows = [
        ["pictures per CPU second of service, worker and client", spread(cpu), ""],
        ["of those of a loop of OpenCV", ratio(cpu, beside), "at least 0.85"],
        ["pictures per second, one worker", spread(clock[1]), ""],
        ["pictures per second, two workers", spread(clock[2]), ""],
        ["two workers / one", ratio(clock[2], clock[1]), "reported"],
        ["1,024 x 1,024 in colour, pictures per second, one worker", spread(large_clock[1]), ""],
        ["the same, two workers", spread(large_clock[2]), ""],
        ["two workers / one", ratio(large_clock[2], large_clock[1]), "at least 1.7"],
    ]
    return table(["through ApplyStream, eight files a message", "median (range)", "goal"], rows)


def _in_turns(ways: dict[str, Way], work: str) -> dict[str, list[float]]:
    figures: dict[str, list[float]] = {name: [] for name in ways}
    for run in range(RUNS + 1):
        for name, way in ways.items():
            figure = way.per_cpu_second(work)
            if run > 0:  # The first run warms up.
                figures[name].append(figure)
    return figures


if __name__ == "__main__":
    print(main())
