"""Where the sources lie that are held against one another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[3]
DOCS = HOUSE / "docs"
# A name that ends with _ is the beginning of names.
_VARIABLE = re.compile(r"\bLABELMESH_[A-Z0-9_]*[A-Z0-9](?![A-Za-z0-9_*])")
_CODE = ("services", "gateway", "client", "local", "operations", "training", "benchmarks", "web", "images", "monitoring", "systemd")
_ENDINGS = {".py", ".ts", ".tsx", ".mjs", ".sh", ".j2", ".service"}
_MADE = {"node_modules", "dist", "build", "gen", "__pycache__", ".labelmesh"}


def code_files() -> Iterator[Path]:
    """Every file of code that may read a setting; tests and what is generated are left out."""
    yield HOUSE / "mesh"
    for folder in _CODE:
        for path in sorted((HOUSE / folder).rglob("*")):
            if path.suffix in _ENDINGS and not _MADE & set(path.relative_to(HOUSE).parts) and path.is_file():
                yield path


def variables_in(path: Path) -> set[str]:
    """The variables LABELMESH_* that a file names in full."""
    return set(_VARIABLE.findall(path.read_text("utf-8", "replace")))
