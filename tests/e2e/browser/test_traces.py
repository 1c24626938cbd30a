"""Traces from a key press to the SQL statement: one call of a real page through the real edge, as a collector sees it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Request

from tests.e2e.browser.desk import Desk
from tests.e2e.browser.people import Account, Office
from tests.support.collector import CollectedSpan, Collector
from tests.support.mesh import GUEST, LocalMesh, until
from tests.support.traces import Trace, settled, settled_ids

SUBMIT = "labelmesh.labeling.v1.AnnotationService/SubmitAnnotation"
CHECK = "envoy.service.auth.v3.Authorization/Check"
LABEL = (("web", "keydown label"), ("web", SUBMIT), ("gateway", SUBMIT), ("auth", CHECK), ("labeling", SUBMIT))
SIGN_IN = (("web", "SessionService/SignIn"), ("auth", "SessionService/SignIn"))


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def traced_mesh(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMesh]:
    """A mesh without demo data that sends every trace to `collector`."""
    told = {"LABELMESH_OTLP_ENDPOINT": collector.endpoint, "LABELMESH_OTLP_HTTP_ENDPOINT": collector.http_endpoint}
    mesh = LocalMesh(tmp_path_factory.mktemp("traced"), **told, LABELMESH_TRACE_RATIO="1")
    mesh.up("--no-demo", "--no-models")
    yield mesh
    mesh.end()


@pytest.fixture(scope="module")
def traced_office(traced_mesh: LocalMesh) -> Office:
    return Office(traced_mesh)


@pytest.fixture
def traced_desk(desk_at: Callable[[LocalMesh], Desk], traced_mesh: LocalMesh) -> Desk:
    return desk_at(traced_mesh)


def close(desk: Desk) -> None:
    """Leaves the page, which then sends its last spans."""
    desk.settle()
    desk.page.goto("about:blank")


def test_a_key_press_is_one_trace_from_the_browser_to_the_sql_statement(
    traced_desk: Desk, traced_office: Office, traced_mesh: LocalMesh, collector: Collector
) -> None:
    collector.forget()
    traced_desk.label_in(traced_office.account(), traced_office.project(4))
    traced_desk.page.wait_for_load_state("networkidle")
    traced_desk.press("3")
    close(traced_desk)

    spans = collector.wait_for(settled(*LABEL))
    (trace_id,) = settled_ids(spans, *LABEL)
    trace = Trace.of(spans, trace_id)
    assert (trace.root.service, trace.root.kind, trace.root.name) == ("web", "internal", "keydown label")
    call = trace.child(trace.root, "web", "client", SUBMIT)
    assert call.attributes == {"rpc.system.name": "grpc", "rpc.method": SUBMIT, "rpc.response.status_code": "OK"}
    edge = trace.child(call, "gateway", "server", SUBMIT)

    asked = trace.child(edge, "gateway", "client", "Authorization")
    checked = trace.child(asked, "auth", "server", CHECK)
    touched = trace.child(checked, "auth", "client", "UPDATE sessions")
    assert touched.attributes["db.system.name"] == "postgresql"

    passed_on = trace.child(edge, "gateway", "client", SUBMIT)
    served = trace.child(passed_on, "labeling", "server", SUBMIT)
    statements = [span for span in trace.children(served) if span.attributes.get("db.system.name") == "postgresql"]
    assert any("annotations" in str(span.attributes["db.query.text"]) for span in statements), statements
    assert not [span for span in trace.spans if span.failed]

    # Who reads a log finds the trace by the same id.
    until(lambda: logged(traced_mesh.log("labeling"), trace_id, SUBMIT), what="a line of labeling")
    until(lambda: logged(traced_mesh.log("gateway"), trace_id, SUBMIT), what="a line of the gateway")


def test_spans_tell_nobody_who_somebody_is_nor_what_they_hold(
    traced_desk: Desk, traced_office: Office, traced_mesh: LocalMesh, collector: Collector
) -> None:
    collector.forget()
    account, project = traced_office.account(), traced_office.project(4, first=50)
    traced_desk.label_in(account, project)
    (cookie,) = [cookie for cookie in traced_desk.page.context.cookies() if cookie["name"].endswith("labelmesh_session")]
    signed = parse_qs(urlsplit(traced_desk.image).query)
    secrets = {
        "the name": account.name,
        "the password": account.password,
        "the session's token": cookie["value"],
        "a part of the token": cookie["value"].split(".")[1],
        "the admin's password": traced_mesh.admin_password,
        "the project": project,
        "the image": traced_desk.image_hash,
        "a presigned address's signature": next(value for name, (value,) in signed.items() if "signature" in name.lower()),
        "the browser": str(traced_desk.page.evaluate("() => navigator.userAgent")),
    }
    traced_desk.press("7")
    close(traced_desk)
    # What is looked through is what must be there: signing in, calls that are checked, statements, storage.
    spans = collector.wait_for(lambda spans: settled(*LABEL)(spans) and settled(*SIGN_IN)(spans))
    assert {span.service for span in spans} >= {"web", "gateway", "auth", "labeling"}
    assert any(span.name.startswith("S3/") for span in spans)
    assert [f"{what}: {span}" for span in spans for what, secret in secrets.items() if secret in told(span)] == []


def logged(log: str, trace_id: str, method: str) -> bool:
    """Whether a line of a log is about a call of this method in this trace."""
    lines = [json.loads(line) for line in log.splitlines() if trace_id in line]
    return any(line["trace_id"] == trace_id and method in (line.get("method", "") + line.get("path", "")) for line in lines)


def told(span: CollectedSpan) -> str:
    """Everything that a span says but for its ids."""
    return json.dumps({name: value for name, value in asdict(span).items() if not name.endswith("_id")}, default=str)


def test_a_page_works_the_same_when_nobody_takes_its_spans(traced_desk: Desk, traced_office: Office) -> None:
    traced_desk.page.route("**/telemetry/**", lambda route: route.abort("connectionrefused"))
    project = traced_office.project(4)
    with traced_desk.page.expect_request("**/telemetry/v1/traces"):
        traced_desk.label_in(traced_office.account(), project)
        traced_desk.press("1")
    traced_desk.press("2")
    traced_desk.expect_given(2)
    traced_desk.settle()
    assert len(traced_office.annotations(project)) == 2


def test_a_page_that_makes_no_traces_loads_nothing_for_them_and_sends_nothing(desk: Desk) -> None:
    asked: list[Request] = []
    desk.page.on("request", lambda request: asked.append(request))
    desk.open_as(Account(*GUEST), "#/projects")
    desk.page.get_by_role("link", name="Handwritten digits").wait_for()
    assert len([request for request in asked if re.search(r"/assets/[^/]+\.js$", request.url)]) == 1
    assert [request.url for request in asked if "/telemetry/" in request.url or "traceparent" in request.headers] == []
