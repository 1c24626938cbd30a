"""The model server's folder, and whether TensorFlow runs here at all."""

from __future__ import annotations

import platform
from pathlib import Path

from labelmesh_local.models import ModelServer, why_tensorflow_cannot_run


def server(folder: Path) -> ModelServer:
    (folder / "run").mkdir()
    return ModelServer(folder / "models", 1, 2, run_dir=folder / "run", log=folder / "log")


def test_the_first_start_makes_an_empty_repository_that_labelmesh_may_write(tmp_path: Path) -> None:
    made = server(tmp_path)
    made.prepare()
    assert made.configuration.read_text().startswith("# Written by labelmesh")
    assert "model_config_list" in made.configuration.read_text()
    assert [entry.name for entry in made.repository.iterdir()] == ["models.config"], "whatever else lies there could be taken for a model"
    assert made.repository.stat().st_mode & 0o777 == 0o700


def test_a_later_start_leaves_what_is_served_as_it_is(tmp_path: Path) -> None:
    made = server(tmp_path)
    made.prepare()
    made.configuration.write_text("model_config_list { config { name: 'mine' } }")
    made.prepare()
    assert made.configuration.read_text() == "model_config_list { config { name: 'mine' } }"


def test_a_processor_without_avx_is_told_before_tensorflow_dies_of_it(tmp_path: Path) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text("processor\t: 0\nflags\t\t: fpu sse4_2 avx avx2\n")
    assert why_tensorflow_cannot_run(told) == ""
    told.write_text("processor\t: 0\nflags\t\t: fpu sse4_2 avx2x\n")
    expected = "this processor has no AVX, which TensorFlow needs" if platform.machine() == "x86_64" else ""
    assert why_tensorflow_cannot_run(told) == expected
    assert why_tensorflow_cannot_run(tmp_path / "missing") == ""
