"""The guide says what the catalogue does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from labelmesh_augment.pipelines.pipeline import Pipeline, Step
from labelmesh_augment.pipelines.validation import check
from labelmesh_augment.transforms import document
from labelmesh_augment.transforms.catalogue import CATALOGUE

GUIDE = Path(__file__).parents[4] / "docs" / "guide" / "transforms.md"


def test_the_guide_is_up_to_date() -> None:
    assert GUIDE.read_text() == document.page(), "python -m labelmesh_augment.transforms.document docs/guide/transforms.md"


def test_the_guide_has_every_transform_once() -> None:
    assert sorted(re.findall(r"^### .* \(`(\w+)`\)$", document.page(), re.MULTILINE)) == sorted(CATALOGUE)


def test_the_pipeline_that_the_guide_begins_with_is_right() -> None:
    example = re.search(r"```json\n(.*?)```", document.page(), re.DOTALL)
    assert example is not None

    def step(given: dict[str, object]) -> Step:
        held = given.pop("steps", [])
        assert isinstance(held, list)
        return Step(**given, steps=tuple(step(each) for each in held))  # type: ignore[arg-type]

    assert not check(Pipeline(tuple(step(each) for each in json.loads(example[1])["steps"]))).findings


def test_the_picture_that_the_guide_shows_is_there_and_small() -> None:
    (name,) = re.findall(r"\(\.\./(images/\S+)\)", document.page())
    assert 10_000 < (GUIDE.parent.parent / name).stat().st_size < 400_000


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert document.main([str(tmp_path / "page.md")]) == 0
    assert document.main([]) == 0
    assert (tmp_path / "page.md").read_text() == capsys.readouterr().out == document.page()
    assert document.main(["a.md", "b.md"]) == 2
