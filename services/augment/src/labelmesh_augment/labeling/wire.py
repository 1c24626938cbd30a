"""Calls to the labeling service, in the name of whoever is calling this one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from labelmesh.labeling.v1 import images_pb2 as img
from labelmesh.labeling.v1 import images_pb2_grpc, projects_pb2_grpc
from labelmesh.labeling.v1 import projects_pb2 as prj

SERVICES = [prj.DESCRIPTOR.services_by_name["ProjectService"], img.DESCRIPTOR.services_by_name["ImageService"]]


class Labeling:
    """The labeling service behind a channel of the chassis. Failures are those that labeling raised."""

    def __init__(self, channel: Any) -> None:
        self._images = images_pb2_grpc.ImageServiceStub(channel)
        self._projects = projects_pb2_grpc.ProjectServiceStub(channel)

    def require_readable(self, project_id: UUID) -> None:
        """NotFound (PROJECT_NOT_FOUND) unless the project is there and for the caller's eyes."""
        self._projects.GetProject(prj.GetProjectRequest(project_id=str(project_id)))

    def address(self, project_id: UUID, image_id: UUID) -> str:
        """Where an image's file can be read for some minutes."""
        return str(self._images.GetImage(img.GetImageRequest(project_id=str(project_id), image_id=str(image_id))).image.url)
