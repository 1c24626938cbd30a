"""The part of labeling that an import speaks to, in memory."""

from __future__ import annotations

import hashlib
import threading

import grpc
from labelmesh.labeling.v1 import images_pb2, projects_pb2

from tests.unit.client.server import Behaviour, ScriptedServer, Serve


class Shelf:
    """Remembers contents as the labeling service does; what begins with `bad` is refused."""

    def __init__(self) -> None:
        self.contents: dict[str, str] = {}
        self.batches: list[images_pb2.AddImagesRequest] = []
        self.projects: list[projects_pb2.Project] = []
        self._lock = threading.Lock()

    def find(self, request: images_pb2.FindImagesRequest, _: grpc.ServicerContext) -> images_pb2.FindImagesResponse:
        with self._lock:
            found = [images_pb2.FoundImage(sha256=one, image_id=self.contents[one]) for one in request.sha256 if one in self.contents]
        return images_pb2.FindImagesResponse(images=found)

    def add(self, request: images_pb2.AddImagesRequest, _: grpc.ServicerContext) -> images_pb2.AddImagesResponse:
        with self._lock:
            self.batches.append(request)
            return images_pb2.AddImagesResponse(results=[self._add(image) for image in request.images])

    def _add(self, image: images_pb2.NewImage) -> images_pb2.AddImageResult:
        if image.content.startswith(b"bad"):
            return images_pb2.AddImageResult(
                name=image.name, outcome=images_pb2.AddImageResult.OUTCOME_REFUSED, problem="it is no image", problem_reason="NOT_AN_IMAGE"
            )
        sha256 = hashlib.sha256(image.content).hexdigest()
        is_new = sha256 not in self.contents
        image_id = self.contents.setdefault(sha256, f"id-{len(self.contents)}")
        outcome = images_pb2.AddImageResult.OUTCOME_ADDED if is_new else images_pb2.AddImageResult.OUTCOME_DUPLICATE
        return images_pb2.AddImageResult(name=image.name, outcome=outcome, image=images_pb2.Image(id=image_id))

    def serve(self, serve: Serve) -> ScriptedServer:
        return serve(self.behaviours())

    def behaviours(self) -> dict[str, Behaviour]:
        return {
            "ImageService.FindImages": self.find,
            "ImageService.AddImages": self.add,
            "ProjectService.ListProjects": self.list_projects,
            "ProjectService.CreateProject": self.create_project,
            "ProjectService.UpdateProject": self.update_project,
        }

    def list_projects(self, _: object, __: grpc.ServicerContext) -> projects_pb2.ListProjectsResponse:
        return projects_pb2.ListProjectsResponse(projects=self.projects)

    def update_project(self, request: projects_pb2.UpdateProjectRequest, _: grpc.ServicerContext) -> projects_pb2.UpdateProjectResponse:
        project = next(one for one in self.projects if one.id == request.project_id)
        assert request.update_mask.paths == ["suggestion_model"]
        project.suggestion_model = request.suggestion_model
        return projects_pb2.UpdateProjectResponse(project=project)

    def create_project(self, request: projects_pb2.CreateProjectRequest, _: grpc.ServicerContext) -> projects_pb2.CreateProjectResponse:
        project = projects_pb2.Project(id=f"project-{len(self.projects)}", display_name=request.display_name, classes=request.classes)
        self.projects.append(project)
        return projects_pb2.CreateProjectResponse(project=project)
