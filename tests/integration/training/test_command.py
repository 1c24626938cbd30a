"""The commands of training in an interpreter of their own."""

from __future__ import annotations

import subprocess
import sys


def test_the_commands_load_without_tensorflow() -> None:
    code = "import sys, labelmesh_training.command, labelmesh_training.frozen_command; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
