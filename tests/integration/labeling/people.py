"""People and programs who call labeling, with identities as the edge would sign them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import grpc
from cryptography.hazmat.primitives.asymmetric import ec
from labelmesh.labeling.v1 import (
    annotations_pb2 as ann,
)
from labelmesh.labeling.v1 import (
    annotations_pb2_grpc,
    images_pb2_grpc,
    projects_pb2_grpc,
    statistics_pb2_grpc,
)
from labelmesh.labeling.v1 import images_pb2 as img
from labelmesh.labeling.v1 import projects_pb2 as prj
from labelmesh.labeling.v1 import statistics_pb2 as stat
from labelmesh_chassis.channels import open_channel
from labelmesh_chassis.identity import IDENTITY_HEADER, Identity, Role, issue_identity

KEY_ID = "test"
SERVICES = [
    prj.DESCRIPTOR.services_by_name["ProjectService"],
    img.DESCRIPTOR.services_by_name["ImageService"],
    ann.DESCRIPTOR.services_by_name["AnnotationService"],
    stat.DESCRIPTOR.services_by_name["StatisticsService"],
]


def new_id() -> str:
    """A fresh uuid."""
    return str(uuid.uuid4())


class Signer:
    """Stands for auth: signs who is calling."""

    def __init__(self) -> None:
        self.private_key = ec.generate_private_key(ec.SECP256R1())

    def public_key(self, key_id: str) -> ec.EllipticCurvePublicKey | None:
        """The key source of a service that believes this signer."""
        return self.private_key.public_key() if key_id == KEY_ID else None

    def sign(self, identity: Identity, *, now: float | None = None, lifetime_s: int = 60) -> str:
        """A statement valid for a minute."""
        return issue_identity(
            identity, key_id=KEY_ID, private_key=self.private_key, now=time.time() if now is None else now, lifetime_s=lifetime_s
        )


class Person:
    """Somebody with a channel to labeling. Failures raise MeshError as the service raised it."""

    def __init__(self, channel: grpc.Channel, signer: Signer, identity: Identity) -> None:
        self.identity = identity
        self.id = identity.user_id
        self.projects = projects_pb2_grpc.ProjectServiceStub(channel)
        self.images = images_pb2_grpc.ImageServiceStub(channel)
        self.annotations = annotations_pb2_grpc.AnnotationServiceStub(channel)
        self.statistics = statistics_pb2_grpc.StatisticsServiceStub(channel)
        self._signer = signer
        self._signed_at = 0.0
        self._token = ""

    @property
    def metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """The header that the edge adds."""
        now = time.time()
        if now - self._signed_at > 20:
            self._token, self._signed_at = self._signer.sign(self.identity), now
        return ((IDENTITY_HEADER, self._token),)

    # --- the labeling loop ---

    def next(self, project_id: str, *, request_id: str | None = None, client_id: str = "", held: Iterable[str] = ()) -> ann.Next:
        request = ann.LeaseImageRequest(
            request_id=request_id or new_id(), project_id=project_id, client_id=client_id, held_lease_ids=list(held)
        )
        answer: ann.Next = self.annotations.LeaseImage(request, metadata=self.metadata).next
        return answer

    def lease(self, project_id: str, **more: Any) -> ann.Lease:
        """The next image; fails when there is none."""
        found = self.next(project_id, **more)
        assert found.WhichOneof("next") == "lease", found
        return found.lease

    def reason(self, project_id: str, **more: Any) -> str:
        """Why there is no next image; fails when there is one."""
        found = self.next(project_id, **more)
        assert found.WhichOneof("next") == "nothing", found
        return ann.NothingReason.Name(found.nothing.reason).removeprefix("NOTHING_REASON_")

    def submit(
        self, lease: ann.Lease, class_id: str = "0", *, request_id: str | None = None, lease_next: bool = False, **more: Any
    ) -> ann.SubmitAnnotationResponse:
        request = ann.SubmitAnnotationRequest(
            request_id=request_id or new_id(),
            project_id=lease.project_id,
            lease_id=lease.id,
            class_id=class_id,
            lease_next=lease_next,
            **more,
        )
        answer: ann.SubmitAnnotationResponse = self.annotations.SubmitAnnotation(request, metadata=self.metadata)
        return answer

    def skip(self, lease: ann.Lease, *, request_id: str | None = None, lease_next: bool = False) -> ann.Next:
        request = ann.SkipImageRequest(
            request_id=request_id or new_id(), project_id=lease.project_id, lease_id=lease.id, lease_next=lease_next
        )
        answer: ann.Next = self.annotations.SkipImage(request, metadata=self.metadata).next
        return answer

    def undo(self, project_id: str, *, request_id: str | None = None) -> ann.UndoAnnotationResponse:
        request = ann.UndoAnnotationRequest(request_id=request_id or new_id(), project_id=project_id)
        answer: ann.UndoAnnotationResponse = self.annotations.UndoAnnotation(request, metadata=self.metadata)
        return answer

    def release(self, *leases: ann.Lease) -> int:
        request = ann.ReleaseLeasesRequest(project_id=leases[0].project_id, lease_ids=[lease.id for lease in leases])
        count: int = self.annotations.ReleaseLeases(request, metadata=self.metadata).released_count
        return count

    def renew(self, *leases: ann.Lease) -> list[ann.RenewedLease]:
        request = ann.RenewLeasesRequest(project_id=leases[0].project_id, lease_ids=[lease.id for lease in leases])
        return list(self.annotations.RenewLeases(request, metadata=self.metadata).leases)

    # --- everything else that many tests do ---

    def create_project(self, classes: int = 10, **more: Any) -> prj.Project:
        request = prj.CreateProjectRequest(
            request_id=new_id(), display_name="Digits", classes=[prj.LabelClass(id=str(index)) for index in range(classes)], **more
        )
        project: prj.Project = self.projects.CreateProject(request, metadata=self.metadata).project
        return project

    def project(self, project_id: str) -> prj.Project:
        found: prj.Project = self.projects.GetProject(prj.GetProjectRequest(project_id=project_id), metadata=self.metadata).project
        return found

    def add(self, project_id: str, *contents: bytes, all_or_nothing: bool = False) -> list[img.AddImageResult]:
        files = [img.NewImage(name=f"file {index}", content=content) for index, content in enumerate(contents)]
        request = img.AddImagesRequest(project_id=project_id, images=files, all_or_nothing=all_or_nothing)
        return list(self.images.AddImages(request, metadata=self.metadata, timeout=60).results)

    def prioritize(self, project_id: str, priorities: dict[str, float]) -> int:
        wanted = [img.ImagePriority(image_id=image_id, priority=priority) for image_id, priority in priorities.items()]
        request = img.SetPrioritiesRequest(project_id=project_id, priorities=wanted)
        count: int = self.images.SetPriorities(request, metadata=self.metadata).set_count
        return count

    def numbers(self, project_id: str) -> stat.GetStatisticsResponse:
        answer: stat.GetStatisticsResponse = self.statistics.GetStatistics(
            stat.GetStatisticsRequest(project_id=project_id), metadata=self.metadata
        )
        return answer

    def labels(self, project_id: str, **more: Any) -> list[ann.Annotation]:
        """All annotations, page by page."""
        found: list[ann.Annotation] = []
        token = ""
        for _ in range(1000):
            request = ann.ListAnnotationsRequest(project_id=project_id, page_size=1000, page_token=token, **more)
            answer = self.annotations.ListAnnotations(request, metadata=self.metadata)
            found += answer.annotations
            token = answer.next_page_token
            if not token:
                return found
        raise AssertionError("the list has no end")


class Door:
    """A channel to one service, and people who come through it."""

    def __init__(self, target: str, signer: Signer) -> None:
        self.channel = open_channel(target, SERVICES)
        self._signer = signer

    def person(
        self,
        role: Role = Role.ANNOTATOR,
        *,
        user_id: str | None = None,
        key: bool = False,
        projects: Sequence[str] = (),
        all_projects: bool | None = None,
    ) -> Person:
        """Somebody new, or the account `user_id`; with `key`, a program of theirs."""
        user_id = user_id or new_id()
        identity = Identity(
            subject=f"key:{new_id()}" if key else f"user:{user_id}",
            user_id=user_id,
            role=role,
            session_id=None if key else new_id(),
            project_ids=frozenset(projects),
            all_projects=role.includes(Role.MANAGER) and not projects if all_projects is None else all_projects,
        )
        return Person(self.channel, self._signer, identity)

    def close(self) -> None:
        self.channel.close()
