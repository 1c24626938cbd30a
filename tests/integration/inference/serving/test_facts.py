"""What the client relies on about TensorFlow Serving, each with where it stands there, and what becomes of it here.

Sources are files of github.com/tensorflow/serving, or of github.com/tensorflow/tensorflow where they begin with tensorflow/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import pytest
from labelmesh_chassis import errors
from labelmesh_chassis.errors import MeshError
from labelmesh_inference.serving.client import ModelServer, explained
from labelmesh_inference.serving.values import Array, DataType, Tensor, VersionState

from tests.support.models import digit_of
from tests.support.modelserver import ModelServerProcess

X: Mapping[str, Tensor | Array] = {"x": np.array([1, 2], np.float32)}


@dataclass(frozen=True)
class Fact:
    """A status of TensorFlow Serving, the reason that it gets here, and a call that brings it about where one can."""

    code: grpc.StatusCode
    text: str
    source: str
    reason: str
    # Model, version, signature, inputs, outputs.
    call: tuple[str, int | None, str, Mapping[str, Tensor | Array], tuple[str, ...]] | None = None


NOT_FOUND, INVALID = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT
FACTS = {
    "unknown model": Fact(
        NOT_FOUND,
        "Servable not found for request: Latest(nothing)",
        "tensorflow_serving/core/basic_manager.cc, ServingMap::GetUntypedServableHandle",
        "MODEL_NOT_SERVED",
        ("nothing", None, "", X, ()),
    ),
    "unknown version": Fact(
        NOT_FOUND,
        "Servable not found for request: Specific(add_one, 42)",
        "tensorflow_serving/core/basic_manager.cc, ServingMap::GetUntypedServableHandle",
        "VERSION_NOT_SERVED",
        ("add_one", 42, "", X, ()),
    ),
    "unknown signature": Fact(
        grpc.StatusCode.FAILED_PRECONDITION,
        'Serving signature key "other" not found.',
        "tensorflow_serving/servables/tensorflow/predict_util.cc, RunPredict",
        "SIGNATURE_NOT_FOUND",
        ("add_one", None, "other", X, ()),
    ),
    "missing input": Fact(
        INVALID,
        "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.",
        "tensorflow_serving/servables/tensorflow/predict_util.cc, VerifyRequestInputsSize",
        "INPUT_REFUSED",
        ("add_one", None, "", {}, ()),
    ),
    "unknown output": Fact(
        INVALID,
        "output tensor alias not found in signature: z Outputs expected to be in the set {y}.",
        "tensorflow_serving/servables/tensorflow/predict_util.cc, PreProcessPrediction",
        "INPUT_REFUSED",
        ("add_one", None, "", X, ("z",)),
    ),
    "wrong type of input": Fact(
        INVALID,
        "",
        "tensorflow/core/common_runtime/direct_session.cc, Feed/fetch types are checked against the graph",
        "INPUT_REFUSED",
        ("add_one", None, "", {"x": np.array([1], np.int64)}, ()),
    ),
    "wrong shape of input": Fact(
        INVALID,
        "",
        "tensorflow/core/kernels: operations check the shapes that they get",
        "INPUT_REFUSED",
        ("digits", None, "", {"image": np.zeros((1, 3), np.float32)}, ()),
    ),
    "a picture that is none": Fact(
        INVALID,
        "",
        "tensorflow/core/kernels/image/decode_image_op.cc",
        "INPUT_REFUSED",
        ("encoded", None, "", {"image_bytes": Tensor(DataType.STRING, (1,), strings=(b"no picture",))}, ()),
    ),
    "unknown label": Fact(
        INVALID,
        "Unrecognized servable version label: stable",
        "tensorflow_serving/model_servers/server_core.cc, ServerCore::GetModelVersionForLabel",
        "INPUT_REFUSED",
    ),
    "call larger than the server's batches": Fact(
        INVALID,
        "Task size 50 is larger than maximum input batch size 32",
        "tensorflow/core/kernels/batching_util/shared_batch_scheduler.h, Queue::ValidateBatchTaskQueueCapacity",
        "INPUT_REFUSED",
    ),
    "the server's queue is full": Fact(
        grpc.StatusCode.UNAVAILABLE,
        "The batch scheduling queue to which this task was submitted is full",
        "tensorflow/core/kernels/batching_util/shared_batch_scheduler.h, Queue::Schedule",
        "MODEL_BUSY",
    ),
    "no memory": Fact(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "OOM when allocating tensor with shape[64,1024,1024,64] and type float on /job:localhost/replica:0/task:0/device:GPU:0",
        "tensorflow/core/framework/op_kernel.cc, OpKernelContext::allocate_tensor",
        "MODEL_OUT_OF_MEMORY",
    ),
    "deadline": Fact(
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "Deadline Exceeded",
        "tensorflow_serving/model_servers/prediction_service_impl.cc passes the call's deadline on as the run's time-out",
        "MODEL_TOO_SLOW",
    ),
    "going down": Fact(
        grpc.StatusCode.UNAVAILABLE,
        "Socket closed",
        "gRPC; TensorFlow Serving has no drain of its own",
        "MODEL_SERVER_UNAVAILABLE",
    ),
}
KINDS: dict[grpc.StatusCode, type[MeshError]] = {
    kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MeshError) and kind is not MeshError
}
LIVE = {what: fact for what, fact in FACTS.items() if fact.call}


@pytest.fixture(scope="module")
def client(model_server: ModelServerProcess) -> Iterator[ModelServer]:
    made = ModelServer(model_server.target)
    yield made
    made.close()


@pytest.mark.parametrize("fact", FACTS.values(), ids=FACTS)
def test_every_known_refusal_has_a_reason(fact: Fact) -> None:
    version = 42 if "Specific" in fact.text else None
    assert explained(KINDS[fact.code](fact.code.name, fact.text), "m", version).reason == fact.reason


@pytest.mark.parametrize("fact", LIVE.values(), ids=LIVE)
def test_a_real_server_refuses_like_that(client: ModelServer, fact: Fact) -> None:
    assert fact.call
    model, version, signature, inputs, outputs = fact.call
    with pytest.raises(MeshError) as refused:
        client.predict(model, version, signature, inputs, outputs=outputs, timeout_s=5)
    assert refused.value.reason == fact.reason
    cause: Any = refused.value.__cause__
    assert (cause.code, fact.text in cause.message) == (fact.code, True)


def test_a_real_model_answers_and_names_its_version(client: ModelServer) -> None:
    image = np.full((3, 28, 28, 1), 0.45, np.float32)
    for version in (None, 1, 2, 3):
        reply = client.predict("digits", version, "", {"image": image}, timeout_s=5)
        assert reply.version == (version or 3)
        assert reply.array("scores").argmax(axis=1).tolist() == [digit_of(0.45, reply.version)] * 3


def test_integers_and_strings_pass_through_a_real_server(client: ModelServer) -> None:
    ints = client.predict("add_one", None, "ints", {"x": np.array([-1, 2**31 - 2], np.int32)}, timeout_s=5)
    assert ints.array("y").tolist() == [0, 2**31 - 1]
    strings = client.predict("add_one", None, "strings", {"x": Tensor(DataType.STRING, (2,), strings=(b"a", b""))}, timeout_s=5)
    assert strings.array("y").tolist() == [b"a!", b"!"]


def test_an_empty_batch_passes_through_a_real_server(client: ModelServer) -> None:
    assert client.predict("add_one", None, "", {"x": np.zeros(0, np.float32)}, timeout_s=5).array("y").shape == (0,)


def test_a_call_larger_than_grpcs_own_limit_passes_through_a_real_server(client: ModelServer) -> None:
    # TensorFlow Serving takes what a message can hold: SetMaxMessageSize(kint32max) in tensorflow_serving/model_servers/server.cc.
    many = np.zeros(8_000_000, np.float32)
    assert client.predict("add_one", None, "", {"x": many}, timeout_s=20).array("y").shape == many.shape


def test_what_a_real_server_says_of_its_models_is_read(client: ModelServer) -> None:
    assert client.is_up()
    assert client.versions("nothing") == ()
    assert [(one.version, one.state) for one in client.versions("digits")] == [(number, VersionState.AVAILABLE) for number in (3, 2, 1)]
    found = client.signature("digits", None)
    assert {(spec.name, spec.data_type, spec.shape) for spec in found.inputs.values()} == {("image", DataType.FLOAT32, (-1, 28, 28, 1))}
    assert {(spec.name, spec.data_type, spec.shape) for spec in found.outputs.values()} == {("scores", DataType.FLOAT32, (-1, 10))}
    assert set(client.signatures("add_one", 1)) >= {"serving_default", "ints", "strings", "many", "no_batch"}
