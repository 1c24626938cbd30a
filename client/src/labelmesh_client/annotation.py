"""Annotations: reading those that were made, and putting those of a model beside them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from labelmesh.labeling.v1 import annotations_pb2

from labelmesh_client.batches import in_batches
from labelmesh_client.services import Services
from labelmesh_client.timestamps import moment

_PAGE = 1000
_MACHINE_BATCH = 1000


class AuthorKind(StrEnum):
    """Who made an annotation."""

    HUMAN = "human"
    MACHINE = "machine"


class Verdict(StrEnum):
    """What came of a machine's annotation."""

    ACCEPTED = "accepted"
    CORRECTED = "corrected"
    REJECTED = "rejected"


_KINDS = {AuthorKind.HUMAN: annotations_pb2.AUTHOR_KIND_HUMAN, AuthorKind.MACHINE: annotations_pb2.AUTHOR_KIND_MACHINE}
_KINDS_BACK = {value: kind for kind, value in _KINDS.items()}
_VERDICTS = {
    annotations_pb2.VERDICT_ACCEPTED: Verdict.ACCEPTED,
    annotations_pb2.VERDICT_CORRECTED: Verdict.CORRECTED,
    annotations_pb2.VERDICT_REJECTED: Verdict.REJECTED,
}


@dataclass(frozen=True)
class Annotation:
    """One label on one image.

    `score` is 0 to 1 and None for people, as are `model` and `model_version`; `schema_version` is the ontology it was made under;
    `repeat_of` is the annotation of the first time when a person was shown an image again; `lead_time_s` runs from being handed out to
    being submitted, in seconds; `withdraw_time` is set when it was undone.
    """

    id: str
    project_id: str
    image_id: str
    class_id: str
    author_kind: AuthorKind | None
    author_id: str
    model: str | None
    model_version: str | None
    score: float | None
    schema_version: int
    repeat_of: str | None
    lead_time_s: float | None
    create_time: datetime | None
    withdraw_time: datetime | None
    verdict: Verdict | None

    @staticmethod
    def from_wire(message: annotations_pb2.Annotation) -> Annotation:
        is_machine = message.author_kind == annotations_pb2.AUTHOR_KIND_MACHINE
        return Annotation(
            id=message.id,
            project_id=message.project_id,
            image_id=message.image_id,
            class_id=message.class_id,
            author_kind=_KINDS_BACK.get(message.author_kind),
            author_id=message.author_id,
            model=message.model or None,
            model_version=message.model_version or None,
            score=message.score if is_machine else None,
            schema_version=message.schema_version,
            repeat_of=message.repeat_of or None,
            lead_time_s=message.lead_time.ToTimedelta().total_seconds() if message.HasField("lead_time") else None,
            create_time=moment(message, "create_time"),
            withdraw_time=moment(message, "withdraw_time"),
            verdict=_VERDICTS.get(message.verdict),
        )


@dataclass(frozen=True)
class MachineLabel:
    """A model's opinion of one image: a class of the project and a score from 0 to 1."""

    image_id: str
    class_id: str
    score: float


def list_annotations(
    services: Services, project_id: str, *, image_id: str = "", author_kind: AuthorKind | None = None, withdrawn: bool = False
) -> Iterator[Annotation]:
    """Annotations in the order they were made, page by page as the caller goes on; undone ones only with `withdrawn`."""
    token = ""
    while True:
        request = annotations_pb2.ListAnnotationsRequest(
            project_id=project_id,
            page_size=_PAGE,
            page_token=token,
            image_id=image_id,
            author_kind=_KINDS[author_kind] if author_kind else annotations_pb2.AUTHOR_KIND_UNSPECIFIED,
            show_withdrawn=withdrawn,
        )
        page = services.annotations.ListAnnotations(request)
        yield from map(Annotation.from_wire, page.annotations)
        token = page.next_page_token
        if not token:
            return


def put_machine_labels(services: Services, project_id: str, labels: Iterable[MachineLabel], *, model: str, model_version: str) -> int:
    """Puts a model's labels beside those of people, a thousand to a call. Returns how many.

    Each call is all or nothing and is made once however often it must be sent; when a later one fails, the earlier ones stay.
    Raises InvalidArgument for an unknown class or a score outside 0 to 1, NotFound for an image the project does not have.
    """
    count = 0
    for batch in in_batches(labels, _MACHINE_BATCH):
        messages = [annotations_pb2.MachineAnnotation(image_id=one.image_id, class_id=one.class_id, score=one.score) for one in batch]
        request = annotations_pb2.PutMachineAnnotationsRequest(
            request_id=str(uuid.uuid4()), project_id=project_id, model=model, model_version=model_version, annotations=messages
        )
        count += len(services.annotations.PutMachineAnnotations(request).annotation_ids)
    return count
