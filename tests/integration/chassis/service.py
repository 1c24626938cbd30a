"""A small service on the chassis, whose methods do what a test says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from labelmesh.labeling.v1 import (
    images_pb2,
    images_pb2_grpc,
    projects_pb2,
    projects_pb2_grpc,
    statistics_pb2,
    statistics_pb2_grpc,
)
from labelmesh_chassis.channels import open_channel
from labelmesh_chassis.identity import IDENTITY_HEADER, Identity, IdentityVerifier, Role
from labelmesh_chassis.server import ServerBuilder
from labelmesh_chassis.settings import ServiceSettings

from tests.support.identities import Signer

PROJECT = "8a3b6a7e-2f5e-4f43-9b7c-3c7f1f1e0c11"
SIGNER = Signer()
SERVICES: Sequence[ServiceDescriptor] = [
    projects_pb2.DESCRIPTOR.services_by_name["ProjectService"],
    images_pb2.DESCRIPTOR.services_by_name["ImageService"],
    statistics_pb2.DESCRIPTOR.services_by_name["StatisticsService"],
]
GET = "labelmesh.labeling.v1.ProjectService/GetProject"
WATCH = "labelmesh.labeling.v1.StatisticsService/WatchStatistics"
SEND = "labelmesh.labeling.v1.ImageService/StreamPriorities"


def settings(**overrides: Any) -> ServiceSettings:
    """On free ports of loopback, with a database that is never asked."""
    values: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "ops_listen": "127.0.0.1:0",
        "database_url": "postgresql+psycopg2://nobody@127.0.0.1/none",
        "worker_threads": 8,
        "drain_lead_s": 0,
        **overrides,
    }
    return ServiceSettings(**values)


def signed(user: str = "u1") -> tuple[str, str]:
    """The metadata of somebody who is signed in."""
    return IDENTITY_HEADER, SIGNER.sign(Identity(subject=f"user:{user}", user_id=user, role=Role.ANNOTATOR))


class Service:
    """Runs between making and `stop`. `get`, `watch` and `send` are what its three methods do."""

    def __init__(
        self,
        told: ServiceSettings,
        *,
        get: Callable[[], object] = lambda: None,
        watch: Callable[[], Iterator[object]] = lambda: iter(()),
        send: Callable[[Iterator[Any]], object] = lambda messages: sum(1 for _ in messages),
    ) -> None:
        class Projects(projects_pb2_grpc.ProjectServiceServicer):
            def GetProject(self, request: projects_pb2.GetProjectRequest, context: Any) -> projects_pb2.GetProjectResponse:
                get()
                return projects_pb2.GetProjectResponse()

        class Statistics(statistics_pb2_grpc.StatisticsServiceServicer):
            def WatchStatistics(self, request: Any, context: Any) -> Iterator[statistics_pb2.WatchStatisticsResponse]:
                for found in watch():
                    yield statistics_pb2.WatchStatisticsResponse(cursor=str(found))

        class Images(images_pb2_grpc.ImageServiceServicer):
            def StreamPriorities(self, request_iterator: Any, context: Any) -> images_pb2.StreamPrioritiesResponse:
                send(request_iterator)
                return images_pb2.StreamPrioritiesResponse()

        # Servicers that leave methods out answer UNIMPLEMENTED for them; their types ask for all of them.
        kinds: list[Any] = [Projects, Images, Statistics]
        builder = ServerBuilder("sample", told, verifier=IdentityVerifier(SIGNER))
        adders: list[Any] = [
            projects_pb2_grpc.add_ProjectServiceServicer_to_server,
            images_pb2_grpc.add_ImageServiceServicer_to_server,
            statistics_pb2_grpc.add_StatisticsServiceServicer_to_server,
        ]
        for descriptor, add, kind in zip(SERVICES, adders, kinds, strict=True):
            builder.add(descriptor, add, kind())
        self.server = builder.build()
        self.target = f"127.0.0.1:{self.server.start()}"

    def stop(self) -> None:
        self.server.stop(lead_s=0, drain_s=2)


class Caller:
    """Somebody who is signed in and calls a service over the chassis' channel, or another one."""

    def __init__(self, target: str, channel: grpc.Channel | None = None, **options: Any) -> None:
        self.channel = channel or open_channel(target, SERVICES, **options)

    def get(self, *metadata: tuple[str, str], timeout: float = 10) -> object:
        request = projects_pb2.GetProjectRequest(project_id=PROJECT)
        return projects_pb2_grpc.ProjectServiceStub(self.channel).GetProject(request, metadata=(signed(), *metadata), timeout=timeout)

    def watch(self, *metadata: tuple[str, str]) -> Any:
        request = statistics_pb2.WatchStatisticsRequest(project_id=PROJECT)
        return statistics_pb2_grpc.StatisticsServiceStub(self.channel).WatchStatistics(request, metadata=(signed(), *metadata), timeout=20)

    def send(self, messages: Iterator[Any], *metadata: tuple[str, str]) -> object:
        return images_pb2_grpc.ImageServiceStub(self.channel).StreamPriorities(messages, metadata=(signed(), *metadata), timeout=20)

    def close(self) -> None:
        self.channel.close()


def priorities() -> images_pb2.StreamPrioritiesRequest:
    """One message of the stream that is sent."""
    return images_pb2.StreamPrioritiesRequest(project_id=PROJECT, priorities=[images_pb2.ImagePriority(image_id=PROJECT, priority=1)])


def until(is_so: Callable[[], object], timeout_s: float = 20) -> None:
    """Waits for something to become so."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not become so in time"
        time.sleep(0.02)
