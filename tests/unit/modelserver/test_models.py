"""Configs, labels and the watch over folders: model_servers/server_core.cc."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from labelmesh_modelserver.models import ServedModels
from labelmesh_modelserver.servables import State
from labelmesh_modelserver.statuses import Code, ServingError
from tensorflow_serving.config import model_server_config_pb2

from tests.unit.modelserver.loads import Life, NamedVersion


@dataclass(frozen=True)
class _Version:
    value: int


@dataclass(frozen=True)
class _Spec:
    """A ModelSpec, whose own module imports TensorFlow."""

    name: str
    version: _Version = _Version(0)
    version_label: str = ""

    def WhichOneof(self, name: str) -> str | None:
        assert name == "version_choice"
        if self.version_label:
            return "version_label"
        return "version" if self.version.value else None


class House:
    """A repository of named versions, and the models served from it."""

    def __init__(self, root: Path, *, labels_run_ahead: bool = False) -> None:
        self.root = root
        self.life = Life()
        self.models = ServedModels[NamedVersion](self.life.servables, allow_labels_for_unavailable=labels_run_ahead)

    def write(self, model: str, *versions: int) -> None:
        for version in versions:
            (self.root / model / str(version)).mkdir(parents=True)

    def config(self, *models: str, policy: str = "all {}", labels: str = "") -> Any:
        entries = "".join(
            f'config {{ name: "{model}" base_path: "{self.root / model}" model_platform: "tensorflow" '
            f"model_version_policy {{ {policy} }} {labels} }}"
            for model in models
        )
        return text_format.Parse(f"model_config_list {{ {entries} }}", model_server_config_pb2.ModelServerConfig())

    def answer(self, spec: _Spec) -> int:
        with self.models.use(spec) as (version, _):
            return version


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.life.servables.close(timeout_s=2)


def _label(label: str, version: int) -> str:
    return f'version_labels {{ key: "{label}" value: {version} }}'


def test_a_config_returns_when_its_models_answer(house: House) -> None:
    house.write("m", 1, 2)
    house.models.reload(house.config("m", policy="latest {}"))
    assert house.answer(_Spec("m")) == 2


def test_a_new_version_is_found_by_looking_again(house: House) -> None:
    house.write("m", 1)
    house.models.reload(house.config("m", policy="latest {}"))
    house.write("m", 2)
    house.models.poll()
    house.life.until(lambda: house.life.states("m") == {1: State.END, 2: State.AVAILABLE})


def test_a_base_path_that_goes_away_unloads_nothing(house: House) -> None:
    house.write("m", 1)
    house.models.reload(house.config("m"))
    (house.root / "m").rename(house.root / "away")
    house.models.poll()
    assert house.answer(_Spec("m")) == 1


def test_one_models_missing_folder_does_not_blind_the_watch_over_another(house: House) -> None:
    house.write("a", 1)
    house.write("b", 1)
    house.models.reload(house.config("a", "b"))
    (house.root / "a").rename(house.root / "away")
    house.write("b", 2)
    house.models.poll()
    house.life.until(lambda: house.life.states("b") == {1: State.AVAILABLE, 2: State.AVAILABLE})


def test_a_version_whose_folder_is_gone_is_unloaded(house: House) -> None:
    house.write("m", 1, 2)
    house.models.reload(house.config("m"))
    house.life.until(lambda: house.life.states("m") == {1: State.AVAILABLE, 2: State.AVAILABLE})
    (house.root / "m" / "1").rmdir()
    house.models.poll()
    house.life.until(lambda: house.life.states("m") == {1: State.END, 2: State.AVAILABLE})


def test_a_model_left_out_of_the_next_config_is_unloaded(house: House) -> None:
    house.write("a", 1)
    house.write("b", 1)
    house.models.reload(house.config("a", "b"))
    house.models.reload(house.config("b"))
    house.life.until(lambda: house.life.states("a") == {1: State.END})
    assert house.answer(_Spec("b")) == 1


def test_a_refused_config_changes_nothing(house: House) -> None:
    house.write("a", 1)
    house.models.reload(house.config("a"))
    with pytest.raises(ServingError, match="multiple times"):
        house.models.reload(house.config("b", "b"))
    assert house.answer(_Spec("a")) == 1
    assert house.models.statuses("b") == ()


def test_a_label_points_at_an_available_version(house: House) -> None:
    house.write("m", 1, 2)
    house.models.reload(house.config("m"))
    house.models.reload(house.config("m", labels=_label("stable", 1)))
    assert house.answer(_Spec("m", version_label="stable")) == 1
    house.models.reload(house.config("m", labels=_label("stable", 2)))
    assert house.answer(_Spec("m", version_label="stable")) == 2


@pytest.mark.parametrize("labels_run_ahead", [False, True])
def test_a_label_may_run_ahead_of_its_version_only_if_allowed_and_never_by_moving(tmp_path: Path, labels_run_ahead: bool) -> None:
    """Source: model_servers/server_core.cc, UpdateModelVersionLabelMap."""
    house = House(tmp_path, labels_run_ahead=labels_run_ahead)
    house.write("m", 1)
    house.models.reload(house.config("m"))
    house.models.reload(house.config("m", labels=_label("stable", 1)))
    text = "Request to assign label to version 9 of model m, which is not currently available for inference"
    if labels_run_ahead:
        house.models.reload(house.config("m", labels=_label("stable", 1) + _label("canary", 9)))
        with pytest.raises(ServingError, match=r"Servable not found for request: Specific\(m, 9\)"):
            house.answer(_Spec("m", version_label="canary"))
    with pytest.raises(ServingError) as refused:
        house.models.reload(house.config("m", labels=_label("stable", 9)))
    assert (refused.value.code, refused.value.text) == (Code.FAILED_PRECONDITION, text)
    assert house.answer(_Spec("m", version_label="stable")) == 1
    house.life.servables.close(timeout_s=2)


def test_an_unknown_label_and_a_missing_name_are_invalid(house: House) -> None:
    house.write("m", 1)
    house.models.reload(house.config("m"))
    for spec, text in (
        (_Spec("m", version_label="nope"), "Unrecognized servable version label: nope"),
        (_Spec(""), "ModelSpec has no name specified."),
    ):
        with pytest.raises(ServingError) as refused:
            house.answer(spec)
        assert (refused.value.code, refused.value.text) == (Code.INVALID_ARGUMENT, text)


def test_an_empty_config_waits_for_a_better_one_but_cannot_follow_one(house: House) -> None:
    empty = model_server_config_pb2.ModelServerConfig()
    house.models.reload(empty)
    house.write("m", 1)
    house.models.reload(house.config("m"))
    with pytest.raises(ServingError) as refused:
        house.models.reload(empty)
    assert refused.value.code is Code.FAILED_PRECONDITION
    assert refused.value.text.startswith("Cannot transition to requested config.")


def test_a_config_whose_new_model_fails_says_so_and_stays_in_force(house: House) -> None:
    house.write("good", 1)
    house.write("bad", 1)
    house.life.loads.fail("bad/1")
    house.models.reload(house.config("good"))
    with pytest.raises(ServingError) as refused:
        house.models.reload(house.config("good", "bad"))
    assert refused.value.code is Code.UNKNOWN
    house.write("bad", 2)
    house.models.poll()
    house.life.until(lambda: house.life.states("bad") == {1: State.END, 2: State.AVAILABLE})


def test_a_changed_config_is_not_waited_for_so_that_the_next_one_is_read(house: House) -> None:
    house.write("m", 1)
    house.models.reload(house.config("m"))
    (house.root / "empty").mkdir()
    assert house.models.change(house.config("m", "empty")) == {"empty"}
    assert house.models.change(house.config("m")) == frozenset()
    assert house.answer(_Spec("m")) == 1
    assert house.models.is_known("m")
    assert not house.models.is_known("never-heard-of")
