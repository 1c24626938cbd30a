"""The model server's folder, and whether TensorFlow runs here at all."""

from __future__ import annotations

import platform
from pathlib import Path

from labelmesh_client.repository import ModelRepository
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


def test_a_repository_that_was_moved_is_served_from_where_it_is_now(tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    before = server(tmp_path / "before")
    before.prepare()
    repository = ModelRepository(before.repository)
    saved = tmp_path / "saved"
    saved.mkdir()
    (saved / "saved_model.pb").write_bytes(b"x")
    repository.publish("digits", 1, saved, keep=(1,))
    assert f'base_path: "{before.repository}/digits"' in before.configuration.read_text()
    (tmp_path / "before").rename(tmp_path / "after")
    after = ModelServer(tmp_path / "after" / "models", 1, 2, run_dir=tmp_path / "after" / "run", log=tmp_path / "log")
    after.prepare()
    assert f'base_path: "{after.repository}/digits"' in after.configuration.read_text()
    assert "before" not in after.configuration.read_text()


def test_a_configuration_of_a_persons_own_is_left_alone(tmp_path: Path) -> None:
    made = server(tmp_path)
    made.prepare()
    (made.repository / "mine").mkdir()
    own = 'model_config_list {\n  config {\n    base_path: "/gone/mine"\n  }\n}\n'
    made.configuration.write_text(own)
    made.prepare()
    assert made.configuration.read_text() == own


def test_what_the_first_start_makes_the_command_may_write(tmp_path: Path) -> None:
    made = server(tmp_path)
    made.prepare()
    found = made.configuration.read_text()
    made.configuration.unlink()
    ModelRepository(made.repository).prepare()
    assert made.configuration.read_text() == found


def test_a_processor_without_avx_is_told_before_tensorflow_dies_of_it(tmp_path: Path) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text("processor\t: 0\nflags\t\t: fpu sse4_2 avx avx2\n")
    assert why_tensorflow_cannot_run(told) == ""
    told.write_text("processor\t: 0\nflags\t\t: fpu sse4_2 avx2x\n")
    expected = "this processor has no AVX, which TensorFlow needs" if platform.machine() == "x86_64" else ""
    assert why_tensorflow_cannot_run(told) == expected
    assert why_tensorflow_cannot_run(tmp_path / "missing") == ""
