"""What is said of a model by its checks, and what is no model's fault."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from labelmesh_chassis.errors import DeadlineExceeded
from labelmesh_inference.manifest import Batching, ClassesOutput, InputKind, InputSpec, ModelManifest
from labelmesh_inference.registry.checks import Outcome, check_model
from labelmesh_inference.serving.batching import ModelCalls
from labelmesh_inference.serving.client import ModelServer
from labelmesh_inference.serving.values import DataType, ServedVersion, Signature, TensorSpec, VersionState
from prometheus_client import CollectorRegistry

from tests.unit.inference.serving.lean_server import LeanServer

MANIFEST = ModelManifest("m", InputSpec(InputKind.TENSOR), ClassesOutput("y"), labels=("no", "yes"))
SIGNATURE = Signature(
    "serving_default",
    {"x": TensorSpec("x", DataType.FLOAT32, (-1, 2))},
    {"y": TensorSpec("y", DataType.FLOAT32, (-1, 2))},
)


class Slow:
    """A model server that does not answer one of its questions in time."""

    def __init__(self, silent: str = "") -> None:
        self._silent = silent

    def versions(self, model: str) -> tuple[ServedVersion, ...]:
        self._answer("versions")
        return (ServedVersion(1, VersionState.AVAILABLE, ""),)

    def signature(self, model: str, version: int | None, name: str = "") -> Signature:
        self._answer("signature")
        return SIGNATURE

    def _answer(self, question: str) -> None:
        if question == self._silent:
            raise DeadlineExceeded("MODEL_TOO_SLOW", "did not answer in time")


@pytest.fixture
def slow_calls() -> Iterator[ModelCalls]:
    """Calls to a model that takes its time."""
    with LeanServer(delay_s=2) as server:
        asked = ModelServer(server.target)
        calls = ModelCalls(asked, registry=CollectorRegistry())
        yield calls
        calls.close()
        asked.close()


@pytest.mark.parametrize("silent", ["versions", "signature"])
def test_a_model_server_that_is_slow_to_say_what_it_has_is_no_fault_of_the_model(slow_calls: ModelCalls, silent: str) -> None:
    with pytest.raises(DeadlineExceeded):
        check_model(Slow(silent), slow_calls, MANIFEST, 1)


def test_a_model_that_answers_too_slowly_fails_its_check(slow_calls: ModelCalls) -> None:
    manifest = ModelManifest("m", MANIFEST.input, MANIFEST.output, labels=MANIFEST.labels, batching=Batching(timeout_s=0.2))
    checked = check_model(Slow(), slow_calls, manifest, 1)
    assert (checked.checks[-1].name, checked.checks[-1].outcome) == ("prediction", Outcome.FAILED)
    assert "in time" in checked.problem
