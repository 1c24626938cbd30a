"""How far a project and its annotators are: once, or whenever it changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from labelmesh.labeling.v1 import statistics_pb2

from labelmesh_client.services import Services
from labelmesh_client.streams import resumed
from labelmesh_client.timestamps import moment

_PAGE = 500


@dataclass(frozen=True)
class AnnotatorStatistics:
    """What one annotator has done in a project; undone labels do not count.

    `consistency` is the share of repeats labeled the same, None without repeats.
    """

    author_id: str
    labels_given: int
    distinct_images_labeled: int
    repeats: int
    repeats_consistent: int
    consistency: float | None
    last_label_time: datetime | None

    @staticmethod
    def from_wire(message: statistics_pb2.AnnotatorStatistics) -> AnnotatorStatistics:
        return AnnotatorStatistics(
            author_id=message.author_id,
            labels_given=message.labels_given,
            distinct_images_labeled=message.distinct_images_labeled,
            repeats=message.repeats,
            repeats_consistent=message.repeats_consistent,
            consistency=message.consistency if message.HasField("consistency") else None,
            last_label_time=moment(message, "last_label_time"),
        )


@dataclass(frozen=True)
class ProjectStatistics:
    """How far a project is: `images` = `images_completed` + `images_awaiting`; `images_held` of those awaiting are held right now."""

    images: int
    images_completed: int
    images_awaiting: int
    images_held: int
    labels: int
    machine_labels: int

    @staticmethod
    def from_wire(message: statistics_pb2.ProjectStatistics) -> ProjectStatistics:
        return ProjectStatistics(
            images=message.images,
            images_completed=message.images_completed,
            images_awaiting=message.images_awaiting,
            images_held=message.images_held,
            labels=message.labels,
            machine_labels=message.machine_labels,
        )


@dataclass(frozen=True)
class Statistics:
    """The caller's own numbers and the project's."""

    own: AnnotatorStatistics
    project: ProjectStatistics


def get_statistics(services: Services, project_id: str) -> Statistics:
    reply = services.statistics.GetStatistics(statistics_pb2.GetStatisticsRequest(project_id=project_id))
    return Statistics(AnnotatorStatistics.from_wire(reply.own), ProjectStatistics.from_wire(reply.project))


def list_annotator_statistics(services: Services, project_id: str) -> Iterator[AnnotatorStatistics]:
    """Everybody's numbers, most labels first."""
    token = ""
    while True:
        request = statistics_pb2.ListAnnotatorStatisticsRequest(project_id=project_id, page_size=_PAGE, page_token=token)
        page = services.statistics.ListAnnotatorStatistics(request)
        yield from map(AnnotatorStatistics.from_wire, page.annotators)
        token = page.next_page_token
        if not token:
            return


def watch_statistics(services: Services, project_id: str, *, patience_s: float = 60.0) -> Iterator[ProjectStatistics]:
    """The project's numbers now and whenever they change, at most once a second, until the caller stops.

    The server ends the stream every minute at the latest: it is taken up again where it ended, so nothing is missed or shown twice. While
    the server is away that is tried for `patience_s` seconds; then Unavailable is raised.
    """
    cursor = ""

    def ask() -> Iterator[statistics_pb2.WatchStatisticsResponse]:
        return iter(services.statistics.WatchStatistics(statistics_pb2.WatchStatisticsRequest(project_id=project_id, cursor=cursor)))

    while True:
        for message in resumed(services.connection, ask, lambda: get_statistics(services, project_id), patience_s=patience_s):
            cursor = message.cursor
            yield ProjectStatistics.from_wire(message.project)
        services.connection.pause(0.2)  # No server ends a watch by itself; one that did would not be asked without a breath.
