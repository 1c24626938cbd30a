"""Inference behind the edge: its routes, how large its pictures may be, and the classic interface. No model is served here."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from labelmesh.inference.v1 import models_pb2, predictions_pb2, predictions_pb2_grpc

from tests.e2e.edge.mesh import ANNOTATOR, EdgeMesh, Reply, bearer
from tests.e2e.edge.test_callers import details_of, grpc_web
from tests.e2e.edge.test_tokens import reason_of
from tests.support.mesh import until

MIB = 2**20
ZERO = [[0] * 28] * 28


def key_for(edge: EdgeMesh, token: str, *scopes: str) -> str:
    """The secret of a new API key."""
    wanted = {"requestId": str(uuid.uuid4()), "displayName": "edge", "scopes": scopes}
    made = edge.http("POST", "/v1/api-keys", wanted, {"authorization": f"Bearer {token}"})
    assert made.status == 200, made.body
    return str(made.json["secret"])


@pytest.fixture
def key(edge: EdgeMesh, token: str) -> str:
    """An API key that may ask models."""
    return key_for(edge, token, "inference.predict")


def classic(edge: EdgeMesh, body: object, key: str, path: str = "/predict") -> Reply:
    return edge.http("POST", path, body, {"x-api-key": key})


def test_whoever_is_signed_in_may_look_at_models(edge: EdgeMesh) -> None:
    listed = edge.http("GET", "/v1/models", headers={"authorization": f"Bearer {edge.sign_in(ANNOTATOR)}"})
    assert listed.status == 200, listed.body
    assert listed.json["models"] == []


def test_the_same_is_told_over_grpc_web(edge: EdgeMesh, token: str) -> None:
    reply = grpc_web(edge, "/labelmesh.inference.v1.ModelService/GetModel", models_pb2.GetModelRequest(model="nobody"), token)
    assert reply.headers["grpc-status"] == str(grpc.StatusCode.NOT_FOUND.value[0])
    assert details_of(reply).details


@pytest.mark.parametrize("path", ["/v1/models", "/v1/trainings", "/v1/predictions"])
def test_without_credentials_nothing_of_models_is_told(edge: EdgeMesh, path: str) -> None:
    refused = edge.http("GET", path)
    assert (refused.status, refused.reason) == (401, "CREDENTIAL_MISSING")


def test_a_key_may_do_with_models_what_its_scopes_say(edge: EdgeMesh, token: str) -> None:
    reading, asking = (key_for(edge, token, scope) for scope in ("inference.read", "inference.predict"))
    assert edge.http("GET", "/v1/models", headers={"x-api-key": reading}).status == 200
    refused = edge.http("GET", "/v1/models", headers={"x-api-key": asking})
    assert (refused.status, refused.reason) == (403, "SCOPE_MISSING")
    refused = edge.http(
        "POST", "/v1/models/digits/aliases/stable", {"requestId": str(uuid.uuid4()), "version": "1"}, {"x-api-key": reading}
    )
    assert (refused.status, refused.reason) == (403, "SCOPE_MISSING")


def test_a_picture_of_16_mib_reaches_the_service_and_one_byte_more_is_refused_by_it(edge: EdgeMesh, key: str) -> None:
    """The edge lets both pass: it is the contract that says no, with the field's name."""

    def ask(size: int) -> Reply:
        picture = base64.b64encode(bytes(size)).decode()
        wanted = {"model": {"model": "nobody"}, "input": {"image": picture}}
        return edge.http("POST", "/v1/predictions", wanted, {"x-api-key": key})

    largest = ask(16 * MIB)
    assert (largest.status, largest.reason) == (404, "MODEL_NOT_FOUND")
    too_large = ask(16 * MIB + 1)
    assert (too_large.status, too_large.reason) == (400, "INVALID_FIELDS")


def test_a_batch_of_24_mib_reaches_the_service_as_json_and_as_grpc(edge: EdgeMesh, token: str, key: str) -> None:
    pictures = [bytes(12 * MIB - 1024)] * 2
    wanted = {"model": {"model": "nobody"}, "inputs": [{"image": base64.b64encode(each).decode()} for each in pictures]}
    refused = edge.http("POST", "/v1/predictions:batch", wanted, {"x-api-key": key})
    assert (refused.status, refused.reason) == (404, "MODEL_NOT_FOUND")
    request = predictions_pb2.PredictBatchRequest(
        model=predictions_pb2.ModelChoice(model="nobody"), inputs=[predictions_pb2.Input(image=each) for each in pictures]
    )
    with edge.channel() as channel, pytest.raises(grpc.RpcError) as caught:
        predictions_pb2_grpc.PredictionServiceStub(channel).PredictBatch(request, metadata=bearer(token), timeout=30)
    assert reason_of(caught.value) == "MODEL_NOT_FOUND"


def test_a_stream_of_more_than_a_body_may_have_reaches_the_service(edge: EdgeMesh, token: str) -> None:
    sent = 0

    def requests() -> Iterator[predictions_pb2.PredictStreamRequest]:
        nonlocal sent
        yield predictions_pb2.PredictStreamRequest(model=predictions_pb2.ModelChoice(model="nobody"))
        for _ in range(40):
            sent += 1
            yield predictions_pb2.PredictStreamRequest(inputs=[predictions_pb2.Input(image=bytes(MIB))])

    with edge.channel() as channel:
        answers = predictions_pb2_grpc.PredictionServiceStub(channel).PredictStream(requests(), metadata=bearer(token), timeout=30)
        with pytest.raises(grpc.RpcError) as caught:
            list(answers)
    assert reason_of(caught.value) == "MODEL_NOT_FOUND", "its own answer, not the edge's BODY_TOO_LARGE"


@pytest.mark.parametrize("path", ["/predict", "/inference/predict"])
def test_the_classic_interface_is_there_and_says_that_no_model_is(edge: EdgeMesh, key: str, path: str) -> None:
    refused = classic(edge, {"image": ZERO}, key, path)
    assert refused.status in (404, 503), refused.body
    assert refused.headers["content-type"] == "application/json"
    assert refused.reason in ("MODEL_NOT_FOUND", "MODEL_SERVER_UNAVAILABLE")


@pytest.mark.parametrize(
    ("image", "reason", "word"),
    [
        ([[0] * 28] * 27, "WRONG_SHAPE", "27"),
        ([*[[0] * 28] * 5, [0] * 27, *[[0] * 28] * 22], "WRONG_SHAPE", "row"),
        ([*[[0] * 28] * 27, ["a"] * 28], "WRONG_TYPE", "row"),
        ([*[[0] * 28] * 27, [None] * 28], "WRONG_TYPE", "row"),
        ([], "WRONG_SHAPE", "28"),
    ],
)
def test_a_picture_of_the_wrong_shape_is_a_json_error_that_names_the_row(
    edge: EdgeMesh, key: str, image: object, reason: str, word: str
) -> None:
    refused = classic(edge, {"image": image}, key)
    assert (refused.status, refused.json["code"], refused.reason) == (400, 3, reason)
    assert word in refused.json["message"]


@pytest.mark.parametrize("body", [{"image": "x"}, {"image": [1, 2]}, b"{", b"[[1]]", b"\xff"])
def test_what_is_not_even_rows_is_a_json_error_too(edge: EdgeMesh, key: str, body: object) -> None:
    refused = classic(edge, body, key)
    assert (refused.status, refused.reason) == (400, "MALFORMED_REQUEST")
    assert refused.json["message"]


def test_a_missing_key_and_a_wrong_one_are_told_apart(edge: EdgeMesh) -> None:
    missing = edge.http("POST", "/predict", {"image": ZERO})
    assert (missing.status, missing.reason) == (401, "CREDENTIAL_MISSING")
    wrong = classic(edge, {"image": ZERO}, "lmk_00000000_nonsense")
    assert (wrong.status, wrong.reason) == (401, "API_KEY_INVALID")


@pytest.mark.parametrize("path", ["/inference/", "/inference", "/predict", "/inference/predict"])
def test_asking_for_the_interface_itself_tells_how_to_use_it(edge: EdgeMesh, path: str) -> None:
    text = edge.http("GET", path, headers={"accept": "*/*"})
    assert (text.status, text.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert f"http://127.0.0.1:{edge.port}/predict" in text.body.decode()
    page = edge.http("GET", path, headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert f"http://127.0.0.1:{edge.port}/predict" in page.body.decode()
    assert b"%" not in page.body
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert edge.http("HEAD", path).status == 200


def test_the_commands_of_the_text_do_what_they_say(edge: EdgeMesh, key: str, tmp_path: Path) -> None:
    """With what is there: a key, and no model behind it yet."""
    told = edge.http("GET", "/inference/").body.decode()
    blocks = re.findall(r"((?:^    .*\n|\n(?=    ))+)", told, re.MULTILINE)
    shell = next(block for block in blocks if "curl" in block)
    environment = {**os.environ, "KEY": key, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", shell], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["details"][0]["reason"] in ("MODEL_NOT_FOUND", "MODEL_SERVER_UNAVAILABLE")


def test_a_host_that_is_none_gets_into_no_page(edge: EdgeMesh) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=10)
    connection.putrequest("GET", "/inference/", skip_host=True)
    connection.putheader("host", "a<script>b")
    connection.putheader("accept", "text/html")
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 400
    assert b"<script>" not in answer.read()
    connection.close()


@pytest.mark.parametrize("path", ["/inference/x", "/predict/x"])
def test_nothing_else_is_served_beside_the_classic_interface(edge: EdgeMesh, path: str) -> None:
    assert edge.http("GET", path).status == 404
    assert edge.http("PUT", "/predict", b"{}").status == 404


def test_labeling_goes_on_while_inference_is_away(edge: EdgeMesh, token: str, key: str) -> None:
    edge.inference.process.kill()
    try:
        refused = classic(edge, {"image": ZERO}, key)
        assert (refused.status, refused.reason) == (503, "SERVICE_UNAVAILABLE")
        assert edge.http("GET", "/v1/projects", headers={"authorization": f"Bearer {token}"}).status == 200
    finally:
        edge.inference.start()
    until(lambda: classic(edge, {"image": ZERO}, key).reason != "SERVICE_UNAVAILABLE")


def test_reflection_of_inference_tells_its_own_services_and_nothing_of_the_model_servers(edge: EdgeMesh) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{edge.inference.grpc_port}") as channel:
        services = set(ProtoReflectionDescriptorDatabase(channel).get_services())
    assert {f"labelmesh.inference.v1.{name}Service" for name in ("Prediction", "Model", "Training", "Scoring", "Classic")} <= services
    assert not [name for name in services if "tensorflow" in name or "tfserving" in name]
