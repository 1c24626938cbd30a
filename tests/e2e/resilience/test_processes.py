"""Processes go, die and hang while people and programs call."""

from __future__ import annotations

import os
import signal
import time

import psycopg2
from labelmesh_gateway.tending import Admin, drain

from tests.support.load import Caller, Labels, Load, pictures_by_grpc, reads_by_grpc, reads_by_grpc_web, reads_by_json, streams_by_grpc
from tests.support.plant import Plant
from tests.support.replicas import SERVICES, Replica, picture

# Calls that began with their answer are not sent again by anybody: the caller resumes a stream by its cursor.
_STREAMS = ("grpc stream", "web stream")
_HUNG_S = 11


def everybody(project_id: str, labels: Labels) -> list[Caller]:
    return [reads_by_grpc, reads_by_json, reads_by_grpc_web(project_id), streams_by_grpc(project_id), pictures_by_grpc(picture(5)), labels]


def stored_labels(plant: Plant, project_id: str) -> list[str]:
    """The ids of a project's annotations, as the database has them."""
    connection = psycopg2.connect(plant.postgres.dsn(plant.mesh.databases["labeling"]))
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id::text FROM annotations WHERE project_id = %s", (project_id,))
            return [str(row[0]) for row in cursor.fetchall()]
    finally:
        connection.close()


def assert_nothing_was_lost(load: Load, *, but: tuple[str, ...] = ()) -> None:
    kinds = set(load.record.answered)
    assert kinds >= {f"{way} {part}" for way in ("grpc", "json", "web") for part in SERVICES}, "every way to every service was used"
    assert not {problem: count for problem, count in load.record.lost.items() if not problem.startswith(but or ("-",))}


def assert_labels_are_as_promised(plant: Plant, project_id: str, labels: Labels) -> None:
    """Every acknowledged label is there once; beside them only such as nobody heard the end of."""
    stored = stored_labels(plant, project_id)
    assert len(labels.acknowledged) > 5
    assert len(set(labels.acknowledged.values())) == len(labels.acknowledged)
    assert set(labels.acknowledged.values()) <= set(stored)


def test_a_roll_out_of_every_service_loses_no_call(plant: Plant, token: str) -> None:
    project_id = plant.mesh.project(token, 500)
    labels = Labels(project_id)
    with Load(plant.entrance.port, token, everybody(project_id, labels), pause_s=0.05) as load:
        time.sleep(1)
        plant.mesh.roll(*SERVICES)
        time.sleep(1)
    assert_nothing_was_lost(load)
    assert_labels_are_as_promised(plant, project_id, labels)
    assert len(stored_labels(plant, project_id)) == len(labels.acknowledged)


def test_processes_that_are_killed_lose_no_call_that_may_be_sent_again(plant: Plant, token: str) -> None:
    project_id = plant.mesh.project(token, 300)
    labels = Labels(project_id)
    victims = [plant.mesh.parts[part][0] for part in SERVICES]
    try:
        with Load(plant.entrance.port, token, everybody(project_id, labels), pause_s=0.05) as load:
            time.sleep(1)
            for victim in victims:
                victim.process.kill()
            time.sleep(3)
    finally:
        _back(plant, victims)
    assert_nothing_was_lost(load, but=_STREAMS)
    assert_labels_are_as_promised(plant, project_id, labels)


def test_processes_that_hang_hold_calls_up_for_some_seconds_and_lose_none(plant: Plant, token: str) -> None:
    project_id = plant.mesh.project(token, 300)
    labels = Labels(project_id)
    victims = [plant.mesh.parts[part][0] for part in ("auth", "labeling")]
    with Load(plant.entrance.port, token, everybody(project_id, labels), pause_s=0.05) as load:
        time.sleep(1)
        for victim in victims:
            _signal(victim, signal.SIGSTOP)
        hung = time.monotonic()
        try:
            time.sleep(_HUNG_S)
        finally:
            woken = time.monotonic()
            for victim in victims:
                _signal(victim, signal.SIGCONT)
        time.sleep(0.5)
    plant.mesh.wait_for(victims)
    caught = [call for call in load.record.calls if hung - 1 < call.began < hung + 1]
    assert caught
    assert all(call.began + call.seconds < woken for call in caught), "somebody waited for the process itself"
    assert_nothing_was_lost(load)
    assert_labels_are_as_promised(plant, project_id, labels)


def _signal(replica: Replica, number: signal.Signals) -> None:
    assert replica.process.pid is not None
    os.kill(replica.process.pid, number)


def _back(plant: Plant, replicas: list[Replica]) -> None:
    for replica in replicas:
        replica.process.start()
    plant.mesh.wait_for(replicas, timeout=60)


def test_a_roll_out_of_the_gateway_loses_no_call(plant: Plant, token: str) -> None:
    """Callers keep their connections; who stands before the gateways sends new ones to those that are ready."""
    project_id = plant.mesh.project(token, 300)
    labels = Labels(project_id)
    with Load(plant.entrance.port, token, everybody(project_id, labels), pause_s=0.05) as load:
        time.sleep(1)
        for door in plant.mesh.doors:
            assert drain(Admin(door.admin_port), lead_s=1, limit_s=15), "calls outlast the drain"
            door.gateway.stop()
            door.start()
            plant.mesh.wait_for(plant.mesh.replicas)
        time.sleep(1)
    assert_nothing_was_lost(load)
    assert_labels_are_as_promised(plant, project_id, labels)
