"""Cores are counted as the container has them, not as the machine does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from labelmesh_chassis.cores import available_cores, time_limit

V2 = "0::/kubepods.slice/pod1/container\n"
V1 = "5:cpu,cpuacct:/docker/c1\n3:memory:/docker/c1\n"


def files(root: Path, cgroup: str, contents: dict[str, str]) -> Path:
    for path, content in {"proc/self/cgroup": cgroup, **{f"sys/fs/cgroup/{name}": content for name, content in contents.items()}}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    return root


@pytest.mark.parametrize(
    ("cgroup", "contents", "limit"),
    [
        (V2, {"kubepods.slice/pod1/container/cpu.max": "150000 100000\n"}, 1.5),
        (V2, {"kubepods.slice/pod1/container/cpu.max": "max 100000\n"}, float("inf")),
        # What is above limits as well.
        (V2, {"kubepods.slice/pod1/container/cpu.max": "400000 100000\n", "kubepods.slice/pod1/cpu.max": "200000 100000\n"}, 2),
        # As a container of its own namespace sees itself, and as one does that sees the machine's path but its own mount.
        ("0::/\n", {"cpu.max": "300000 100000\n"}, 3),
        (V2, {"cpu.max": "50000 100000\n"}, 0.5),
        (V1, {"cpu,cpuacct/docker/c1/cpu.cfs_quota_us": "250000\n", "cpu,cpuacct/docker/c1/cpu.cfs_period_us": "100000\n"}, 2.5),
        (V1, {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        (V1, {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, float("inf")),
        (V2, {"cpu.max": "nonsense\n"}, float("inf")),
        ("", {}, float("inf")),
    ],
)
def test_the_limit_of_a_container_is_found(tmp_path: Path, cgroup: str, contents: dict[str, str], limit: float) -> None:
    assert time_limit(files(tmp_path, cgroup, contents)) == limit


def test_a_machine_without_control_groups_has_no_limit(tmp_path: Path) -> None:
    assert time_limit(tmp_path) == float("inf")


@pytest.mark.parametrize(("quota", "cores"), [("50000", 1), ("100000", 1), ("199000", 1), ("max", None), ("9999900000", None)])
def test_cores_are_those_that_there_is_time_for_and_one_at_least(tmp_path: Path, quota: str, cores: int | None) -> None:
    root = files(tmp_path, "0::/\n", {"cpu.max": f"{quota} 100000\n"})
    assert available_cores(root) == (cores or len(os.sched_getaffinity(0)))
