"""Registering versions and looking at them."""

from __future__ import annotations

from labelmesh.inference.v1 import models_pb2 as mod

from tests.integration.inference.people import Person


def test_a_version_is_checked_from_its_manifest_to_a_prediction_and_the_first_becomes_stable(manager: Person) -> None:
    made = manager.register(version=2, metrics={"accuracy": 0.98})
    assert made.passed, made.checks
    assert [check.name for check in made.checks] == ["served", "signature", "input", "output", "labels", "prediction"]
    assert made.version.version == 2
    assert made.version.state == mod.VERSION_STATE_AVAILABLE
    assert made.version.metrics == {"accuracy": 0.98}
    assert made.version.aliases == ["stable"]
