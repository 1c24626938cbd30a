"""What waits for a shadow has a limit."""

from __future__ import annotations

import numpy as np
from labelmesh_chassis.database import Database
from labelmesh_inference.manifest import MaskOutput
from labelmesh_inference.predictions.asking import Item, Readers
from labelmesh_inference.predictions.pictures import DecoderGate
from labelmesh_inference.predictions.preparation import Prepared
from labelmesh_inference.predictions.results import RawOutputs
from labelmesh_inference.predictions.shadowing import Shadows
from labelmesh_inference.registry.registry import ShadowTarget, Target
from labelmesh_inference.serving.batching import Answer, ModelCalls
from labelmesh_inference.serving.client import ModelServer
from labelmesh_inference.serving.values import DataType
from prometheus_client import CollectorRegistry

from tests.unit.inference.predictions.photographs import model

NOWHERE = "127.0.0.1:1"


def answered(output_bytes: int) -> Item:
    """A small picture, and what a model said of it."""
    item = Item(b"small")
    item.content, item.prepared, item.result = b"small", Prepared({}, None), RawOutputs(())
    item.answer = Answer(1, {"mask": np.zeros(output_bytes, np.uint8)}, 0.0, 0.0, 1)
    return item


def test_answers_that_are_larger_than_their_pictures_count_among_what_waits() -> None:
    database = Database(f"postgresql+psycopg2://nobody@{NOWHERE}/nothing", application_name="tests")
    server = ModelServer(NOWHERE)
    calls = ModelCalls(server, registry=CollectorRegistry())
    shadows = Shadows(database, calls, Readers(DecoderGate()))
    manifest, signature = model(output=MaskOutput("mask"), outputs={"mask": (DataType.UINT8, (-1, -1, -1))})
    target = Target("finder", 1, "stable", manifest, signature, ShadowTarget(2, "next", manifest, signature))
    shadows.offer(target, [answered(4 * 2**20) for _ in range(20)], [""] * 20)
    assert shadows.dropped == 5
    calls.close()
    server.close()
    database.close()
