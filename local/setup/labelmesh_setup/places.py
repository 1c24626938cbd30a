"""Where things are."""

from __future__ import annotations

from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent.parent.parent
TOOLS = HOUSE / ".labelmesh"
VENV = TOOLS / "venv"
PLATFORM = TOOLS / "platform"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = HOUSE / "requirements"
