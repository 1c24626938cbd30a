"""The same model for every kind of caller."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from labelmesh.inference.v1 import predictions_pb2

from tests.e2e.models.asking import CALL_S, MODEL, Asker, best
from tests.e2e.models.digits import demo_digits, known_digits
from tests.support.mesh import HOUSE

CLIENT = Path(__file__).parent / "asking_client.mjs"
CHOICE = predictions_pb2.ModelChoice(model=MODEL)


def test_a_picture_over_grpc_is_answered_with_model_version_probabilities_and_times(asker: Asker) -> None:
    for known in known_digits(10):
        prediction = asker.predict(known.png)
        assert best(prediction) == known.digit
        classes = prediction.result.classification.classes
        assert [each.score for each in classes] == sorted((each.score for each in classes), reverse=True)
        assert 0.99 < sum(each.score for each in classes) <= 1.001
        assert (prediction.model, prediction.alias, prediction.media_type) == (MODEL, "stable", "image/png")
        assert prediction.version in asker.versions()
        assert 0 < prediction.timing.model.ToTimedelta().total_seconds() <= prediction.timing.total.ToTimedelta().total_seconds()
        assert prediction.id


def test_a_picture_over_json_is_the_same_and_can_be_found_again(asker: Asker) -> None:
    known = known_digits()[7]
    wanted = {"model": {"model": MODEL}, "input": {"image": base64.b64encode(known.png).decode()}, "settings": {"topK": 2}}
    status, reply = asker.mesh.call("POST", "/v1/predictions", wanted, key=asker.key)
    assert status == 200, reply
    classes = reply["prediction"]["result"]["classification"]["classes"]
    assert (classes[0]["label"], len(classes)) == (str(known.digit), 2)
    status, found = asker.mesh.call("GET", f"/v1/predictions/{reply['prediction']['id']}", key=asker.key)
    assert (status, found["prediction"]["inputSha256"]) == (200, reply["prediction"]["inputSha256"])


def test_a_bad_picture_in_a_batch_fails_alone(asker: Asker) -> None:
    pictures = [*(known.png for known in known_digits(5)), b"no picture at all", *(known.png for known in known_digits(3))]
    wanted = predictions_pb2.PredictBatchRequest(model=CHOICE, inputs=[predictions_pb2.Input(image=each) for each in pictures])
    items = asker.predictions.PredictBatch(wanted, metadata=asker.metadata, timeout=CALL_S).items
    assert [item.WhichOneof("item") for item in items] == ["prediction"] * 5 + ["error"] + ["prediction"] * 3
    assert [best(item.prediction) for item in (*items[:5], *items[6:])] == [known.digit for known in (*known_digits(5), *known_digits(3))]
    info = error_details_pb2.ErrorInfo()
    assert [info.reason for detail in items[5].error.details if detail.Unpack(info)] == ["NOT_AN_IMAGE"]


def test_nearly_all_of_hundreds_of_digits_are_read(asker: Asker) -> None:
    demo = demo_digits()
    wanted = predictions_pb2.PredictBatchRequest(model=CHOICE, inputs=[predictions_pb2.Input(image=each.png) for each in demo])
    items = asker.predictions.PredictBatch(wanted, metadata=asker.metadata, timeout=CALL_S).items
    assert sum(best(item.prediction) == each.digit for item, each in zip(items, demo, strict=True)) >= 0.97 * len(demo)


def test_a_stream_answers_in_order_while_it_is_still_being_sent(asker: Asker) -> None:
    known = known_digits()
    answered_already = Event()

    def requests() -> Iterator[predictions_pb2.PredictStreamRequest]:
        yield predictions_pb2.PredictStreamRequest(model=CHOICE)
        for start in range(0, len(known), 4):
            inputs = [predictions_pb2.Input(image=each.png) for each in known[start : start + 4]]
            yield predictions_pb2.PredictStreamRequest(inputs=inputs)
            assert answered_already.wait(CALL_S), "the first inputs are answered before the next are sent"

    answered: dict[int, int] = {}
    for message in asker.predictions.PredictStream(requests(), metadata=asker.metadata, timeout=CALL_S):
        answered_already.set()
        answered |= {message.first_index + at: best(item.prediction) for at, item in enumerate(message.items)}
    assert [answered[index] for index in range(len(known))] == [each.digit for each in known]
    assert list(answered) == sorted(answered)


@pytest.mark.parametrize("protocol", ["grpc", "grpc-web", "connect"])
def test_a_client_in_javascript_asks_by_the_descriptors_alone(asker: Asker, protocol: str) -> None:
    node = shutil.which("node")
    assert node, "this test needs Node"
    known = known_digits()[4]
    descriptors = resources.files("labelmesh.contract") / "descriptors.binpb"
    command = [node, str(CLIENT), asker.mesh.address, protocol, str(descriptors), str(HOUSE / "web"), MODEL]
    lines = f"{asker.key}\n{base64.b64encode(known.png).decode()}\n"
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    assert (seen["best"], seen["model"]) == (str(known.digit), MODEL)
    assert seen["unknown"]["code"] == "NotFound"
    if protocol != "connect":  # Envoy's bridge names the types of details by URL, where Connect has their bare names
        assert seen["unknown"]["reason"] == "MODEL_NOT_FOUND"


def test_reflection_describes_predict_well_enough_to_ask(asker: Asker) -> None:
    """The description comes from the service's own port; the call goes through the gateway."""
    known = known_digits()[2]
    port = asker.mesh.part("inference")["ports"]["grpc"]
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        method = pool.FindServiceByName("labelmesh.inference.v1.PredictionService").FindMethodByName("Predict")
        wanted: Any = GetMessageClass(method.input_type)()
        answer = GetMessageClass(method.output_type)
    wanted.model.model = MODEL
    wanted.input.image = known.png
    ask: grpc.UnaryUnaryMultiCallable[Message, Any] = asker.channel.unary_unary(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=lambda message: bytes(message.SerializeToString()),
        response_deserializer=answer.FromString,
    )
    reply = ask(wanted, metadata=asker.metadata, timeout=CALL_S)
    assert reply.prediction.result.classification.classes[0].label == str(known.digit)
