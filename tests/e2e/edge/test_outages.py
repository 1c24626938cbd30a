"""What callers see while parts of the mesh go away and come back."""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections import Counter

import grpc
import pytest
from labelmesh.labeling.v1 import annotations_pb2, annotations_pb2_grpc, projects_pb2, projects_pb2_grpc
from labelmesh_local.process import wait_until

from tests.e2e.edge.mesh import EdgeMesh, Replica, bearer
from tests.e2e.edge.test_tokens import list_projects, reason_of


class Load:
    """Six callers that read and write through the edge until told to stop, each call sent once; counts what became of the calls."""

    CALLERS = 6

    def __init__(self, edge: EdgeMesh, token: str, project_id: str) -> None:
        self._edge = edge
        self._metadata = bearer(token)
        self._project_id = project_id
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.outcomes: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(self.CALLERS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self) -> None:
        with self._edge.channel() as channel:
            projects = projects_pb2_grpc.ProjectServiceStub(channel)
            annotations = annotations_pb2_grpc.AnnotationServiceStub(channel)
            deadline = time.monotonic() + 60
            while not self._stop.is_set() and time.monotonic() < deadline:
                lease = annotations_pb2.LeaseImageRequest(request_id=str(uuid.uuid4()), project_id=self._project_id)
                self._count(
                    lambda: projects.ListProjects(projects_pb2.ListProjectsRequest(page_size=1), metadata=self._metadata, timeout=10)
                )
                self._count(lambda wanted=lease: annotations.LeaseImage(wanted, metadata=self._metadata, timeout=10))

    def _count(self, call: object) -> None:
        assert callable(call)
        try:
            call()
            outcome = "OK"
        except grpc.RpcError as error:
            outcome = f"{error.code().name}: {error.details()}"
        with self._lock:
            self.outcomes[outcome] += 1


def restarted(replica: Replica) -> None:
    replica.process.start()
    wait_until(replica.process, replica.ready, timeout=40)


@pytest.mark.parametrize("part", ["labeling", "auth"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_service_that_is_stopped_under_load_loses_no_call(edge: EdgeMesh, token: str, part: str, how: signal.Signals) -> None:
    project_id, _ = edge.project_with_image(token)
    replica: Replica = getattr(edge, part)[0]
    try:
        with Load(edge, token, project_id) as load:
            time.sleep(1.5)
            if how is signal.SIGTERM:
                assert replica.process.stop(20), "it did not end by itself"
            else:
                replica.process.kill()
            time.sleep(1.5)
    finally:
        restarted(replica)
        # Until the edge has seen that it is back, the other one must not go.
        time.sleep(3)
    assert load.outcomes["OK"] > 100
    assert set(load.outcomes) == {"OK"}


def test_without_auth_nothing_is_let_through_and_callers_are_told_to_come_back(edge: EdgeMesh, token: str) -> None:
    for replica in edge.auth:
        replica.process.kill()
    try:
        for _ in range(2):
            with pytest.raises(grpc.RpcError) as caught:
                list_projects(edge, *bearer(token))
            assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.UNAVAILABLE, "AUTH_UNAVAILABLE")
            reply = edge.http("GET", "/v1/projects", headers={"authorization": f"Bearer {token}"})
            assert (reply.status, reply.json["code"], reply.reason) == (503, 14, "AUTH_UNAVAILABLE")
            web = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1", "authorization": f"Bearer {token}"}
            reply = edge.http("POST", "/labelmesh.labeling.v1.ProjectService/ListProjects", b"\0\0\0\0\0", web)
            assert (reply.status, reply.headers["grpc-status"]) == (200, "14")
            time.sleep(4)  # once with the dead still listed as healthy, once without
        assert edge.http("GET", "/v1/projects").status == 401, "what the edge can judge alone it still judges"
        assert edge.http("GET", "/").status == 200
    finally:
        for replica in edge.auth:
            restarted(replica)
    deadline = time.monotonic() + 10
    while edge.http("GET", "/v1/projects", headers={"authorization": f"Bearer {token}"}).status != 200:
        assert time.monotonic() < deadline, "the edge does not find auth again"
        time.sleep(0.1)


def test_without_labeling_its_callers_are_told_to_come_back(edge: EdgeMesh, token: str) -> None:
    for replica in edge.labeling:
        replica.process.kill()
    try:
        with pytest.raises(grpc.RpcError) as caught:
            list_projects(edge, *bearer(token))
        assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.UNAVAILABLE, "SERVICE_UNAVAILABLE")
        assert edge.http("GET", "/v1/projects", headers={"authorization": f"Bearer {token}"}).reason == "SERVICE_UNAVAILABLE"
        assert edge.http("GET", "/v1/sessions/current", headers={"authorization": f"Bearer {token}"}).status == 200
    finally:
        for replica in edge.labeling:
            restarted(replica)
    deadline = time.monotonic() + 10
    while edge.http("GET", "/v1/projects", headers={"authorization": f"Bearer {token}"}).status != 200:
        assert time.monotonic() < deadline, "the edge does not find labeling again"
        time.sleep(0.1)
