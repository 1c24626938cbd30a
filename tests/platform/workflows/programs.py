"""The programs of requirements/platform.txt, as they lie beside the mesh."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[3]
BIN = HOUSE / ".labelmesh" / "platform" / "bin"
GITHUB = HOUSE / ".github"

_NOT_OURS = {"node_modules", ".labelmesh", "dist", ".git", ".pytest_cache", ".mypy_cache", ".ruff_cache", "__pycache__"}


def files() -> Iterator[Path]:
    """Every file of the repository; environments, packages and builds are not even looked into, for they change meanwhile."""
    for folder, folders, names in os.walk(HOUSE):
        folders[:] = sorted(set(folders) - _NOT_OURS)
        yield from (Path(folder) / name for name in sorted(names))


def run(program: str, *arguments: str | Path, folder: Path = HOUSE) -> subprocess.CompletedProcess[str]:
    """Runs one to its end; stdout and stderr come together. They ask nobody: what they need lies here."""
    environment = {name: value for name, value in os.environ.items() if name not in ("GH_TOKEN", "GITHUB_TOKEN")}
    return subprocess.run(
        [str(BIN / program), *map(str, arguments)],
        cwd=folder,
        env={**environment, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}", "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
