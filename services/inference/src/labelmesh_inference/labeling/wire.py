"""Calls to the labeling service, in the name of whoever is calling this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from labelmesh.labeling.v1 import annotations_pb2 as ann
from labelmesh.labeling.v1 import annotations_pb2_grpc, images_pb2_grpc, projects_pb2_grpc
from labelmesh.labeling.v1 import images_pb2 as img
from labelmesh.labeling.v1 import projects_pb2 as prj

from labelmesh_inference.labeling.images import AwaitingImage, ImagePage, Suggestion

SERVICES = [
    prj.DESCRIPTOR.services_by_name["ProjectService"],
    img.DESCRIPTOR.services_by_name["ImageService"],
    ann.DESCRIPTOR.services_by_name["AnnotationService"],
]


_MOST_PAGES = 20


class Labeling:
    """The labeling service behind a channel of the chassis. Failures are those that labeling raised."""

    def __init__(self, channel: Any) -> None:
        self._images = images_pb2_grpc.ImageServiceStub(channel)
        self._annotations = annotations_pb2_grpc.AnnotationServiceStub(channel)
        self._projects = projects_pb2_grpc.ProjectServiceStub(channel)

    def address(self, project_id: UUID, image_id: UUID) -> str:
        """Where an image's file can be read for some minutes."""
        reply = self._images.GetImage(img.GetImageRequest(project_id=str(project_id), image_id=str(image_id)))
        return str(reply.image.url)

    def classes(self, project_id: UUID) -> dict[str, str]:
        """A project's classes: the id of each by its id and, where no id is the same, by its display name."""
        project = self._projects.GetProject(prj.GetProjectRequest(project_id=str(project_id))).project
        named = {found.display_name: found.id for found in project.classes if found.display_name}
        return {**named, **{found.id: found.id for found in project.classes}}

    def awaiting(self, project_id: UUID, size: int, token: str) -> ImagePage:
        """Images that await labels, in the order they came."""
        request = img.ListImagesRequest(project_id=str(project_id), page_size=size, page_token=token, awaiting=True)
        reply = self._images.ListImages(request)
        return ImagePage(tuple(AwaitingImage(UUID(image.id), image.url, image.size_bytes) for image in reply.images), reply.next_page_token)

    def awaiting_count(self, project_id: UUID) -> int:
        """How many images await labels."""
        project = self._projects.GetProject(prj.GetProjectRequest(project_id=str(project_id))).project
        return int(project.images_count - project.completed_count)

    def suggested(self, project_id: UUID, image_id: UUID, model: str, version: int) -> bool:
        """Whether this version's label of an image is there already."""
        token = ""
        for _ in range(_MOST_PAGES):
            request = ann.ListAnnotationsRequest(
                project_id=str(project_id), image_id=str(image_id), author_kind=ann.AUTHOR_KIND_MACHINE, page_size=1000, page_token=token
            )
            reply = self._annotations.ListAnnotations(request)
            if any(found.model == model and found.model_version == str(version) for found in reply.annotations):
                return True
            token = reply.next_page_token
            if not token:
                return False
        return False

    def suggest(self, project_id: UUID, request_id: UUID, model: str, version: int, suggestions: Sequence[Suggestion]) -> None:
        """Writes a version's labels beside those of people, once for each request_id."""
        labels = [ann.MachineAnnotation(image_id=str(found.image_id), class_id=found.class_id, score=found.score) for found in suggestions]
        self._annotations.PutMachineAnnotations(
            ann.PutMachineAnnotationsRequest(
                request_id=str(request_id), project_id=str(project_id), model=model, model_version=str(version), annotations=labels
            )
        )

    def prioritize(self, project_id: UUID, priorities: Mapping[UUID, float]) -> None:
        """Sets the priorities of images."""
        wanted = [img.ImagePriority(image_id=str(image_id), priority=priority) for image_id, priority in priorities.items()]
        self._images.SetPriorities(img.SetPrioritiesRequest(project_id=str(project_id), priorities=wanted))
