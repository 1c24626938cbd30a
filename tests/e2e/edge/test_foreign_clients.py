"""Clients that hold nothing of ours but the published contract: JavaScript by its descriptors, and a reader of reflection."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.e2e.edge.mesh import ANNOTATOR, PASSWORD, EdgeMesh
from tests.support.mesh import HOUSE

CLIENT = Path(__file__).parent / "foreign_client.mjs"
SERVICE = "labelmesh.labeling.v1.AnnotationService"


def run_client(edge: EdgeMesh, protocol: str, project_id: str) -> dict[str, Any]:
    """What a whole visit of the JavaScript client looked like to it."""
    node = shutil.which("node")
    assert node, "this test needs Node"
    descriptors = resources.files("labelmesh.contract") / "descriptors.binpb"
    command = [node, str(CLIENT), f"http://127.0.0.1:{edge.port}", protocol, str(descriptors), str(HOUSE / "web"), project_id]
    done = subprocess.run(command, input=f"{ANNOTATOR}\n{PASSWORD}\n", capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


@pytest.mark.parametrize("protocol", ["grpc", "grpc-web"])
def test_a_client_made_from_the_descriptors_alone_labels_and_understands_refusals(edge: EdgeMesh, token: str, protocol: str) -> None:
    project_id, _ = edge.project_with_image(token)
    assert run_client(edge, protocol, project_id) == {
        "unsigned": {"code": "Unauthenticated", "reason": "CREDENTIAL_MISSING", "fields": []},
        "unknown": {"code": "InvalidArgument", "reason": "UNKNOWN_CLASS", "fields": ["class_id"]},
        "malformed": {"code": "InvalidArgument", "reason": "INVALID_FIELDS", "fields": ["lease_id"]},
        "signedOut": {"code": "Unauthenticated", "reason": "SESSION_REVOKED", "fields": []},
        "labelsGiven": 1,
        "after": "nothing",
    }


def test_a_client_that_speaks_connect_labels_and_gets_the_code_of_every_refusal(edge: EdgeMesh, token: str) -> None:
    """Codes only: Envoy's bridge names the types of details by URL, where Connect has their bare names, so libraries find none."""
    project_id, _ = edge.project_with_image(token)
    seen = run_client(edge, "connect", project_id)
    codes = {name: seen[name]["code"] for name in ("unsigned", "unknown", "malformed", "signedOut")}
    assert codes == {
        "unsigned": "Unauthenticated",
        "unknown": "InvalidArgument",
        "malformed": "InvalidArgument",
        "signedOut": "Unauthenticated",
    }
    assert (seen["labelsGiven"], seen["after"]) == (1, "nothing")


def test_reflection_tells_the_services_of_each_port_and_nothing_of_the_other(edge: EdgeMesh) -> None:
    told = []
    for replica in (edge.auth[0], edge.labeling[0]):
        with grpc.insecure_channel(f"127.0.0.1:{replica.grpc_port}") as channel:
            told.append(set(ProtoReflectionDescriptorDatabase(channel).get_services()))
    auth, labeling = told
    assert {"labelmesh.auth.v1.SessionService", "grpc.health.v1.Health"} <= auth
    assert {SERVICE, "labelmesh.labeling.v1.ProjectService", "grpc.health.v1.Health"} <= labeling
    assert not [name for name in auth if name.startswith("labelmesh.labeling.")]
    assert not [name for name in labeling if name.startswith("labelmesh.auth.")]


def test_reflection_describes_a_method_well_enough_to_call_it(edge: EdgeMesh) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{edge.labeling[0].grpc_port}") as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        method = pool.FindServiceByName(SERVICE).FindMethodByName("SubmitAnnotation")
        fields = {field.name: field.number for field in method.input_type.fields}
        assert {"request_id": 1, "project_id": 2, "lease_id": 3, "class_id": 4}.items() <= fields.items()
        assert "annotation_id" in method.output_type.fields_by_name
        lead_time = method.input_type.fields_by_name["lead_time"].message_type
        assert lead_time is not None
        assert lead_time.full_name == "google.protobuf.Duration"
        rules = {option.full_name for option, _ in method.input_type.fields_by_name["class_id"].GetOptions().ListFields()}
        assert "buf.validate.field" in rules
        ask: grpc.UnaryUnaryMultiCallable[Message, Message] = channel.unary_unary(
            f"/{SERVICE}/{method.name}",
            request_serializer=lambda message: bytes(message.SerializeToString()),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        with pytest.raises(grpc.RpcError) as refused:
            ask(GetMessageClass(method.input_type)(class_id="cat"), timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
