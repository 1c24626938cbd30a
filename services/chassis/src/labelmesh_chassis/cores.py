"""How many cores this process may use: those it may run on, and no more than its container is given time of."""

from __future__ import annotations

import os
from pathlib import Path


def available_cores(root: Path = Path("/")) -> int:
    """At least 1. A container's limit of 2.5 cores counts as 2: a process more than there is time for keeps the others waiting.

    Sources: https://docs.kernel.org/admin-guide/cgroup-v2.html (cpu.max), https://docs.kernel.org/scheduler/sched-bwc.html (cgroup v1).
    `root` is where /proc and /sys are.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(allowed, time_limit(root))))


def time_limit(root: Path) -> float:
    """Seconds of processor time that this process's control groups, and those above them, give it each second; infinite without a limit."""
    limits = [float("inf")]
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if not controllers:
            limits += [_of_v2(folder) for folder in _upwards(root / "sys/fs/cgroup", path)]
        elif "cpu" in controllers.split(","):
            limits += [_of_v1(folder) for name in ("cpu", controllers) for folder in _upwards(root / "sys/fs/cgroup" / name, path)]
    return min(limits)


def _upwards(mount: Path, path: str) -> list[Path]:
    """A control group's folder and all above it. A container sees its own as the mount itself."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    return [mount.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]


def _of_v2(folder: Path) -> float:
    words = " ".join(_lines(folder / "cpu.max")).split()
    return _ratio(words[0], words[1]) if len(words) == 2 else float("inf")


def _of_v1(folder: Path) -> float:
    quota, period = _lines(folder / "cpu.cfs_quota_us"), _lines(folder / "cpu.cfs_period_us")
    return _ratio(quota[0], period[0]) if quota and period else float("inf")


def _ratio(quota: str, period: str) -> float:
    try:
        share = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max"
        return float("inf")
    return share if share > 0 else float("inf")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
