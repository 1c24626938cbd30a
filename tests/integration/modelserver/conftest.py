from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.modelserver.house import Repository, RunningServer


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "models")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of several models that tests only call: digits 1 to 3 with the label stable at 2, add_one, examples, slow, encoded."""
    repository = Repository(tmp_path_factory.mktemp("served") / "models")
    for version in (1, 2, 3):
        repository.add("digits", version)
    others = ("add_one", "examples", "slow", "encoded", "boxes", "keypoints", "mask")
    for model in others:
        repository.add(model, 1)
    repository.write_config("digits", *others)
    with RunningServer(f"--model_config_file={repository.config}") as running:
        text = repository.config.read_text()
        running.reload(text.replace('digits" model_platform', 'digits" version_labels { key: "stable" value: 2 } model_platform'))
        yield running
