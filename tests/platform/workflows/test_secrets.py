"""No secret lies in the tree, and what looks like one is argued in .gitleaks.toml."""

from __future__ import annotations

import contextlib
import json
import shutil
import tomllib
from pathlib import Path

from tests.platform.workflows.programs import HOUSE, files, run

CONFIG = HOUSE / ".gitleaks.toml"


def found_in(folder: Path, report: Path) -> list[str]:
    """What gitleaks finds there by the house's rules: rule, file, line."""
    options = (
        "--no-banner",
        "--redact",
        "--exit-code",
        "9",
        "--config",
        str(CONFIG),
        "--report-format",
        "json",
        "--report-path",
        str(report),
    )
    done = run("gitleaks", "dir", ".", *options, folder=folder)
    assert done.returncode in (0, 9), done.stdout
    return [f"{finding['RuleID']} {finding['File']}:{finding['StartLine']}" for finding in json.loads(report.read_text())]


def test_the_tree_holds_no_secret(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for path in files():
        copy = tree / path.relative_to(HOUSE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # What tests of others write into the tree goes again.
            shutil.copyfile(path, copy)
    assert found_in(tree, tmp_path / "report.json") == []


def test_a_secret_would_be_found(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    # Put together here, so that this file holds none.
    (tree / "settings.py").write_text(f'aws_access_key_id = "{"AKIA" + "Z7QXW3M5T2K4R6YB"}"\n')
    (tree / "secret.yaml").write_text(f"LABELMESH_S3_SECRET_KEY: {'q8Zr' + 'T5vN1xKfW7mB3cYp9LsD'}\n")
    assert {finding.split()[1] for finding in found_in(tree, tmp_path / "report.json")} == {"settings.py:1", "secret.yaml:1"}


def test_every_exception_is_argued() -> None:
    for exception in tomllib.loads(CONFIG.read_text())["allowlists"]:
        assert len(exception["description"].split()) > 4, exception
