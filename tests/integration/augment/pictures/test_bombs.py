"""Files that ask for far more than they bring, read in a process that has little memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.augment.pictures.bombs import TAKEN, all_bombs

# What the process can have besides what it starts with.
_MOST_MEMORY_MB = 400
# A file of 16 MiB three times: as it is, without its frame, and as the decoder gets it; or the pixels of 50 megapixels in grey.
_MOST_GROWTH_MB = 100
_MOST_SECONDS = 3.0

_PROGRAM = """
import json, pathlib, re, resource, sys, time
from labelmesh_chassis.errors import InvalidArgument
from labelmesh_augment.pictures.reading import inspect, read
from labelmesh_augment.pictures.writing import write

status, references = pathlib.Path("/proc/self/status"), pathlib.Path("/proc/self/clear_refs")

def resident(name):
    return int(re.search(name + r":\\s+(\\d+) kB", status.read_text()).group(1)) // 1024

limit = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * 4096 + int(sys.argv[2]) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
found = {}
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    content = path.read_bytes()
    references.write_text("5")  # The peak is what is there now.
    before, started = resident("VmRSS"), time.process_time()
    try:
        inspect(content)
    except InvalidArgument:
        pass
    looked = time.process_time() - started
    try:
        read(content)
        reason = "taken"
    except InvalidArgument as refused:
        reason = refused.reason
    found[path.name] = (reason, time.process_time() - started, looked, resident("VmHWM") - before)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, float, float, int]]:
    """By name: what came of it, seconds for reading and for the header, and megabytes at their peak."""
    folder: Path = tmp_path_factory.mktemp("bombs")
    for name, (content, _) in all_bombs().items():
        (folder / name.replace("/", " of ")).write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(folder), str(_MOST_MEMORY_MB)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, tuple[str, float, float, int]] = json.loads(done.stdout)
    return found


def test_every_bomb_is_refused_or_defused(outcomes: dict[str, tuple[str, float, float, int]]) -> None:
    expected = {name: outcome for name, (_, outcome) in all_bombs().items()}
    assert {name: outcome for name, (outcome, *_) in outcomes.items()} == expected
    assert len([outcome for outcome in expected.values() if outcome != TAKEN]) > 40


def test_no_bomb_takes_long(outcomes: dict[str, tuple[str, float, float, int]]) -> None:
    slow = {name: seconds for name, (_, seconds, _, _) in outcomes.items() if seconds > _MOST_SECONDS}
    assert not slow
    assert not {name: seconds for name, (_, _, seconds, _) in outcomes.items() if seconds > 0.5}


def test_no_bomb_takes_memory(outcomes: dict[str, tuple[str, float, float, int]]) -> None:
    assert not {name: growth for name, (*_, growth) in outcomes.items() if growth > _MOST_GROWTH_MB}
