"""Label, train, serve, suggest, order: the loop closes."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import pytest
from labelmesh_client import connect
from labelmesh_client.sources.digits import digits

from tests.e2e.models.asking import Asker
from tests.support.mesh import GUEST, until

PROJECT = "Handwritten digits"
LABELS = 40


@pytest.mark.timeout(300)
def test_four_commands_close_the_loop_from_labels_to_what_is_labeled_next(asker: Asker, tmp_path: Path) -> None:
    mesh = asker.mesh

    def command(*arguments: str) -> str:
        done = mesh.command("labelmesh", *arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout

    known = {hashlib.sha256(digit.png).hexdigest(): str(digit.target) for digit in digits()}
    with connect(mesh.address, user=GUEST[0], password=GUEST[1]) as guest, guest.project(PROJECT).leases() as leases:
        for given, lease in enumerate(leases, start=1):
            lease.submit(known[hashlib.sha256(lease.image()).hexdigest()])
            if given == LABELS:
                break

    stable = asker.alias("stable")
    command("train", "digits", "--epochs", "1", "--promote", "always")
    until(lambda: asker.alias("stable") > stable, 20, "the new version")
    suggested = command("model", "suggest", PROJECT, "-m", "digits")
    assert f"version {asker.alias('stable')}" in suggested
    command("model", "order", PROJECT, "-m", "digits")
    command("labels", PROJECT, "--out", str(tmp_path / "labels.csv"))

    with (tmp_path / "labels.csv").open(newline="") as file:
        labeled = list(csv.DictReader(file))
    assert LABELS * 0.5 < len(labeled) <= LABELS, "one label in five is a repeat"
    key = mesh.api_key("labeling.read", "labeling.annotate")
    with connect(mesh.address, api_key=key) as program:
        project = program.project(PROJECT)
        awaiting = {image.id: image for image in project.images(awaiting=True)}
        newest = str(asker.alias("stable"))
        suggestions = {note.image_id: note.class_id for note in project.annotations() if note.model_version == newest}
        assert awaiting.keys() <= suggestions.keys()
        right = sum(suggestions[image.id] == known[image.sha256] for image in awaiting.values())
        assert right / len(awaiting) > 0.8
        doubts = [image.priority for image in awaiting.values()]
        assert all(0 <= doubt <= 1 for doubt in doubts)
        with project.leases() as leases:
            lease = next(iter(leases))
            handed_out = hashlib.sha256(lease.image()).hexdigest()
            lease.release()
    assert next(image.priority for image in awaiting.values() if image.sha256 == handed_out) == max(doubts)
