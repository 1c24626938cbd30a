"""Deadlines, retries, credentials and errors over a real channel."""

from __future__ import annotations

import threading
import time
from typing import Any

import grpc
import pytest
from labelmesh.auth.v1 import sessions_pb2
from labelmesh.labeling.v1 import projects_pb2
from labelmesh_client import (
    Cancelled,
    DeadlineExceeded,
    InvalidArgument,
    LabelClass,
    LabelmeshError,
    NotFound,
    ResourceExhausted,
    ServerError,
    Unauthenticated,
    Unavailable,
    connect,
)
from labelmesh_client.contract import read_contract
from labelmesh_client.projects import get_project

from tests.unit.client.server import Serve, client_of, refuse

PROJECT = "00000000-0000-0000-0000-000000000001"


class Failing:
    """Fails `times` times with a status, then answers."""

    def __init__(self, times: int, answer: Any, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE, **details: Any) -> None:
        self.left = times
        self.requests: list[Any] = []
        self._answer = answer
        self._code = code
        self._details = details

    def __call__(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.requests.append(request)
        if self.left > 0:
            self.left -= 1
            return refuse(context, self._code, "not now", **self._details)
        return self._answer


def project() -> projects_pb2.Project:
    return projects_pb2.Project(id=PROJECT, display_name="digits", classes=[projects_pb2.LabelClass(id="7")])


def test_reads_are_sent_again_while_the_server_is_away(serve: Serve) -> None:
    get = Failing(3, projects_pb2.GetProjectResponse(project=project()))
    with client_of(serve({"ProjectService.GetProject": get})) as client:
        assert client.project(PROJECT).display_name == "digits"
    assert len(get.requests) == 4


def test_a_repeatable_call_is_sent_again_with_the_same_request_id(serve: Serve) -> None:
    create = Failing(2, projects_pb2.CreateProjectResponse(project=project()))
    with client_of(serve({"ProjectService.CreateProject": create})) as client:
        client.create_project("digits", [LabelClass("7")])
    assert len(create.requests) == 3
    assert len({request.request_id for request in create.requests}) == 1


def test_a_call_that_is_not_repeatable_is_sent_once(serve: Serve) -> None:
    update = Failing(9, projects_pb2.UpdateProjectResponse(project=project()))
    server = serve(
        {
            "ProjectService.UpdateProject": update,
            "ProjectService.GetProject": Failing(0, projects_pb2.GetProjectResponse(project=project())),
        }
    )
    with client_of(server) as client:
        found = client.project(PROJECT)
        with pytest.raises(Unavailable):
            found.close()
    assert len(update.requests) == 1


def test_patience_has_an_end_and_the_server_may_ask_for_longer_pauses(serve: Serve) -> None:
    get = Failing(1000, None)
    with client_of(serve({"ProjectService.GetProject": get}), patience_s=0.6) as client, pytest.raises(Unavailable):
        client.project(PROJECT)
    assert 2 <= len(get.requests) <= 8
    asked = Failing(1000, None, retry_after_s=0.5)
    with client_of(serve({"ProjectService.GetProject": asked}), patience_s=0.7) as client, pytest.raises(Unavailable) as error:
        client.project(PROJECT)
    assert len(asked.requests) == 2
    assert error.value.retry_after == 0.5


def test_a_server_that_starts_late_is_reached(serve: Serve, free_port: int) -> None:
    with connect(f"http://127.0.0.1:{free_port}", api_key="lmk_a", patience_s=0.5) as client, pytest.raises(Unavailable):
        client.project(PROJECT)


def test_errors_come_back_typed_with_reason_fields_and_metadata(serve: Serve) -> None:
    def refused(_: object, context: grpc.ServicerContext) -> Any:
        return refuse(
            context,
            grpc.StatusCode.INVALID_ARGUMENT,
            "The project cannot be made.",
            reason="FIELDS_INVALID",
            violations=[("classes[0].id", "has a space"), ("display_name", "is empty")],
        )

    with client_of(serve({"ProjectService.CreateProject": refused})) as client, pytest.raises(InvalidArgument) as error:
        client.create_project("", [LabelClass("a b")])
    assert error.value.reason == "FIELDS_INVALID"
    assert [violation.field for violation in error.value.violations] == ["classes[0].id", "display_name"]
    assert error.value.metadata == {"of": "test"}
    assert str(error.value) == "The project cannot be made. (classes[0].id: has a space; display_name: is empty)"


@pytest.mark.parametrize(
    ("code", "kind"),
    [(grpc.StatusCode.NOT_FOUND, NotFound), (grpc.StatusCode.INTERNAL, ServerError), (grpc.StatusCode.DATA_LOSS, ServerError)],
)
def test_a_status_without_details_is_typed_as_well(serve: Serve, code: grpc.StatusCode, kind: type[LabelmeshError]) -> None:
    with client_of(serve({"ProjectService.GetProject": Failing(9, None, code)})) as client, pytest.raises(kind) as error:
        client.project(PROJECT)
    assert error.value.reason == ""


def test_details_that_cannot_be_read_do_not_hide_the_error(serve: Serve) -> None:
    def garbled(_: object, context: grpc.ServicerContext) -> Any:
        context.set_trailing_metadata((("grpc-status-details-bin", b"\xff\xff\xff"),))
        context.abort(grpc.StatusCode.NOT_FOUND, "gone")

    with client_of(serve({"ProjectService.GetProject": garbled})) as client, pytest.raises(NotFound, match="gone"):
        client.project(PROJECT)


def test_every_call_has_a_deadline_the_contracts_or_the_callers(serve: Serve) -> None:
    remaining: list[float] = []

    def slow(_: object, context: grpc.ServicerContext) -> projects_pb2.GetProjectResponse:
        remaining.append(context.time_remaining() or 0.0)
        time.sleep(0.5)
        return projects_pb2.GetProjectResponse(project=project())

    with client_of(serve({"ProjectService.GetProject": slow})) as client:
        get_project(client.services, PROJECT)
        with pytest.raises(DeadlineExceeded):
            client.services.projects.GetProject(projects_pb2.GetProjectRequest(project_id=PROJECT), timeout=0.1)
    assert 8 < remaining[0] < 11  # grpc rounds what it sends up
    assert read_contract()["/labelmesh.labeling.v1.ImageService/AddImages"].deadline_s == 60


def test_the_contract_says_what_may_be_repeated_and_what_is_open() -> None:
    contract = read_contract()
    assert contract["/labelmesh.auth.v1.SessionService/SignIn"].open
    assert not contract["/labelmesh.auth.v1.SessionService/SignIn"].repeatable
    assert contract["/labelmesh.labeling.v1.ImageService/FindImages"].repeatable
    assert contract["/labelmesh.labeling.v1.AnnotationService/SubmitAnnotation"].repeatable
    assert not contract["/labelmesh.labeling.v1.ProjectService/UpdateProject"].repeatable


def test_keys_and_tokens_travel_in_their_headers(serve: Serve) -> None:
    server = serve({"ProjectService.GetProject": Failing(0, projects_pb2.GetProjectResponse(project=project()))})
    with connect(server.address, api_key=" lmk_a\n") as client:
        client.project(PROJECT)
    with connect(server.address, token="a.b.c") as client:
        client.project(PROJECT)
    assert server.metadata[0]["x-api-key"] == "lmk_a"
    assert server.metadata[1]["authorization"] == "Bearer a.b.c"
    assert "authorization" not in server.metadata[0]
    assert "x-api-key" not in server.metadata[1]


def test_a_password_signs_in_once_for_all_threads_and_again_when_the_session_has_ended(serve: Serve) -> None:
    tokens: list[str] = []

    def sign_in(request: sessions_pb2.SignInRequest, context: grpc.ServicerContext) -> Any:
        if request.password != "right":
            return refuse(context, grpc.StatusCode.UNAUTHENTICATED, "The name or the password is wrong.", reason="WRONG_CREDENTIALS")
        assert not any(key in ("authorization", "x-api-key") for key, _ in context.invocation_metadata())
        tokens.append(f"token-{len(tokens)}")
        return sessions_pb2.SignInResponse(token=tokens[-1])

    def get(_: object, context: grpc.ServicerContext) -> Any:
        if dict(context.invocation_metadata()).get("authorization") != f"Bearer {tokens[-1]}" or ended.is_set():
            ended.clear()
            return refuse(context, grpc.StatusCode.UNAUTHENTICATED, "The session has ended.", reason="SESSION_ENDED")
        return projects_pb2.GetProjectResponse(project=project())

    ended = threading.Event()
    server = serve({"SessionService.SignIn": sign_in, "ProjectService.GetProject": get})
    with connect(server.address, user="ada", password="right") as client:
        threads = [threading.Thread(target=client.project, args=(PROJECT,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert tokens == ["token-0"]
        ended.set()
        client.project(PROJECT)
        assert tokens == ["token-0", "token-1"]
    with connect(server.address, user="ada", password="wrong") as client, pytest.raises(Unauthenticated) as error:
        client.project(PROJECT)
    assert error.value.reason == "WRONG_CREDENTIALS"


def test_a_call_that_the_rate_limit_turned_away_is_made_again_even_when_it_is_not_repeatable(serve: Serve) -> None:
    exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED
    update = Failing(2, projects_pb2.UpdateProjectResponse(project=project()), exhausted, reason="RATE_LIMITED", retry_after_s=0.2)
    full = Failing(2, None, exhausted, reason="QUOTA", retry_after_s=0.2)
    server = serve(
        {
            "ProjectService.UpdateProject": update,
            "ProjectService.CreateProject": full,
            "ProjectService.GetProject": Failing(0, projects_pb2.GetProjectResponse(project=project())),
        }
    )
    with client_of(server) as client:
        client.project(PROJECT).close()
        with pytest.raises(ResourceExhausted):
            client.create_project("digits", [LabelClass("7")])
    assert len(update.requests) == 3
    assert len(full.requests) == 1


def test_a_closed_client_says_so_also_in_the_middle_of_its_patience(serve: Serve) -> None:
    client = client_of(serve({"ProjectService.GetProject": Failing(1000, None)}), patience_s=60)
    closing = threading.Timer(0.3, client.close)
    closing.start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        client.project(PROJECT)
    assert time.monotonic() - started < 5
    with pytest.raises(Cancelled):
        client.project(PROJECT)
    closing.join()
