"""The page of settings says what the code reads, all of it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from docs import settings_page
from tests.platform.consistency.house import DOCS, HOUSE, code_files, variables_in


def test_the_page_of_settings_is_up_to_date() -> None:
    assert (DOCS / "settings.md").read_text() == settings_page.page(), "python -m docs.settings_page docs/settings.md"


def test_every_variable_that_code_names_is_on_the_page() -> None:
    known = settings_page.variables()
    unknown = {f"{path.relative_to(HOUSE)}: {name}" for path in code_files() for name in variables_in(path) - known.keys()}
    assert not unknown


def test_the_other_pages_name_no_variable_that_does_not_exist() -> None:
    known = settings_page.variables()
    pages = [HOUSE / "README.md", *DOCS.rglob("*.md")]
    unknown = {f"{path.relative_to(HOUSE)}: {name}" for path in pages for name in variables_in(path) - known.keys()}
    assert not unknown


def test_every_class_of_settings_is_on_the_page() -> None:
    """Also of a process that is new."""
    shown = {kind.__name__ for process in settings_page.PROCESSES for kind in settings_page.settings_classes(process)}
    parents = {
        parent.__name__ for process in settings_page.PROCESSES for kind in settings_page.settings_classes(process) for parent in kind.mro()
    }
    defined = {name for path in code_files() if path.suffix == ".py" for name in _settings_classes(path)}
    assert defined
    assert defined <= shown | parents


def _settings_classes(path: Path) -> set[str]:
    """The names of a file's classes that are made of settings."""
    classes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]
    return {
        each.name
        for each in classes
        if any(ast.unparse(base).endswith("Settings") for base in each.bases) and "model_config" in ast.unparse(each)
    }


def test_every_setting_says_what_it_is_and_what_it_may_be() -> None:
    settings = settings_page.all_settings()
    assert not [f"{each.variable} of {each.readers[0]}" for each in settings if not each.summary.endswith(".") or not each.allowed]


def test_what_unlocks_something_is_marked_as_secret() -> None:
    secrets = {name for name, setting in settings_page.variables().items() if setting.secret}
    assert secrets >= {
        f"LABELMESH_{name}" for name in ("DATABASE_URL", "S3_ACCESS_KEY", "S3_SECRET_KEY", "KEY_ENCRYPTION_KEY", "API_KEY", "PASSWORD")
    }
    assert "LABELMESH_LISTEN" not in secrets


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert settings_page.main([str(tmp_path / "page.md")]) == 0
    assert settings_page.main([]) == 0
    assert (tmp_path / "page.md").read_text() == capsys.readouterr().out == settings_page.page()
    assert settings_page.main(["a.md", "b.md"]) == 2
