"""The chassis' server and channel, over a real connection."""

from __future__ import annotations

import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from labelmesh.auth.v1 import sessions_pb2, sessions_pb2_grpc
from labelmesh.labeling.v1 import (
    annotations_pb2,
    images_pb2,
    images_pb2_grpc,
    projects_pb2,
    projects_pb2_grpc,
    statistics_pb2,
    statistics_pb2_grpc,
)
from labelmesh_chassis.calls import call_of
from labelmesh_chassis.channels import open_channel
from labelmesh_chassis.deadlines import time_left
from labelmesh_chassis.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InternalError,
    InvalidArgument,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from labelmesh_chassis.identity import IDENTITY_HEADER, Identity, IdentityVerifier, Role, identity_of, issue_identity
from labelmesh_chassis.methods import method_options
from labelmesh_chassis.server import MeshServer, ServerBuilder
from labelmesh_chassis.settings import ServiceSettings
from pydantic import SecretStr


# A servicer that leaves methods out answers UNIMPLEMENTED for them; its type asks for all of them.
def partial(kind: Any) -> Any:
    return kind()


PROJECT = "8a3b6a7e-2f5e-4f43-9b7c-3c7f1f1e0c11"
KEY = ec.generate_private_key(ec.SECP256R1())


class OneKey:
    def public_key(self, key_id: str) -> ec.EllipticCurvePublicKey | None:
        return KEY.public_key() if key_id == "k1" else None


def token(*, now: float | None = None, key: ec.EllipticCurvePrivateKey = KEY, user: str = "u1") -> str:
    identity = Identity(subject=f"user:{user}", user_id=user, role=Role.ANNOTATOR)
    return issue_identity(identity, key_id="k1", private_key=key, now=time.time() if now is None else now)


class Projects(projects_pb2_grpc.ProjectServiceServicer):
    def __init__(self) -> None:
        self.calls = 0
        self.left: list[float | None] = []

    def GetProject(self, request: projects_pb2.GetProjectRequest, context: Any) -> projects_pb2.GetProjectResponse:
        self.calls += 1
        self.left.append(time_left())
        return projects_pb2.GetProjectResponse(
            project=projects_pb2.Project(id=request.project_id, display_name=identity_of(context).user_id)
        )

    def CreateProject(self, request: projects_pb2.CreateProjectRequest, context: Any) -> projects_pb2.CreateProjectResponse:
        raise FailedPrecondition("LEASE_LOST", "somebody else has it", field="lease_id", metadata={"a": "b"}, retry_after=1.5)

    def ListProjects(self, request: projects_pb2.ListProjectsRequest, context: Any) -> projects_pb2.ListProjectsResponse:
        raise ZeroDivisionError("secret inside")

    def UpdateProject(self, request: projects_pb2.UpdateProjectRequest, context: Any) -> projects_pb2.UpdateProjectResponse:
        self.calls += 1
        raise Unavailable("AWAY", "not now")


class Images(images_pb2_grpc.ImageServiceServicer):
    def __init__(self) -> None:
        self.calls = 0

    def StreamPriorities(self, request_iterator: Any, context: Any) -> images_pb2.StreamPrioritiesResponse:
        return images_pb2.StreamPrioritiesResponse(set_count=sum(len(message.priorities) for message in request_iterator))

    def FindImages(self, request: images_pb2.FindImagesRequest, context: Any) -> images_pb2.FindImagesResponse:
        self.calls += 1
        if self.calls < 3:
            raise Unavailable("AWAY", "not now")
        return images_pb2.FindImagesResponse()


class Statistics(statistics_pb2_grpc.StatisticsServiceServicer):
    def WatchStatistics(
        self, request: statistics_pb2.WatchStatisticsRequest, context: Any
    ) -> Iterator[statistics_pb2.WatchStatisticsResponse]:
        for number in range(3):
            yield statistics_pb2.WatchStatisticsResponse(cursor=str(number))
        raise Unavailable("STREAM_RENEW", "call again")


class Sessions(sessions_pb2_grpc.SessionServiceServicer):
    def SignIn(self, request: sessions_pb2.SignInRequest, context: Any) -> sessions_pb2.SignInResponse:
        if request.name == "slow":
            time.sleep(0.7)
        return sessions_pb2.SignInResponse(token=call_of(context).request_id)


class Fixture:
    def __init__(self) -> None:
        self.projects, self.images = Projects(), partial(Images)
        settings = ServiceSettings(
            listen="127.0.0.1:0",
            ops_listen="127.0.0.1:0",
            database_url=SecretStr("postgresql+psycopg2://nobody@127.0.0.1/none"),
            worker_threads=4,
        )
        self.ready = True
        builder = ServerBuilder("test", settings, verifier=IdentityVerifier(OneKey()))
        builder.add(
            projects_pb2.DESCRIPTOR.services_by_name["ProjectService"],
            projects_pb2_grpc.add_ProjectServiceServicer_to_server,
            self.projects,
        )
        builder.add(images_pb2.DESCRIPTOR.services_by_name["ImageService"], images_pb2_grpc.add_ImageServiceServicer_to_server, self.images)
        builder.add(
            statistics_pb2.DESCRIPTOR.services_by_name["StatisticsService"],
            statistics_pb2_grpc.add_StatisticsServiceServicer_to_server,
            partial(Statistics),
        )
        builder.add(
            sessions_pb2.DESCRIPTOR.services_by_name["SessionService"],
            sessions_pb2_grpc.add_SessionServiceServicer_to_server,
            partial(Sessions),
        )
        builder.check("ready", lambda: self.ready)
        self.server: MeshServer = builder.build()
        self.server.start()
        services = [projects_pb2.DESCRIPTOR.services_by_name["ProjectService"], images_pb2.DESCRIPTOR.services_by_name["ImageService"]]
        self.channel = open_channel(f"127.0.0.1:{self.server.port}", services)

    def counted(self, path: str, code: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.server.ops.port}/metrics", timeout=5) as reply:
            lines = reply.read().decode().splitlines()
        wanted = f'grpc_server_handled_total{{grpc_code="{code}",grpc_method="{path}",grpc_type="unary"}}'
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(wanted)), 0.0)


@pytest.fixture(scope="module")
def mesh() -> Iterator[Fixture]:
    fixture = Fixture()
    yield fixture
    fixture.channel.close()
    fixture.server.stop(lead_s=0, drain_s=0)


def signed() -> tuple[tuple[str, str | bytes], ...]:
    return ((IDENTITY_HEADER, token()),)


def test_a_signed_identity_reaches_the_servicer(mesh: Fixture) -> None:
    stub = projects_pb2_grpc.ProjectServiceStub(mesh.channel)
    assert stub.GetProject(projects_pb2.GetProjectRequest(project_id=PROJECT), metadata=signed()).project.display_name == "u1"


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("x-labelmesh-user", "admin"),),
        ((IDENTITY_HEADER, "admin"),),
        ((IDENTITY_HEADER, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1c2VyOnUxIn0."),),
        ((IDENTITY_HEADER, token(now=time.time() - 3600)),),
        ((IDENTITY_HEADER, token(now=time.time() + 3600)),),
        ((IDENTITY_HEADER, token(key=ec.generate_private_key(ec.SECP256R1()))),),
    ],
    ids=["missing", "bare", "text", "unsigned", "old", "future", "forged"],
)
def test_anything_but_a_valid_signed_identity_is_refused(mesh: Fixture, metadata: tuple[tuple[str, str | bytes], ...]) -> None:
    before = mesh.projects.calls
    stub = projects_pb2_grpc.ProjectServiceStub(mesh.channel)
    with pytest.raises(Unauthenticated):
        stub.GetProject(projects_pb2.GetProjectRequest(project_id=PROJECT), metadata=metadata)
    assert mesh.projects.calls == before


def test_an_open_method_needs_no_identity_and_gets_a_request_id(mesh: Fixture) -> None:
    stub = sessions_pb2_grpc.SessionServiceStub(mesh.channel)
    request = sessions_pb2.SignInRequest(name="a", password="b")
    assert len(stub.SignIn(request).token) == 32
    assert stub.SignIn(request, metadata=(("x-request-id", "abc-1"),)).token == "abc-1"
    assert stub.SignIn(request, metadata=(("x-request-id", "a b;c"),)).token != "a b;c"


def test_an_error_crosses_the_wire_whole(mesh: Fixture) -> None:
    stub = projects_pb2_grpc.ProjectServiceStub(mesh.channel)
    request = projects_pb2.CreateProjectRequest(request_id=str(uuid.uuid4()), display_name="x", classes=[projects_pb2.LabelClass(id="a")])
    with pytest.raises(FailedPrecondition) as caught:
        stub.CreateProject(request, metadata=signed())
    error = caught.value
    assert (error.reason, error.message, error.metadata, error.retry_after) == ("LEASE_LOST", "somebody else has it", {"a": "b"}, 1.5)
    assert [violation.field for violation in error.violations] == ["lease_id"]


def test_an_unknown_exception_tells_the_caller_nothing(mesh: Fixture) -> None:
    stub = projects_pb2_grpc.ProjectServiceStub(mesh.channel)
    with pytest.raises(InternalError) as caught:
        stub.ListProjects(projects_pb2.ListProjectsRequest(), metadata=signed())
    assert caught.value.message == "internal error"


def test_a_bad_request_names_every_field_and_never_reaches_the_servicer(mesh: Fixture) -> None:
    stub = projects_pb2_grpc.ProjectServiceStub(mesh.channel)
    classes = [projects_pb2.LabelClass(id="ok"), projects_pb2.LabelClass(id="not ok")]
    request = projects_pb2.CreateProjectRequest(request_id="x", display_name="", classes=classes, repeat_rate=0.9)
    with pytest.raises(InvalidArgument) as caught:
        stub.CreateProject(request, metadata=signed())
    assert {violation.field for violation in caught.value.violations} == {"request_id", "display_name", "classes[1].id", "repeat_rate"}


def test_a_bad_message_in_a_stream_is_refused_too(mesh: Fixture) -> None:
    stub = images_pb2_grpc.ImageServiceStub(mesh.channel)
    good = images_pb2.StreamPrioritiesRequest(project_id=PROJECT, priorities=[images_pb2.ImagePriority(image_id=PROJECT, priority=1)])
    assert stub.StreamPriorities(iter([good, good]), metadata=signed()).set_count == 2
    bad = images_pb2.StreamPrioritiesRequest(priorities=[images_pb2.ImagePriority(image_id=PROJECT, priority=float("nan"))])
    with pytest.raises(InvalidArgument) as caught:
        stub.StreamPriorities(iter([good, bad]), metadata=signed())
    assert [violation.field for violation in caught.value.violations] == ["priorities[0].priority"]


def test_silent_streams_of_one_account_leave_threads_for_everybody_else(mesh: Fixture) -> None:
    stub = images_pb2_grpc.ImageServiceStub(mesh.channel)
    speaking = threading.Event()

    def silence() -> Iterator[images_pb2.StreamPrioritiesRequest]:
        speaking.wait(30)
        yield from ()

    silent = [stub.StreamPriorities.future(silence(), metadata=signed(), timeout=30) for _ in range(12)]
    other = ((IDENTITY_HEADER, token(user="u2")),)
    projects = projects_pb2_grpc.ProjectServiceStub(mesh.channel)
    request = projects_pb2.GetProjectRequest(project_id=PROJECT)
    try:
        assert projects.GetProject(request, metadata=other, timeout=5).project.display_name == "u2"
        assert stub.StreamPriorities(iter([]), metadata=other, timeout=5).set_count == 0
        assert _within(5, lambda: sum(future.done() for future in silent) == 11)
    finally:
        speaking.set()
    outcomes = [future.exception(timeout=10) for future in silent]
    assert sorted(getattr(failure, "reason", "") for failure in outcomes) == ["", *["TOO_MANY_STREAMS"] * 11]
    # A place is there again.
    assert stub.StreamPriorities(iter([]), metadata=signed(), timeout=5).set_count == 0


def test_a_read_is_retried_while_the_service_is_unavailable(mesh: Fixture) -> None:
    stub = images_pb2_grpc.ImageServiceStub(mesh.channel)
    stub.FindImages(images_pb2.FindImagesRequest(project_id=PROJECT), metadata=signed())
    assert mesh.images.calls == 3


def test_a_method_that_must_not_be_repeated_is_sent_once(mesh: Fixture) -> None:
    before = mesh.projects.calls
    stub = projects_pb2_grpc.ProjectServiceStub(mesh.channel)
    request = projects_pb2.UpdateProjectRequest(project_id=PROJECT)
    request.update_mask.paths.append("display_name")
    with pytest.raises(Unavailable):
        stub.UpdateProject(request, metadata=signed())
    assert mesh.projects.calls == before + 1


def test_a_stream_ends_with_a_typed_error_after_its_messages(mesh: Fixture) -> None:
    stub = statistics_pb2_grpc.StatisticsServiceStub(mesh.channel)
    stream = iter(stub.WatchStatistics(statistics_pb2.WatchStatisticsRequest(project_id=PROJECT), metadata=signed()))
    assert [next(stream).cursor for _ in range(3)] == ["0", "1", "2"]
    with pytest.raises(Unavailable) as caught:
        next(stream)
    assert caught.value.reason == "STREAM_RENEW"


def test_every_call_has_a_deadline_even_when_its_caller_set_none(mesh: Fixture) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{mesh.server.port}") as channel:
        stub = projects_pb2_grpc.ProjectServiceStub(channel)
        request = projects_pb2.GetProjectRequest(project_id=PROJECT)
        stub.GetProject(request, metadata=signed())
        stub.GetProject(request, metadata=signed(), timeout=3)
    default, own = mesh.projects.left[-2:]
    assert default is not None
    assert 9 < default <= 10
    assert own is not None
    # grpc's own figure for what is left may be some milliseconds more than was asked for.
    assert 2 < own <= 3.1


def test_a_call_past_its_deadline_is_deadline_exceeded(mesh: Fixture) -> None:
    stub = sessions_pb2_grpc.SessionServiceStub(mesh.channel)
    with pytest.raises(DeadlineExceeded):
        stub.SignIn(sessions_pb2.SignInRequest(name="slow", password="b"), timeout=0.2)


def test_outcomes_are_counted_by_method_and_code(mesh: Fixture) -> None:
    path = "/labelmesh.labeling.v1.ProjectService/GetProject"
    stub = projects_pb2_grpc.ProjectServiceStub(mesh.channel)
    ok, refused = mesh.counted(path, "OK"), mesh.counted(path, "UNAUTHENTICATED")
    stub.GetProject(projects_pb2.GetProjectRequest(project_id=PROJECT), metadata=signed())
    with pytest.raises(Unauthenticated):
        stub.GetProject(projects_pb2.GetProjectRequest(project_id=PROJECT))
    assert mesh.counted(path, "OK") == ok + 1
    assert mesh.counted(path, "UNAUTHENTICATED") == refused + 1


def test_reflection_lists_the_services_without_an_identity(mesh: Fixture) -> None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(mesh.channel)
    replies = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    names = {service.name for service in next(iter(replies)).list_services_response.service}
    assert {"labelmesh.labeling.v1.ProjectService", "grpc.health.v1.Health"} <= names


def test_health_follows_the_checks_of_the_service(mesh: Fixture) -> None:
    stub: Any = health_pb2_grpc.HealthStub(mesh.channel)

    def status() -> int:
        return int(stub.Check(health_pb2.HealthCheckRequest(service="labelmesh.labeling.v1.ProjectService")).status)

    assert status() == health_pb2.HealthCheckResponse.SERVING
    mesh.ready = False
    try:
        assert _within(5, lambda: status() == health_pb2.HealthCheckResponse.NOT_SERVING)
    finally:
        mesh.ready = True
    assert _within(5, lambda: status() == health_pb2.HealthCheckResponse.SERVING)


def test_a_stop_lets_calls_being_served_end() -> None:
    fixture = Fixture()
    stub = sessions_pb2_grpc.SessionServiceStub(fixture.channel)
    future = stub.SignIn.future(sessions_pb2.SignInRequest(name="slow", password="b"), timeout=5)
    time.sleep(0.2)
    stopper = threading.Thread(target=lambda: fixture.server.stop(lead_s=0, drain_s=5))
    stopper.start()
    assert future.result().token
    stopper.join(10)
    assert not stopper.is_alive()
    fixture.channel.close()


def test_calls_beyond_what_the_server_can_queue_are_refused_at_once(mesh: Fixture) -> None:
    stub = sessions_pb2_grpc.SessionServiceStub(mesh.channel)
    request = sessions_pb2.SignInRequest(name="slow", password="b")
    futures = [stub.SignIn.future(request, timeout=0.5) for _ in range(100)]
    failures = [future.exception() for future in futures]
    assert any(isinstance(failure, ResourceExhausted) for failure in failures)


def _within(seconds: float, is_true: Any) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_true():
            return True
        time.sleep(0.1)
    return False


def test_the_lease_method_is_passive_and_repeatable_by_the_contract() -> None:
    options = method_options(f"/{annotations_pb2.DESCRIPTOR.services_by_name['AnnotationService'].full_name}/LeaseImage")
    assert options is not None
    assert (options.passive, options.repeatable, options.scope) == (True, True, "labeling.annotate")
    assert method_options("/labelmesh.labeling.v1.AnnotationService/None") is None
