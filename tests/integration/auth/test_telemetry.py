"""What auth tells of itself: the edge's check is a part of the edge's trace, and no credential or name is in any of it."""

from __future__ import annotations

import io
import logging
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from labelmesh.auth.v1 import api_keys_pb2, users_pb2
from labelmesh.extauthz.v1 import check_pb2
from labelmesh_auth.edge.servicer import CHECK_SERVICE
from labelmesh_chassis.errors import MeshError
from labelmesh_chassis.settings import ServiceSettings
from labelmesh_chassis.telemetry import JsonFormatter
from labelmesh_chassis.tracing import start_tracing

from tests.integration.auth.mesh import PASSWORD, READ, Auth, Denied
from tests.support.collector import Collector

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ADDRESS = "203.0.113.77"


@pytest.fixture
def collector(auth_url: str) -> Iterator[Collector]:
    """Auth's traces go there."""
    with Collector() as opened:
        traced = start_tracing("auth", ServiceSettings.model_validate({"database_url": auth_url, "otlp_endpoint": opened.endpoint}))
        assert traced is not None
        with traced:
            yield opened


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Log lines as the service writes them."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonFormatter("auth"))
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield lines
    root.removeHandler(handler)
    root.setLevel(level)


def test_the_edges_check_is_a_part_of_the_edges_trace_down_to_its_statement(collector: Collector, start_auth: Callable[..., Auth]) -> None:
    auth = start_auth()
    credentials = auth.sign_in()
    request = check_pb2.CheckRequest()
    request.attributes.request.http.path = READ
    request.attributes.request.http.headers.update(credentials)
    check: Any = auth._check
    check(request, metadata=(("traceparent", f"00-{TRACE}-{PARENT}-01"),), timeout=10)
    name = f"{CHECK_SERVICE}/Check"
    spans = collector.wait_for(lambda found: any((span.name, span.trace_id) == (name, TRACE) for span in found))
    (served,) = [span for span in spans if (span.name, span.trace_id) == (name, TRACE)]
    assert (served.trace_id, served.parent_id, served.kind) == (TRACE, PARENT, "server")
    (asked,) = [span for span in spans if span.parent_id == served.span_id]
    text = str(asked.attributes["db.query.text"])
    assert text.startswith(("SELECT u.role", "UPDATE sessions")) and "s.id = $1" in text


def test_no_credential_name_or_address_is_in_lines_or_spans(
    collector: Collector, start_auth: Callable[..., Auth], written: io.StringIO
) -> None:
    auth = start_auth()
    root = auth.sign_in("root", address=ADDRESS)
    auth.admit(READ, root, address=ADDRESS)
    new = users_pb2.CreateUserRequest(
        request_id=str(uuid.uuid4()),
        name="grace.hopper",
        display_name="Grace Hopper",
        password="amazing-cobol-1906",
        role=users_pb2.ROLE_ANNOTATOR,
    )
    auth.call(new, root, address=ADDRESS)
    with pytest.raises(MeshError):
        # The name is taken.
        new.request_id = str(uuid.uuid4())
        auth.call(new, root, address=ADDRESS)
    with pytest.raises(MeshError):
        auth.sign_in("grace.hopper", "wrong-guess-77", address=ADDRESS)
    grace = auth.sign_in("grace.hopper", "amazing-cobol-1906", address=ADDRESS)
    key = auth.new_key(root, "labeling.annotate")
    auth.admit("/labelmesh.labeling.v1.AnnotationService/LeaseImage", {"x-api-key": key.secret}, address=ADDRESS)
    with pytest.raises(Denied):
        auth.admit(READ, {"authorization": grace["authorization"] + "x"}, address=ADDRESS)
    auth.call(api_keys_pb2.ListApiKeysRequest(), root, address=ADDRESS)
    identity = auth.admit(READ, grace, address=ADDRESS)["x-labelmesh-identity"]

    spans = collector.wait_for(lambda found: sum(span.kind == "server" for span in found) >= 15)
    lines = written.getvalue()
    assert "SignIn" in lines and "CreateApiKey" in lines and "subject" in lines
    tokens = [headers["authorization"].removeprefix("Bearer ") for headers in (root, grace)]
    secrets = [PASSWORD, "amazing-cobol-1906", "wrong-guess-77", key.secret, identity, *tokens]
    for secret in (*secrets, "grace.hopper", "Grace", "robot", ADDRESS):
        assert secret not in lines and secret not in repr(spans), secret
