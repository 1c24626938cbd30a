"""The model repository: versions appear whole or not at all, and the configuration names what is served."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelmesh_client import ConfigurationError, ModelRepository
from labelmesh_client.repository import MANIFEST_NAME
from labelmesh_client.serverconfig import MARK, ServedModel, read_server_config, write_server_config


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    made = ModelRepository(tmp_path / "models")
    made.prepare()
    return made


def saved_model(folder: Path, content: bytes = b"graph") -> Path:
    """Files as of a SavedModel."""
    for name in ("saved_model.pb", "variables/variables.index", MANIFEST_NAME):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def leftovers(repository: ModelRepository) -> list[str]:
    return sorted(entry.name for entry in repository.path.iterdir() if entry.name.startswith(".") and entry.name != ".lock")


def test_a_published_version_lies_there_whole_and_is_named(repository: ModelRepository, tmp_path: Path) -> None:
    source = saved_model(tmp_path / "made")
    target = repository.publish("digits", 1, source)
    assert target == repository.path / "digits" / "1"
    assert sorted(str(file.relative_to(target)) for file in target.rglob("*") if file.is_file()) == [
        "assets.extra/labelmesh.yaml",
        "saved_model.pb",
        "variables/variables.index",
    ]
    assert source.exists()
    text = repository.config_path.read_text()
    assert text.startswith(MARK)
    assert f'base_path: "{repository.path}/digits"' in text
    assert (repository.models(), repository.versions("digits"), repository.served("digits")) == (("digits",), (1,), (1,))
    moved = repository.publish("digits", 2, source, move=True)
    assert (moved / "saved_model.pb").read_bytes() == b"graph"
    assert not source.exists()
    assert leftovers(repository) == []


def test_the_newest_three_are_served_and_what_is_to_be_kept(repository: ModelRepository, tmp_path: Path) -> None:
    for version in range(1, 8):
        repository.publish("m", version, saved_model(tmp_path / "made"), keep=[2])
    repository.publish("other", 1, saved_model(tmp_path / "made"))
    assert repository.versions("m") == tuple(range(1, 8))
    assert repository.served("m") == (2, 5, 6, 7)
    assert repository.configure("m", keep=[1, 99]) == (1, 5, 6, 7)
    assert repository.served("other") == (1,)
    assert repository.next_version("m") == 8
    assert repository.next_version("m", at_least=20) == 20
    # An older number that comes late is served too: somebody asked for it.
    repository.remove("m", 3)
    repository.publish("m", 3, saved_model(tmp_path / "made"))
    assert repository.served("m") == (3, 5, 6, 7)


def test_a_version_that_is_there_is_never_replaced(repository: ModelRepository, tmp_path: Path) -> None:
    repository.publish("m", 1, saved_model(tmp_path / "first", b"first"))
    (repository.path / "m" / "5").mkdir()
    for taken in (1, 5):
        with pytest.raises(ConfigurationError, match=f"has a version {taken} of m already; the next free number is 6"):
            repository.publish("m", taken, saved_model(tmp_path / "second", b"second"))
    assert (repository.path / "m" / "1" / "saved_model.pb").read_bytes() == b"first"
    assert leftovers(repository) == []


def test_a_removed_version_is_named_no_more_and_gone(repository: ModelRepository, tmp_path: Path) -> None:
    for version in (1, 2):
        repository.publish("m", version, saved_model(tmp_path / "made"))
    repository.remove("m", 2)
    assert (repository.versions("m"), repository.served("m")) == ((1,), (1,))
    repository.remove("m", 2)
    repository.remove("m", 1)
    assert (repository.models(), "config {" in repository.config_path.read_text()) == ((), False)
    assert not (repository.path / "m").exists()
    assert leftovers(repository) == []


def test_a_configuration_that_a_person_wrote_is_left_alone_and_nothing_is_copied(repository: ModelRepository, tmp_path: Path) -> None:
    own = "model_config_list { }\n"
    repository.config_path.write_text(own)
    with pytest.raises(ConfigurationError, match="was not written by labelmesh") as refused:
        repository.publish("m", 1, saved_model(tmp_path / "made"))
    assert "versions: N" in str(refused.value)
    assert repository.config_path.read_text() == own
    assert repository.versions("m") == ()
    repository.config_path.write_text(MARK + "\nmodel_config_list { config { nonsense: 1 } }\n")
    with pytest.raises(ConfigurationError, match="is damaged"):
        repository.publish("m", 1, saved_model(tmp_path / "made"))
    repository.config_path.unlink()
    repository.publish("m", 1, saved_model(tmp_path / "made"))
    assert repository.served("m") == (1,)


def test_where_the_model_server_sees_the_folder_is_kept(tmp_path: Path) -> None:
    elsewhere = ModelRepository(tmp_path / "models", served_path="/models")
    elsewhere.prepare()
    elsewhere.publish("a", 1, saved_model(tmp_path / "made"))
    later = ModelRepository(tmp_path / "models")
    later.publish("a", 2, saved_model(tmp_path / "made"))
    later.publish("b", 1, saved_model(tmp_path / "made"))
    config = read_server_config(later.config_path.read_text(), later.config_path)
    assert {model.name: (model.base_path, model.versions) for model in config.values()} == {
        "a": ("/models/a", (1, 2)),
        "b": ("/models/b", (1,)),
    }


def test_what_is_no_saved_model_is_refused_with_a_sentence(repository: ModelRepository, tmp_path: Path) -> None:
    good, outside, linked, empty = (tmp_path / name for name in ("good", "outside", "linked", "empty"))
    saved_model(good)
    saved_model(linked)
    empty.mkdir()
    outside.write_bytes(b"secret")
    (linked / "variables" / "more").symlink_to(outside)
    many = saved_model(tmp_path / "many")
    (many / "loop").symlink_to(many)
    cases: Iterable[tuple[str, int, Path, str]] = (
        ("m", 1, tmp_path / "none", "There is no folder"),
        ("m", 1, empty, "it has no file saved_model.pb"),
        ("m", 1, linked, "is a link that leads out"),
        ("m", 1, many, "is a link to a folder"),
        ("m", 0, good, "0 is no version"),
        ("../m", 1, good, "is no name of a model"),
        ("M", 1, good, "is no name of a model"),
    )
    for model, version, folder, sentence in cases:
        with pytest.raises(ConfigurationError, match=sentence):
            repository.publish(model, version, folder)
    with pytest.raises(ConfigurationError, match="There is no model repository"):
        ModelRepository(tmp_path / "nowhere").publish("m", 1, good)
    assert repository.models() == ()
    assert leftovers(repository) == []


def test_what_a_killed_publication_left_is_cleared_away_after_a_day(repository: ModelRepository, tmp_path: Path) -> None:
    for name, age_s in ((".incoming-old", 25 * 3600), (".incoming-new", 3600)):
        folder = saved_model(repository.path / name)
        os.utime(folder, (time.time() - age_s, time.time() - age_s))
    repository.publish("m", 1, saved_model(tmp_path / "made"))
    assert leftovers(repository) == [".incoming-new"]
    assert repository.models() == ("m",)


def test_whoever_reads_the_configuration_while_it_changes_gets_the_old_one_whole(repository: ModelRepository, tmp_path: Path) -> None:
    before = repository.config_path.read_text()
    with repository.config_path.open() as file:
        repository.publish("m", 1, saved_model(tmp_path / "made"))
        assert file.read() == before
    assert repository.config_path.read_text() != before


def test_two_programs_that_want_one_number_get_it_once(repository: ModelRepository, tmp_path: Path) -> None:
    outcomes: list[str] = []

    def publish(content: bytes) -> None:
        try:
            ModelRepository(repository.path).publish("m", 1, saved_model(tmp_path / content.decode(), content))
            outcomes.append(content.decode())
        except ConfigurationError:
            outcomes.append("refused")

    threads = [threading.Thread(target=publish, args=(f"program{number}".encode(),)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [outcome for outcome in outcomes if outcome != "refused"]
    assert outcomes.count("refused") == 5
    assert (repository.path / "m" / "1" / "saved_model.pb").read_bytes() == winner.encode()
    assert leftovers(repository) == []


_NAMES = st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,20}", fullmatch=True)
_PATHS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(st.dictionaries(_NAMES, st.tuples(_PATHS, st.lists(st.integers(1, 2**62), max_size=5)), max_size=5))
def test_a_configuration_is_read_back_as_it_was_written(models: dict[str, tuple[str, list[int]]]) -> None:
    wanted = {name: ServedModel(name, path, tuple(versions)) for name, (path, versions) in models.items()}
    assert read_server_config(write_server_config(wanted.values()), Path("models.config")) == wanted
