"""Tiny models whose answers are known: "shades" says how bright a picture is, in two versions, and "things" always finds the same."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support import models
from tests.support.mesh import LocalMesh

SHADES = "shades"
THINGS = "things"
_SHADES = """\
model: shades
display_name: Shades
input: {kind: pixels, width: 28, height: 28, color: gray, scale: 0.00392156862745098}
classes: {}
labels: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
"""
_THINGS = """\
model: things
display_name: Things
input: {kind: pixels}
boxes: {boxes: detection_boxes, scores: detection_scores, classes: detection_classes, count: num_detections, order: yxyx}
labels: [animal, person]
first_index: 1
threshold: 0.5
"""


def add_models(mesh: LocalMesh, scratch: Path) -> None:
    """Adds both models, shades in versions 1 (stable) and 2, unless they are there."""
    listed = mesh.command("labelmesh", "model", "list")
    assert listed.returncode == 0, listed.stdout
    made = models.ensure()
    for name, source, versions, manifest in ((SHADES, "digits", ("1", "2"), _SHADES), (THINGS, "boxes", ("1",), _THINGS)):
        if name in listed.stdout:
            continue
        for version in versions:
            folder = scratch / name / version
            shutil.copytree(made / source / version, folder)
            extra = folder / "assets.extra"
            extra.mkdir(exist_ok=True)
            (extra / "labelmesh.yaml").write_text(manifest)
        done = mesh.command("labelmesh", "model", "add", str(scratch / name))
        assert done.returncode == 0, done.stdout
