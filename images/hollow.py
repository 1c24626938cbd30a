from __future__ import annotations

from pathlib import Path


def empty_unused(site: Path) -> None:
    pass
