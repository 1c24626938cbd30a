"""The command of the model server in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys


def test_help_says_that_this_is_not_tensorflow_serving_and_costs_no_tensorflow() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "labelmesh_modelserver", "--help"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "It is not TensorFlow Serving." in done.stdout
    assert " labelmesh_modelserver.flags\n" in done.stderr
    assert " tensorflow\n" not in done.stderr
