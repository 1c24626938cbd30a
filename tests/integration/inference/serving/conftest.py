"""A model server for the tests that leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.models import ensure
from tests.support.modelserver import ModelServerProcess, models_config


@pytest.fixture(scope="package")
def model_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServerProcess]:
    """Serves the tiny models straight from where they were made."""
    folder = tmp_path_factory.mktemp("model-server")
    config = folder / "models.config"
    config.write_text(models_config(ensure(), ["digits", "add_one", "encoded", "slow", "boxes"]))
    with ModelServerProcess(folder / "log", f"--model_config_file={config}") as server:
        yield server
