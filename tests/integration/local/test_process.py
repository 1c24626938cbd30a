"""Child processes: they end when they should, however their parent ends, and say why."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from labelmesh_local.errors import LocalError
from labelmesh_local.process import PartDied, Process, wait_until

_SLEEP = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(60)"]
_STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here', flush=True); time.sleep(60)",
]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _until_it_wrote(process: Process) -> None:
    wait_until(process, lambda: "here" in process.log_tail(), timeout=10)


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    program = f"""
import pathlib, time
from labelmesh_local.process import Process
process = Process("child", {_SLEEP!r}, log=pathlib.Path({str(tmp_path / "log")!r}))
process.start()
while "here" not in process.log_tail():
    time.sleep(0.01)
print(process.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
        assert _alive(child)
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 5
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(child)


def test_a_child_that_ignores_the_stop_signal_is_killed_after_the_time_out(tmp_path: Path) -> None:
    process = Process("stubborn", _STUBBORN, log=tmp_path / "log")
    process.start()
    _until_it_wrote(process)
    assert not process.stop(timeout=0.3)
    assert process.exit_code == -signal.SIGKILL


def test_a_child_that_follows_the_stop_signal_is_not_killed(tmp_path: Path) -> None:
    process = Process("sleeper", _SLEEP, log=tmp_path / "log")
    process.start()
    _until_it_wrote(process)
    assert process.stop(timeout=10)
    assert process.exit_code == -signal.SIGTERM


def test_a_child_that_dies_early_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    program = "print('line one'); raise SystemExit('settings are wrong')"
    process = Process("the part", [sys.executable, "-c", program], log=tmp_path / "log")
    process.start()
    with pytest.raises(PartDied, match=r"(?s)the part ended with exit code 1 before it was ready.*settings are wrong"):
        wait_until(process, lambda: False, timeout=10)


def test_a_child_that_finds_the_disk_full_says_so(tmp_path: Path) -> None:
    program = "raise SystemExit('write failed: No space left on device')"
    process = Process("the part", [sys.executable, "-c", program], log=tmp_path / "log")
    process.start()
    with pytest.raises(PartDied, match="the part found the disk full"):
        wait_until(process, lambda: False, timeout=10)


def test_a_child_that_never_gets_ready_is_a_sentence(tmp_path: Path) -> None:
    process = Process("the part", _SLEEP, log=tmp_path / "log")
    process.start()
    with pytest.raises(LocalError, match="was not ready within 0 s"):
        wait_until(process, lambda: False, timeout=0.2)
    process.kill()


def test_the_log_of_an_earlier_run_is_not_taken_for_this_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("an old fault\n")
    process = Process("the part", [sys.executable, "-c", "raise SystemExit('a new fault')"], log=log)
    process.start()
    process.wait(10)
    assert process.log_tail() == "a new fault"


def test_a_big_log_is_rotated_while_the_child_goes_on_writing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    lines = ("import sys, time", "print('x' * 11_000_000, flush=True)", "while True:", "  print('here', flush=True); time.sleep(0.01)")
    program = "\n".join(lines)
    process = Process("the part", [sys.executable, "-c", program], log=log)
    process.start()
    wait_until(process, lambda: log.stat().st_size > 11_000_000, timeout=10)
    process.rotate_log()
    wait_until(process, lambda: process.log_tail().startswith("here"), timeout=10)
    assert log.stat().st_size < 1_000_000
    assert log.with_name("log.1").stat().st_size > 10_000_000
    process.kill()


def test_root_becomes_somebody_who_is_not_root(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = Process("id", [sys.executable, "-c", "import os; print(os.geteuid(), os.getegid())"], log=log, unprivileged=True)
    process.start()
    assert process.wait(10)
    assert process.exit_code == 0
    user, group = log.read_text().split()
    assert user != "0"
    assert group != "0"
