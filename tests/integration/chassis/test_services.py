"""The real services as processes that prove to one another who they are: auth, labeling, and augmentation, which calls labeling."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from labelmesh.augment.v1 import pipelines_pb2, pipelines_pb2_grpc
from labelmesh.auth.v1 import sessions_pb2, sessions_pb2_grpc
from labelmesh.extauthz.v1 import check_pb2
from labelmesh.labeling.v1 import projects_pb2, projects_pb2_grpc
from labelmesh_chassis.certificates import CertificateFiles
from labelmesh_chassis.channels import open_channel
from labelmesh_chassis.errors import NotFound, PermissionDenied
from labelmesh_local.ports import free_port

from tests.integration.chassis.service import until
from tests.support.certificates import Authority
from tests.support.collector import CollectedSpan, Collector
from tests.support.databases import FreshDatabases
from tests.support.stores import StoreAddress

LOOPBACK = ["127.0.0.1"]
PASSWORD = "violet-harbour-92"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLERS = {"auth": "gateway", "labeling": "gateway,augment", "augment": "gateway"}


class Process:
    """A service in a process of its own, in mutual TLS with everybody; ready when its health, on a port besides, says so."""

    def __init__(self, name: str, environment: dict[str, str], log: Path) -> None:
        self.name, self.log = name, log
        self.target, self.ops, self.health = (f"127.0.0.1:{free_port()}" for _ in range(3))
        kept = {key: value for key, value in os.environ.items() if not key.startswith("LABELMESH_")}
        own = {"LABELMESH_LISTEN": self.target, "LABELMESH_OPS_LISTEN": self.ops, "LABELMESH_HEALTH_LISTEN": self.health}
        self.environment = {**kept, **own, "LABELMESH_TLS_CALLERS": CALLERS[name], "LABELMESH_DRAIN_LEAD_S": "0", **environment}

    def start(self) -> None:
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", f"labelmesh_{self.name}"]
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def is_serving(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        with grpc.insecure_channel(self.health) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            try:
                return bool(stub.Check(health_pb2.HealthCheckRequest(), timeout=2).status == health_pb2.HealthCheckResponse.SERVING)
            except grpc.RpcError:
                return False

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


class Mesh:
    """What a test needs of it."""

    def __init__(self, authority: Authority, processes: dict[str, Process], collector: Collector) -> None:
        self.authority, self.processes, self.collector = authority, processes, collector

    def channel(self, name: str, caller: str) -> grpc.Channel:
        files = CertificateFiles(*self.authority.issue(caller), self.authority.ca)
        return open_channel(self.processes[name].target, [], certificates=files)

    def identity(self) -> tuple[str, str]:
        """What the gateway hands on for somebody who has signed in."""
        with self.channel("auth", "gateway") as channel:
            sign_in = sessions_pb2.SignInRequest(name="mia", password=PASSWORD)
            token = sessions_pb2_grpc.SessionServiceStub(channel).SignIn(sign_in).token
            request = check_pb2.CheckRequest()
            request.attributes.request.http.path = "/labelmesh.labeling.v1.ProjectService/ListProjects"
            request.attributes.request.http.headers["authorization"] = f"Bearer {token}"
            check = channel.unary_unary(
                "/envoy.service.auth.v3.Authorization/Check",
                request_serializer=check_pb2.CheckRequest.SerializeToString,
                response_deserializer=check_pb2.CheckResponse.FromString,
            )
            (header,) = check(request).ok_response.headers
        return header.header.key, header.header.value


@pytest.fixture
def mesh(fresh_database: FreshDatabases, object_store_settings: StoreAddress, tmp_path: Path) -> Iterator[Mesh]:
    authority = Authority(tmp_path / "certificates")
    collector_key, collector_certificate = (path.read_bytes() for path in reversed(authority.issue("collector", addresses=LOOPBACK)))
    credentials = grpc.ssl_server_credentials([(collector_key, collector_certificate)], authority.ca.read_bytes(), require_client_auth=True)
    with Collector(credentials=credentials) as collector:
        processes: dict[str, Process] = {}
        for name in CALLERS:
            certificate, key = authority.issue(name, addresses=LOOPBACK)
            environment = {
                **object_store_settings.environment(),
                "LABELMESH_DATABASE_URL": fresh_database(),
                "LABELMESH_TLS_CERTIFICATE": str(certificate),
                "LABELMESH_TLS_PRIVATE_KEY": str(key),
                "LABELMESH_TLS_CA": str(authority.ca),
                "LABELMESH_OTLP_ENDPOINT": collector.endpoint,
            }
            if name == "auth":
                environment["LABELMESH_KEY_ENCRYPTION_KEY"] = base64.b64encode(bytes(32)).decode()
            else:
                environment["LABELMESH_IDENTITY_JWKS_URL"] = f"https://{processes['auth'].ops}/.well-known/jwks.json"
            if name == "augment":
                environment |= {"LABELMESH_LABELING": processes["labeling"].target, "LABELMESH_WORKERS": "1"}
            processes[name] = Process(name, environment, tmp_path / f"{name}.log")
            processes[name].start()
        try:
            until(lambda: all(process.is_serving() for process in processes.values()), timeout_s=150)
            yield Mesh(authority, processes, collector)
        finally:
            for process in processes.values():
                process.process.kill()
                process.process.wait()


def test_services_in_mutual_tls_call_one_another_and_nobody_else_does(mesh: Mesh) -> None:
    auth = mesh.processes["auth"]
    create = ["create-user", "--name", "mia", "--role", "manager", "--password-stdin"]
    subprocess.run([sys.executable, "-m", "labelmesh_auth", *create], env=auth.environment, input=f"{PASSWORD}\n", text=True, check=True)
    identity = mesh.identity()

    with mesh.channel("labeling", "gateway") as channel:
        listed = projects_pb2.ListProjectsRequest()
        assert not projects_pb2_grpc.ProjectServiceStub(channel).ListProjects(listed, metadata=(identity,)).projects
    # Augmentation has labeling say whether there is such a project: the answer is labeling's own.
    asked = pipelines_pb2.ListPipelinesRequest(project_id=str(uuid.uuid4()))
    with mesh.channel("augment", "gateway") as channel, pytest.raises(NotFound) as missing:
        joined = (identity, ("traceparent", f"00-{TRACE}-{PARENT}-01"))
        pipelines_pb2_grpc.PipelineServiceStub(channel).ListPipelines(asked, metadata=joined)
    assert missing.value.reason == "PROJECT_NOT_FOUND"
    for name, stranger, method in (
        ("labeling", "stranger", "labelmesh.labeling.v1.ProjectService/ListProjects"),
        ("auth", "augment", "labelmesh.auth.v1.SessionService/GetSession"),
        ("augment", "labeling", "labelmesh.augment.v1.PipelineService/ListTransforms"),
    ):
        with mesh.channel(name, stranger) as channel, pytest.raises(PermissionDenied) as refused:
            call: Any = channel.unary_unary(f"/{method}")
            call(b"", metadata=(identity,))
        assert refused.value.reason == "CALLER_NOT_ALLOWED"

    assert [process.stop() for process in mesh.processes.values()] == [0, 0, 0]
    spans = [span for span in mesh.collector.spans() if span.trace_id == TRACE]
    line = _line(spans, lambda span: span.service == "labeling" and span.kind == "client" and "db.query.text" in span.attributes)
    assert [(span.service, span.kind) for span in line] == [
        ("labeling", "client"),
        ("labeling", "server"),
        ("augment", "client"),
        ("augment", "server"),
    ]
    assert line[-1].parent_id == PARENT
    for process in mesh.processes.values():
        written = process.log.read_text()
        assert PASSWORD not in written and identity[1] not in written and '"error"' not in written, written[-2000:]


def _line(spans: list[CollectedSpan], is_first: Callable[[CollectedSpan], bool]) -> list[CollectedSpan]:
    """A span and those that it is a part of."""
    by_id = {span.span_id: span for span in spans}
    found = [next(span for span in spans if is_first(span))]
    while found[-1].parent_id in by_id:
        found.append(by_id[found[-1].parent_id])
    return found
