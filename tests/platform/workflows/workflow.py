"""Workflows and actions of .github, read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.platform.workflows.programs import GITHUB

WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))


def read(path: Path) -> dict[str, Any]:
    """A workflow or an action; the key `on`, which YAML takes for a truth value, is "on" again."""
    document: dict[Any, Any] = yaml.safe_load(path.read_text())
    return {("on" if key is True else str(key)): value for key, value in document.items()}


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every job of every workflow, as "ci.yml: unit"."""
    for path in WORKFLOWS:
        for name, job in read(path)["jobs"].items():
            yield f"{path.name}: {name}", job


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every step of every job and of every action of ours."""
    for name, job in jobs():
        for step in job.get("steps", ()):
            yield name, step
    for path in ACTIONS:
        for step in read(path)["runs"]["steps"]:
            yield str(path.relative_to(GITHUB)), step


def scripts() -> Iterator[tuple[str, str]]:
    """What steps run, line by line."""
    for name, step in steps():
        for line in str(step.get("run", "")).splitlines():
            yield name, line.strip()
