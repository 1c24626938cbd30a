"""Steps of the installation, which are processes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from labelmesh_setup.steps import Steps, Trouble


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full."),
        ("error: Hash mismatch for `minio`", "A package is not the one that was pinned"),
        ("dns error: failed to lookup address", "The package registry was not reached"),
        ("error: failed to create directory: Read-only file system", "A folder cannot be written to."),
    ],
)
def test_a_step_that_fails_says_why_and_shows_the_end_of_its_output(tmp_path: Path, output: str, sentence: str) -> None:
    steps = Steps(tmp_path / "install.log")
    with pytest.raises(Trouble, match="63 packages: failed after") as caught:
        steps.run("63 packages", [sys.executable, "-c", f"raise SystemExit({output!r})"])
    assert sentence in str(caught.value)
    assert output in str(caught.value)
    assert output in (tmp_path / "install.log").read_text()
