"""What everybody stands on goes away and comes back: PostgreSQL, object storage, auth."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import grpc
import psycopg2
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from labelmesh.labeling.v1 import images_pb2, images_pb2_grpc, projects_pb2, projects_pb2_grpc
from labelmesh_chassis.server import LIVENESS

from tests.e2e.resilience.test_processes import assert_labels_are_as_promised, assert_nothing_was_lost, everybody, stored_labels
from tests.support.load import Labels, Load, reads_by_grpc, reads_by_json
from tests.support.plant import Plant
from tests.support.replicas import Replica, picture

_RECOVERED_S = 30


def projects_of(plant: Plant, token: str, timeout: float = 15) -> object:
    with plant.mesh.channel() as channel:
        stub = projects_pb2_grpc.ProjectServiceStub(channel)
        request = projects_pb2.ListProjectsRequest(page_size=1)
        return stub.ListProjects(request, metadata=(("authorization", f"Bearer {token}"),), timeout=timeout)


def refusal_of(call: Callable[[], object]) -> tuple[grpc.StatusCode, str, bool]:
    """How a call is refused: the status, the reason, and whether it says when to come back."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    trailers: Any = caught.value.trailing_metadata()
    status = status_pb2.Status.FromString(dict(trailers).get("grpc-status-details-bin", b""))
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    found = [detail.Unpack(info) or detail.Unpack(retry) for detail in status.details]
    return caught.value.code(), info.reason, bool(found) and retry.HasField("retry_delay")


def wait_until_it_works(call: Callable[[], object]) -> None:
    deadline = time.monotonic() + _RECOVERED_S
    while not _works(call):
        assert time.monotonic() < deadline, "it does not work again"
        time.sleep(0.1)


def _works(call: Callable[[], object]) -> bool:
    try:
        call()
    except grpc.RpcError:
        return False
    return True


def health(replica: Replica, service: str) -> str:
    """What a process says of itself when it is probed."""
    with grpc.insecure_channel(replica.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        status = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5).status
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(status))


def end_all_connections(plant: Plant) -> int:
    """Ends every connection of the services to PostgreSQL; how many there were."""
    connection = psycopg2.connect(plant.postgres.admin_dsn)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            names = list(plant.mesh.databases.values())
            cursor.execute("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = ANY(%s)", (names,))
            (count,) = cursor.fetchone() or (0,)
            return int(count)
    finally:
        connection.close()


def test_connections_to_postgres_that_are_lost_lose_no_call(plant: Plant, token: str) -> None:
    project_id = plant.mesh.project(token, 300)
    labels = Labels(project_id)
    with Load(plant.entrance.port, token, everybody(project_id, labels), pause_s=0.05) as load:
        ended = []
        for _ in range(3):
            time.sleep(1.5)
            ended.append(end_all_connections(plant))
        time.sleep(1.5)
    assert min(ended) > 4
    assert_nothing_was_lost(load, but=("grpc stream", "web stream"))
    assert_labels_are_as_promised(plant, project_id, labels)
    assert len(stored_labels(plant, project_id)) == len(labels.acknowledged)


def test_while_postgres_is_away_callers_are_told_to_come_back_and_afterwards_everything_is_as_promised(plant: Plant, token: str) -> None:
    project_id = plant.mesh.project(token, 300)
    labels = Labels(project_id)
    with Load(plant.entrance.port, token, [labels, reads_by_grpc, reads_by_json], pause_s=0.05) as load:
        time.sleep(1)
        plant.postgres.kill()
        try:
            for _ in range(3):
                code, reason, come_back = refusal_of(lambda: projects_of(plant, token))
                assert code is grpc.StatusCode.UNAVAILABLE, reason
                assert come_back, reason
                time.sleep(1)
            states = {(health(replica, ""), health(replica, LIVENESS)) for replica in plant.mesh.replicas}
            assert states == {("NOT_SERVING", "SERVING")}, "nobody is to call them, and nobody is to start them again"
        finally:
            plant.postgres.start()
        wait_until_it_works(lambda: projects_of(plant, token))
        given = len(labels.acknowledged)
        deadline = time.monotonic() + _RECOVERED_S
        while len(labels.acknowledged) < given + 10 and time.monotonic() < deadline:
            time.sleep(0.1)
    assert len(labels.acknowledged) >= given + 10, "labels are given again"
    assert_labels_are_as_promised(plant, project_id, labels)
    assert {_status(problem) for problem in load.record.lost} <= {"UNAVAILABLE", "503"}


def test_a_network_to_postgres_that_swallows_everything_holds_nobody_up_for_good(plant: Plant, token: str) -> None:
    project_id = plant.mesh.project(token, 300)
    labels = Labels(project_id)
    with Load(plant.entrance.port, token, [labels, reads_by_grpc, reads_by_json], pause_s=0.05) as load:
        time.sleep(1)
        plant.database.cut()
        try:
            began = time.monotonic()
            code, reason, come_back = refusal_of(lambda: projects_of(plant, token))
            assert code is grpc.StatusCode.UNAVAILABLE, reason
            assert come_back, reason
            assert time.monotonic() - began < 10
            time.sleep(3)
        finally:
            plant.database.mend()
        wait_until_it_works(lambda: projects_of(plant, token))
        given = len(labels.acknowledged)
        deadline = time.monotonic() + _RECOVERED_S
        while len(labels.acknowledged) < given + 10 and time.monotonic() < deadline:
            time.sleep(0.1)
    assert len(labels.acknowledged) >= given + 10, "labels are given again"
    assert_labels_are_as_promised(plant, project_id, labels)
    assert {_status(problem) for problem in load.record.lost} <= {"UNAVAILABLE", "503", "DEADLINE_EXCEEDED", "504"}


def test_without_object_storage_pictures_are_refused_and_labels_are_not(plant: Plant, token: str) -> None:
    project_id = plant.mesh.project(token, 100)
    labels = Labels(project_id)
    metadata = (("authorization", f"Bearer {token}"),)

    def add(number: int) -> None:
        with plant.mesh.channel() as channel:
            images = [images_pb2.NewImage(name="new.png", content=picture(number))]
            request = images_pb2.AddImagesRequest(project_id=project_id, images=images)
            images_pb2_grpc.ImageServiceStub(channel).AddImages(request, metadata=metadata, timeout=30)

    plant.s3.kill()
    try:
        code, reason, _ = refusal_of(lambda: add(50_000))
        assert code is grpc.StatusCode.UNAVAILABLE, reason
        with Load(plant.entrance.port, token, [labels, reads_by_grpc]) as load:
            time.sleep(2)
        assert not load.record.lost
        assert labels.acknowledged
    finally:
        plant.s3.start()
    wait_until_it_works(lambda: add(50_001))
    assert_labels_are_as_promised(plant, project_id, labels)


def test_without_auth_nobody_is_let_through(plant: Plant, token: str) -> None:
    for replica in plant.mesh.parts["auth"]:
        replica.process.kill()
    try:
        with Load(plant.entrance.port, token, [reads_by_grpc, reads_by_json]) as load:
            time.sleep(2)
        with Load(plant.entrance.port, f"{token[:-8]}AAAAAAAA", [reads_by_grpc, reads_by_json]) as forged:
            time.sleep(1)
    finally:
        for replica in plant.mesh.parts["auth"]:
            replica.process.start()
        plant.mesh.wait_for(plant.mesh.parts["auth"], timeout=60)
    assert not load.record.answered
    assert not forged.record.answered
    assert Counter(map(_status, load.record.lost)).keys() == {"UNAVAILABLE", "503"}
    wait_until_it_works(lambda: projects_of(plant, token))


def _status(problem: str) -> str:
    """The status in a recorded problem: "grpc auth: UNAVAILABLE ...", "json auth: RefusedCall 503 ..."."""
    words = problem.partition(": ")[2].split()
    return words[1] if words[0] == "RefusedCall" else words[0]
