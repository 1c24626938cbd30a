"""People and programs who call augmentation, with identities as the edge would sign them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import grpc
from google.protobuf.json_format import ParseDict
from labelmesh.augment.v1 import augmentations_pb2 as aug
from labelmesh.augment.v1 import (
    augmentations_pb2_grpc,
    classic_pb2,
    classic_pb2_grpc,
    pipelines_pb2_grpc,
)
from labelmesh.augment.v1 import pipelines_pb2 as pip
from labelmesh_chassis.channels import open_channel
from labelmesh_chassis.identity import IDENTITY_HEADER, Identity, Role

from tests.support.identities import Signer

SERVICES = [
    aug.DESCRIPTOR.services_by_name["AugmentationService"],
    pip.DESCRIPTOR.services_by_name["PipelineService"],
    classic_pb2.DESCRIPTOR.services_by_name["ClassicService"],
]


def new_id() -> str:
    """A fresh uuid."""
    return str(uuid.uuid4())


def pipeline(*steps: dict[str, Any] | str, **more: Any) -> pip.Pipeline:
    """A pipeline from its JSON; a step that is only a name has its defaults."""
    named = [{"transform": step} if isinstance(step, str) else step for step in steps]
    return ParseDict({"steps": named, **more}, pip.Pipeline())


def sample(image: bytes, labels: Any = None) -> aug.Sample:
    """A picture that is sent along."""
    return aug.Sample(source=aug.Source(image=image), labels=labels)


class Person:
    """Somebody with a channel to augmentation. Failures raise MeshError as the service raised it."""

    def __init__(self, channel: grpc.Channel, signer: Signer, identity: Identity) -> None:
        self.identity = identity
        self.id = identity.user_id
        self.pipelines = pipelines_pb2_grpc.PipelineServiceStub(channel)
        self.augmentations = augmentations_pb2_grpc.AugmentationServiceStub(channel)
        self.classics = classic_pb2_grpc.ClassicServiceStub(channel)
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

    # --- augmenting ---

    def apply(self, image: bytes | aug.Sample, how: pip.Pipeline | aug.Recipe | aug.PipelineReference, **more: Any) -> aug.Augmented:
        """One result."""
        return self.applied(image, how, **more).augmented

    def applied(
        self, image: bytes | aug.Sample, how: pip.Pipeline | aug.Recipe | aug.PipelineReference, timeout: float = 60, **more: Any
    ) -> aug.ApplyResponse:
        request = aug.ApplyRequest(sample=sample(image) if isinstance(image, bytes) else image, **_how(how), **more)
        answer: aug.ApplyResponse = self.augmentations.Apply(request, metadata=self.metadata, timeout=timeout)
        return answer

    def preview(
        self, image: bytes | aug.Sample, how: pip.Pipeline | aug.PipelineReference | None = None, timeout: float = 60, **more: Any
    ) -> aug.PreviewResponse:
        request = aug.PreviewRequest(sample=sample(image) if isinstance(image, bytes) else image, **_how(how), **more)
        answer: aug.PreviewResponse = self.augmentations.Preview(request, metadata=self.metadata, timeout=timeout)
        return answer

    def stream(
        self,
        items: Iterable[aug.StreamItem | bytes],
        how: pip.Pipeline | aug.PipelineReference,
        *,
        seed: int = 0,
        a_message: int = 1,
        timeout: float = 120,
    ) -> Iterator[aug.StreamResult]:
        """Results as they come; so many items go into a message."""

        def messages() -> Iterator[aug.ApplyStreamRequest]:
            message = aug.ApplyStreamRequest(seed=seed, **_how(how))
            for item in items:
                message.items.append(aug.StreamItem(sample=sample(item)) if isinstance(item, bytes) else item)
                if len(message.items) == a_message:
                    yield message
                    message = aug.ApplyStreamRequest()
            if message.items:
                yield message

        for answer in self.augmentations.ApplyStream(messages(), metadata=self.metadata, timeout=timeout):
            yield from answer.results

    def classic(self, url: str, **more: Any) -> tuple[Any, dict[str, str]]:
        """The answer, and its initial metadata."""
        request = classic_pb2.ClassicAugmentRequest(url=url, **more)
        answer, call = self.classics.ClassicAugment.with_call(request, metadata=self.metadata, timeout=60)
        return answer, {key: value for key, value in call.initial_metadata() if isinstance(value, str)}

    # --- pipelines ---

    def save(
        self, project_id: str, name: str, definition: pip.Pipeline, *, request_id: str | None = None, **more: Any
    ) -> pip.SavedPipeline:
        request = pip.SavePipelineRequest(request_id=request_id or new_id(), project_id=project_id, name=name, pipeline=definition, **more)
        answer: pip.SavedPipeline = self.pipelines.SavePipeline(request, metadata=self.metadata, timeout=60).pipeline
        return answer

    def saved(self, project_id: str, name: str, version: int = 0) -> pip.SavedPipeline:
        request = pip.GetPipelineRequest(project_id=project_id, name=name, version=version)
        answer: pip.SavedPipeline = self.pipelines.GetPipeline(request, metadata=self.metadata, timeout=60).pipeline
        return answer

    def delete(self, project_id: str, name: str, *, request_id: str = "") -> None:
        request = pip.DeletePipelineRequest(project_id=project_id, name=name, request_id=request_id)
        self.pipelines.DeletePipeline(request, metadata=self.metadata, timeout=60)

    def listed(self, project_id: str, *, name: str = "", page_size: int = 0) -> list[pip.SavedPipeline]:
        """The whole list, page by page."""
        found: list[pip.SavedPipeline] = []
        token = ""
        for _ in range(1100):
            request = pip.ListPipelinesRequest(project_id=project_id, name=name, page_size=page_size, page_token=token)
            answer = self.pipelines.ListPipelines(request, metadata=self.metadata, timeout=60)
            found += answer.pipelines
            token = answer.next_page_token
            if not token:
                return found
        raise AssertionError("the list has no end")

    def validate(self, definition: pip.Pipeline) -> pip.ValidatePipelineResponse:
        request = pip.ValidatePipelineRequest(pipeline=definition)
        answer: pip.ValidatePipelineResponse = self.pipelines.ValidatePipeline(request, metadata=self.metadata, timeout=60)
        return answer


def _how(how: pip.Pipeline | aug.Recipe | aug.PipelineReference | None) -> dict[str, Any]:
    match how:
        case pip.Pipeline():
            return {"pipeline": how}
        case aug.Recipe():
            return {"recipe": how}
        case aug.PipelineReference():
            return {"saved": how}
        case _:
            return {}


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
        scopes: Iterable[str] | None = None,
        projects: Sequence[str] = (),
        all_projects: bool | None = None,
    ) -> Person:
        """Somebody new, or the account `user_id`; with `scopes`, a program of theirs whose key has these."""
        user_id = user_id or new_id()
        identity = Identity(
            subject=f"user:{user_id}" if scopes is None else f"key:{new_id()}",
            user_id=user_id,
            role=role,
            session_id=new_id() if scopes is None else None,
            scopes=frozenset(scopes or ()),
            project_ids=frozenset(projects),
            all_projects=role.includes(Role.MANAGER) and not projects if all_projects is None else all_projects,
        )
        return Person(self.channel, self._signer, identity)

    def close(self) -> None:
        self.channel.close()
