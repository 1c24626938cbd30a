"""Priorities in bulk and statistics as they change, with streams that break."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import grpc
import pytest
from labelmesh.labeling.v1 import images_pb2, statistics_pb2
from labelmesh_client import NotFound, Project, Unauthenticated, Unavailable
from labelmesh_client.client import Client
from labelmesh_client.priorities import UNARY_LIMIT
from labelmesh_client.statistics import watch_statistics

from tests.unit.client.answers import PROJECT, get_project
from tests.unit.client.server import Behaviour, Serve, client_of, refuse


class Queue:
    """Applies priorities as the labeling service does; the first `breaks` streams break after three messages."""

    def __init__(self, breaks: int = 0) -> None:
        self.priorities: dict[str, float] = {}
        self.breaks = breaks
        self.streams = 0

    def set(self, request: images_pb2.SetPrioritiesRequest, _: grpc.ServicerContext) -> images_pb2.SetPrioritiesResponse:
        self._apply(request.priorities)
        return images_pb2.SetPrioritiesResponse(set_count=len(request.priorities))

    def stream(self, requests: Iterator[images_pb2.StreamPrioritiesRequest], context: grpc.ServicerContext) -> Any:
        self.streams += 1
        count = 0
        for place, request in enumerate(requests):
            if place == 0:
                assert request.project_id == PROJECT
            assert len(request.priorities) <= 5000
            self._apply(request.priorities)
            count += len(request.priorities)
            if place == 2 and self.streams <= self.breaks:
                return refuse(context, grpc.StatusCode.UNAVAILABLE, "going down")
        return images_pb2.StreamPrioritiesResponse(set_count=count)

    def _apply(self, priorities: Iterable[images_pb2.ImagePriority]) -> None:
        for one in priorities:
            self.priorities[one.image_id] = one.priority

    def behaviours(self) -> dict[str, Behaviour]:
        return {
            "ImageService.SetPriorities": self.set,
            "ImageService.StreamPriorities": self.stream,
            "ProjectService.GetProject": get_project,
        }


def project_of(client: Client) -> Project:
    return client.project(PROJECT)


def pairs(count: int) -> list[tuple[str, float]]:
    return [(str(uuid.UUID(int=number)), float(number)) for number in range(count)]


def test_a_few_priorities_are_one_call_and_many_are_streamed(serve: Serve) -> None:
    for count, streams in ((0, 0), (1, 0), (UNARY_LIMIT, 0), (UNARY_LIMIT + 1, 1), (23_456, 1)):
        queue = Queue()
        with client_of(serve(queue.behaviours())) as client:
            assert project_of(client).set_priorities(iter(pairs(count))) == count
        assert queue.priorities == dict(pairs(count))
        assert queue.streams == streams


def test_a_long_run_is_cut_into_streams_of_bounded_length(serve: Serve) -> None:
    queue = Queue()
    with client_of(serve(queue.behaviours())) as client:
        assert project_of(client).set_priorities(pairs(UNARY_LIMIT + 410_000)) == UNARY_LIMIT + 410_000
    assert queue.streams == 3
    assert len(queue.priorities) == UNARY_LIMIT + 410_000


def test_a_stream_that_breaks_is_sent_again_from_its_start_and_nothing_is_lost(serve: Serve) -> None:
    queue = Queue(breaks=3)
    with client_of(serve(queue.behaviours())) as client:
        assert project_of(client).set_priorities(iter(pairs(40_000))) == 40_000
    assert queue.priorities == dict(pairs(40_000))
    assert queue.streams >= 4


def test_what_goes_wrong_in_the_callers_own_source_reaches_the_caller(serve: Serve) -> None:
    def source() -> Iterator[tuple[str, float]]:
        yield from pairs(12_000)
        raise KeyError("my own mistake")

    with client_of(serve(Queue().behaviours())) as client, pytest.raises(KeyError, match="my own mistake"):
        project_of(client).set_priorities(source())


def test_a_priority_that_is_no_number_is_refused_before_it_is_sent(serve: Serve) -> None:
    with client_of(serve(Queue().behaviours())) as client, pytest.raises(ValueError, match="finite"):
        project_of(client).set_priorities([(str(uuid.uuid4()), float("nan"))])


def test_an_unknown_image_ends_a_stream_with_its_error(serve: Serve) -> None:
    def refused(_: object, context: grpc.ServicerContext) -> Any:
        return refuse(context, grpc.StatusCode.NOT_FOUND, "The project has no image 7.", reason="IMAGE_NOT_FOUND")

    behaviours = {**Queue().behaviours(), "ImageService.StreamPriorities": refused}
    with client_of(serve(behaviours)) as client, pytest.raises(NotFound, match="no image 7"):
        project_of(client).set_priorities(pairs(9000))


class Numbers:
    """Streams numbers from its cursor on, three to a stream, and then asks to be called again, as the labeling service does."""

    def __init__(self, *, fail: int = 0, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> None:
        self.cursors: list[str] = []
        self.fail = fail
        self.code = code

    def watch(self, request: statistics_pb2.WatchStatisticsRequest, context: grpc.ServicerContext) -> Iterator[Any]:
        self.cursors.append(request.cursor)
        start = int(request.cursor or "0")
        if start >= 3 and self.fail > 0:
            self.fail -= 1
            refuse(context, self.code, "away")
        for number in range(start + 1, start + 4):
            yield statistics_pb2.WatchStatisticsResponse(project=statistics_pb2.ProjectStatistics(labels=number), cursor=str(number))
        refuse(context, grpc.StatusCode.UNAVAILABLE, "Call again.", reason="STREAM_RENEW")

    def get(self, _: object, context: grpc.ServicerContext) -> Any:
        if self.code is grpc.StatusCode.UNAUTHENTICATED:
            return refuse(context, self.code, "The session has ended.", reason="SESSION_ENDED")
        return statistics_pb2.GetStatisticsResponse()


def watched(client: Client, count: int, **options: Any) -> list[int]:
    numbers = []
    for one in watch_statistics(client.services, PROJECT, **options):
        numbers.append(one.labels)
        if len(numbers) == count:
            break
    return numbers


def test_watching_goes_on_where_the_server_ended_the_stream(serve: Serve) -> None:
    numbers = Numbers(fail=2)
    with client_of(serve({"StatisticsService.WatchStatistics": numbers.watch})) as client:
        assert watched(client, 8) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert numbers.cursors == ["", "3", "3", "3", "6"]


def test_watching_ends_when_the_server_stays_away(serve: Serve) -> None:
    with client_of(serve({"StatisticsService.WatchStatistics": Numbers(fail=999).watch})) as client, pytest.raises(Unavailable):
        watched(client, 8, patience_s=0.5)


def test_a_session_that_ends_while_watching_is_an_error_where_no_password_can_open_another(serve: Serve) -> None:
    numbers = Numbers(fail=1, code=grpc.StatusCode.UNAUTHENTICATED)
    server = serve({"StatisticsService.WatchStatistics": numbers.watch, "StatisticsService.GetStatistics": numbers.get})
    with client_of(server) as client, pytest.raises(Unauthenticated, match="session has ended"):
        watched(client, 8)
