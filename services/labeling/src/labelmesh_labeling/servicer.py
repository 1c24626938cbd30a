"""The four services of the contract: each method reads the request, calls one domain function and builds the reply."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from uuid import UUID

import grpc
from labelmesh.labeling.v1 import annotations_pb2 as ann
from labelmesh.labeling.v1 import annotations_pb2_grpc, images_pb2_grpc, projects_pb2_grpc, statistics_pb2_grpc
from labelmesh.labeling.v1 import images_pb2 as img
from labelmesh.labeling.v1 import projects_pb2 as prj
from labelmesh.labeling.v1 import statistics_pb2 as stat
from labelmesh_chassis.database import Database
from labelmesh_chassis.identity import identity_of
from sqlalchemy.orm import Session

from labelmesh_labeling import images, labeling, leases, priorities, projects, statistics, undo, wire
from labelmesh_labeling.access import Caller, require_visible
from labelmesh_labeling.annotations import list_annotations, put_machine_annotations
from labelmesh_labeling.consensus import next_labels, start_of_labels
from labelmesh_labeling.links import ImageLinks
from labelmesh_labeling.pictures import DecoderGate
from labelmesh_labeling.streams import StreamGate, renew, stream_end
from labelmesh_labeling.transactions import carry_out
from labelmesh_labeling.watching import INTERVAL_S, StatisticsFeed

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Parts:
    """What the servicers work with; shared by all calls."""

    database: Database
    objects: images.Objects
    links: ImageLinks
    gate: DecoderGate
    feed: StatisticsFeed
    label_streams: StreamGate
    chance: random.Random
    # Told who wrote how many annotations: person or machine.
    count: Callable[[str, int], None]

    def carry_out(self, work: Callable[[Session], _Found]) -> _Found:
        """One call, one transaction."""
        return carry_out(self.database, work)


def _caller(context: grpc.ServicerContext) -> Caller:
    return wire.caller_of(identity_of(context))


class ProjectServicer(projects_pb2_grpc.ProjectServiceServicer):
    """Projects."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def CreateProject(self, request: prj.CreateProjectRequest, context: grpc.ServicerContext) -> prj.CreateProjectResponse:
        caller, settings = _caller(context), wire.new_project(request)
        made = self._parts.carry_out(lambda session: projects.create_project(session, caller, UUID(request.request_id), settings))
        return prj.CreateProjectResponse(project=wire.project_message(made))

    def GetProject(self, request: prj.GetProjectRequest, context: grpc.ServicerContext) -> prj.GetProjectResponse:
        caller = _caller(context)
        found = self._parts.carry_out(lambda session: projects.get_project(session, caller, UUID(request.project_id)))
        return prj.GetProjectResponse(project=wire.project_message(found))

    def ListProjects(self, request: prj.ListProjectsRequest, context: grpc.ServicerContext) -> prj.ListProjectsResponse:
        caller = _caller(context)
        page = self._parts.carry_out(lambda session: projects.list_projects(session, caller, request.page_size, request.page_token))
        return prj.ListProjectsResponse(projects=map(wire.project_message, page.items), next_page_token=page.next_token)

    def UpdateProject(self, request: prj.UpdateProjectRequest, context: grpc.ServicerContext) -> prj.UpdateProjectResponse:
        caller, (settings, fields) = _caller(context), wire.changed_project(request)
        project_id = UUID(request.project_id)
        changed = self._parts.carry_out(
            lambda session: projects.update_project(session, caller, project_id, settings, fields, request.etag)
        )
        return prj.UpdateProjectResponse(project=wire.project_message(changed))


class ImageServicer(images_pb2_grpc.ImageServiceServicer):
    """Images and their order."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def AddImages(self, request: img.AddImagesRequest, context: grpc.ServicerContext) -> img.AddImagesResponse:
        parts, project_id = self._parts, UUID(request.project_id)
        files = wire.new_images(request.images)
        results = images.add_images(
            parts.database, parts.objects, parts.gate, _caller(context), project_id, files, all_or_nothing=request.all_or_nothing
        )
        return img.AddImagesResponse(results=[wire.add_result_message(result, parts.links) for result in results])

    def FindImages(self, request: img.FindImagesRequest, context: grpc.ServicerContext) -> img.FindImagesResponse:
        caller, project_id = _caller(context), UUID(request.project_id)
        found = self._parts.carry_out(lambda session: images.find_images(session, caller, project_id, request.sha256))
        return img.FindImagesResponse(images=[img.FoundImage(sha256=sha256, image_id=str(image_id)) for sha256, image_id in found])

    def GetImage(self, request: img.GetImageRequest, context: grpc.ServicerContext) -> img.GetImageResponse:
        caller, project_id, image_id = _caller(context), UUID(request.project_id), UUID(request.image_id)
        found = self._parts.carry_out(lambda session: images.get_image(session, caller, project_id, image_id))
        return img.GetImageResponse(image=wire.image_message(found, self._parts.links))

    def ListImages(self, request: img.ListImagesRequest, context: grpc.ServicerContext) -> img.ListImagesResponse:
        caller, project_id = _caller(context), UUID(request.project_id)
        page = self._parts.carry_out(
            lambda session: images.list_images(
                session, caller, project_id, request.page_size, request.page_token, awaiting=request.awaiting
            )
        )
        messages = [wire.image_message(image, self._parts.links) for image in page.items]
        return img.ListImagesResponse(images=messages, next_page_token=page.next_token)

    def SetPriorities(self, request: img.SetPrioritiesRequest, context: grpc.ServicerContext) -> img.SetPrioritiesResponse:
        caller, project_id = _caller(context), UUID(request.project_id)
        wanted = wire.image_priorities(request.priorities)
        count = self._parts.carry_out(lambda session: priorities.set_priorities(session, caller, project_id, wanted))
        return img.SetPrioritiesResponse(set_count=count)

    def StreamPriorities(
        self, request_iterator: Iterator[img.StreamPrioritiesRequest], context: grpc.ServicerContext
    ) -> img.StreamPrioritiesResponse:
        caller = _caller(context)
        project_id: UUID | None = None
        count = 0
        for message in request_iterator:
            project_id = wire.streamed_project(message.project_id, project_id)
            count += self._set(caller, project_id, wire.image_priorities(message.priorities))
        return img.StreamPrioritiesResponse(set_count=count)

    def _set(self, caller: Caller, project_id: UUID, wanted: list[priorities.ImagePriority]) -> int:
        return self._parts.carry_out(lambda session: priorities.set_priorities(session, caller, project_id, wanted))


class AnnotationServicer(annotations_pb2_grpc.AnnotationServiceServicer):
    """The labeling loop and what it leaves."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def LeaseImage(self, request: ann.LeaseImageRequest, context: grpc.ServicerContext) -> ann.LeaseImageResponse:
        parts, caller = self._parts, _caller(context)
        asker = wire.asker_of(caller, request.project_id, request.client_id, request.held_lease_ids, request_id=request.request_id)
        found = parts.carry_out(lambda session: labeling.lease_image(session, caller, asker, parts.chance))
        return ann.LeaseImageResponse(next=wire.next_message(found, parts.links))

    def RenewLeases(self, request: ann.RenewLeasesRequest, context: grpc.ServicerContext) -> ann.RenewLeasesResponse:
        caller, project_id, lease_ids = _caller(context), UUID(request.project_id), [UUID(lease_id) for lease_id in request.lease_ids]
        renewed = self._parts.carry_out(lambda session: leases.renew(session, caller, project_id, lease_ids))
        return ann.RenewLeasesResponse(leases=[wire.renewed_message(lease_id, expires_at) for lease_id, expires_at in renewed])

    def ReleaseLeases(self, request: ann.ReleaseLeasesRequest, context: grpc.ServicerContext) -> ann.ReleaseLeasesResponse:
        caller, project_id, lease_ids = _caller(context), UUID(request.project_id), [UUID(lease_id) for lease_id in request.lease_ids]
        count = self._parts.carry_out(lambda session: leases.release(session, caller, project_id, lease_ids))
        return ann.ReleaseLeasesResponse(released_count=count)

    def SubmitAnnotation(self, request: ann.SubmitAnnotationRequest, context: grpc.ServicerContext) -> ann.SubmitAnnotationResponse:
        parts, caller = self._parts, _caller(context)
        asker = wire.asker_of(caller, request.project_id, request.client_id, request.held_lease_ids)
        submission = wire.submission_of(request)
        submitted = parts.carry_out(lambda session: labeling.submit(session, caller, asker, submission, parts.chance))
        if not submitted.again:
            parts.count("person", 1)
        return wire.submitted_message(submitted, parts.links)

    def SkipImage(self, request: ann.SkipImageRequest, context: grpc.ServicerContext) -> ann.SkipImageResponse:
        parts, caller = self._parts, _caller(context)
        asker = wire.asker_of(caller, request.project_id, request.client_id, request.held_lease_ids)
        request_id, lease_id = UUID(request.request_id), UUID(request.lease_id)
        found = parts.carry_out(
            lambda session: labeling.skip(session, caller, asker, request_id, lease_id, lease_next=request.lease_next, chance=parts.chance)
        )
        return ann.SkipImageResponse(next=wire.next_message(found, parts.links))

    def UndoAnnotation(self, request: ann.UndoAnnotationRequest, context: grpc.ServicerContext) -> ann.UndoAnnotationResponse:
        caller = _caller(context)
        asker = wire.asker_of(caller, request.project_id, request.client_id)
        undone = self._parts.carry_out(lambda session: undo.undo(session, caller, asker, UUID(request.request_id)))
        return ann.UndoAnnotationResponse(lease=wire.lease_message(undone.lease, self._parts.links), labels_given=undone.labels_given)

    def PutMachineAnnotations(
        self, request: ann.PutMachineAnnotationsRequest, context: grpc.ServicerContext
    ) -> ann.PutMachineAnnotationsResponse:
        caller, project_id, request_id = _caller(context), UUID(request.project_id), UUID(request.request_id)
        model, version = wire.plain(request.model, "model"), wire.plain(request.model_version, "model_version")
        labels = wire.machine_labels(request.annotations)
        ids = self._parts.carry_out(
            lambda session: put_machine_annotations(session, caller, project_id, request_id, model, version, labels)
        )
        self._parts.count("machine", len(ids))
        return ann.PutMachineAnnotationsResponse(annotation_ids=map(str, ids))

    def ListAnnotations(self, request: ann.ListAnnotationsRequest, context: grpc.ServicerContext) -> ann.ListAnnotationsResponse:
        caller = _caller(context)
        page = self._parts.carry_out(
            lambda session: list_annotations(
                session,
                caller,
                UUID(request.project_id),
                request.page_size,
                request.page_token,
                image_id=UUID(request.image_id) if request.image_id else None,
                author_kind=request.author_kind,
                show_withdrawn=request.show_withdrawn,
            )
        )
        return ann.ListAnnotationsResponse(annotations=map(wire.annotation_message, page.items), next_page_token=page.next_token)

    def StreamLabels(self, request: ann.StreamLabelsRequest, context: grpc.ServicerContext) -> Iterator[ann.StreamLabelsResponse]:
        parts, caller, project_id = self._parts, _caller(context), UUID(request.project_id)
        ends_at = stream_end(identity_of(context).expires_at, context.time_remaining())
        with parts.label_streams.enter():
            reached = parts.carry_out(lambda session: start_of_labels(session, caller, project_id, request.cursor))
            while time.monotonic() < ends_at:
                part = parts.carry_out(partial(next_labels, project_id=project_id, after=reached))
                reached = part.reached
                yield wire.labels_message(part, parts.links)
                if part.is_last:
                    return
        raise renew()


class StatisticsServicer(statistics_pb2_grpc.StatisticsServiceServicer):
    """How far one has come."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def GetStatistics(self, request: stat.GetStatisticsRequest, context: grpc.ServicerContext) -> stat.GetStatisticsResponse:
        caller, project_id = _caller(context), UUID(request.project_id)
        own, project = self._parts.carry_out(lambda session: statistics.visible_statistics(session, caller, project_id))
        return stat.GetStatisticsResponse(own=wire.annotator_message(own), project=wire.statistics_message(project))

    def ListAnnotatorStatistics(
        self, request: stat.ListAnnotatorStatisticsRequest, context: grpc.ServicerContext
    ) -> stat.ListAnnotatorStatisticsResponse:
        caller, project_id = _caller(context), UUID(request.project_id)
        page = self._parts.carry_out(
            lambda session: statistics.list_annotator_statistics(session, caller, project_id, request.page_size, request.page_token)
        )
        messages = map(wire.annotator_message, page.items)
        return stat.ListAnnotatorStatisticsResponse(annotators=messages, next_page_token=page.next_token)

    def WatchStatistics(
        self, request: stat.WatchStatisticsRequest, context: grpc.ServicerContext
    ) -> Iterator[stat.WatchStatisticsResponse]:
        identity = identity_of(context)
        caller, project_id, cursor = _caller(context), UUID(request.project_id), request.cursor
        self._parts.carry_out(lambda session: require_visible(session, caller, project_id))
        gone = threading.Event()
        context.add_callback(gone.set)
        ends_at = stream_end(identity.expires_at, context.time_remaining())
        with self._parts.feed.open(project_id) as watch:
            while time.monotonic() < ends_at:
                found = watch.latest()
                if found.cursor != cursor:
                    cursor = found.cursor
                    yield stat.WatchStatisticsResponse(project=wire.statistics_message(found), cursor=cursor)
                if gone.wait(min(INTERVAL_S, max(0.0, ends_at - time.monotonic()))):
                    return
        raise renew()
