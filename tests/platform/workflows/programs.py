"""The programs of requirements/platform.txt, as they lie beside the mesh."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[3]
BIN = HOUSE / ".labelmesh" / "platform" / "bin"
GITHUB = HOUSE / ".github"


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
