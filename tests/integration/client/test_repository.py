"""The model repository with programs of their own that write it, and die meanwhile."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from labelmesh_client import ModelRepository
from labelmesh_client.serverconfig import MARK, read_server_config

from tests.unit.client.test_repository import saved_model


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    made = ModelRepository(tmp_path / "models")
    made.prepare()
    return made


_PUBLISH = """
import sys
from labelmesh_client import ModelRepository
folder, source, name, count = sys.argv[1:]
for version in range(1, int(count) + 1):
    ModelRepository(folder).publish(name, version, source)
"""


def test_several_programs_publish_at_once_and_none_is_lost(repository: ModelRepository, tmp_path: Path) -> None:
    source, count = saved_model(tmp_path / "made"), 5
    names = ("a", "b", "c")
    commands = [[sys.executable, "-c", _PUBLISH, str(repository.path), str(source), name, str(count)] for name in names]
    seen: list[str] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.002):
            seen.append(repository.config_path.read_text())

    watcher = threading.Thread(target=watch)
    watcher.start()
    programs = [subprocess.Popen(command, stderr=subprocess.PIPE) for command in commands]
    for program in programs:
        _, said = program.communicate(timeout=60)
        assert program.returncode == 0, said
    over.set()
    watcher.join()
    assert {name: repository.served(name) for name in names} == dict.fromkeys(names, (3, 4, 5))
    # Whoever reads the configuration meanwhile finds one that is whole, and names only what lies there.
    for text in set(seen):
        assert text.startswith(MARK)
        for model in read_server_config(text, repository.config_path).values():
            assert set(model.versions) <= set(range(1, count + 1))


def test_a_publication_that_is_killed_leaves_a_whole_version_or_none(repository: ModelRepository, tmp_path: Path) -> None:
    source = saved_model(tmp_path / "made")
    for number in range(60):
        (source / "variables" / f"part-{number}").write_bytes(bytes([number]) * 20_000)
    files = sorted(str(file.relative_to(source)) for file in source.rglob("*"))
    chance = random.Random(5)
    served = 0
    for round_number in range(4):
        command = [sys.executable, "-c", _PUBLISH, str(repository.path), str(source), f"m{round_number}", "1000"]
        program = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not repository.versions(f"m{round_number}"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.05))
        program.kill()
        program.wait()
        for model in read_server_config(repository.config_path.read_text(), repository.config_path).values():
            for version in model.versions:
                served += 1
                folder = repository.folder(model.name, version)
                assert sorted(str(file.relative_to(folder)) for file in folder.rglob("*")) == files
                assert (folder / "variables" / "part-59").read_bytes() == b"\x3b" * 20_000
        # The next program goes on as if nothing had been.
        repository.publish(f"m{round_number}", 5000, source)
    assert served >= 4
