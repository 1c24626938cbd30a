"""The contract's messages to values and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from labelmesh.labeling.v1 import annotations_pb2, images_pb2, projects_pb2, statistics_pb2
from labelmesh_chassis.errors import InvalidArgument
from labelmesh_chassis.identity import Identity, Role

from labelmesh_labeling.access import Caller
from labelmesh_labeling.annotations import Annotation, MachineLabel
from labelmesh_labeling.consensus import LabelPart
from labelmesh_labeling.images import AddResult, NewImage, ProjectImage
from labelmesh_labeling.labeling import Submission, Submitted
from labelmesh_labeling.leases import Lease, Next, Nothing
from labelmesh_labeling.links import ImageLinks
from labelmesh_labeling.ontology import LabelClass
from labelmesh_labeling.priorities import ImagePriority
from labelmesh_labeling.projects import (
    DEFAULT_LEASE_SECONDS,
    DEFAULT_REPEAT_RATE,
    FIELDS,
    Project,
    ProjectAccess,
    ProjectSettings,
    ProjectState,
)
from labelmesh_labeling.queue import Asker
from labelmesh_labeling.statistics import AnnotatorStatistics, ProjectStatistics


def caller_of(identity: Identity) -> Caller:
    """Labeling's view of who is calling."""
    return Caller(
        user_id=UUID(identity.user_id),
        actor_id=UUID(identity.subject.partition(":")[2]),
        is_machine=identity.is_machine,
        is_manager=identity.role.includes(Role.MANAGER),
        session_id=identity.session_id or "",
        project_ids=frozenset(map(UUID, identity.project_ids)),
        all_projects=identity.all_projects,
    )


def plain(value: str, field: str) -> str:
    """The text; InvalidArgument when it holds U+0000, which no database of ours can keep."""
    if "\0" in value:
        raise InvalidArgument("TEXT_INVALID", "the text holds the character U+0000", field=field)
    return value


# --- projects ---


def classes_from(messages: Iterable[projects_pb2.LabelClass]) -> tuple[LabelClass, ...]:
    """A request's classes."""
    return tuple(
        LabelClass(
            message.id,
            plain(message.display_name, f"classes[{index}].display_name"),
            plain(message.hotkey, f"classes[{index}].hotkey"),
            message.color,
        )
        for index, message in enumerate(messages)
    )


def new_project(request: projects_pb2.CreateProjectRequest) -> ProjectSettings:
    """A new project's settings, with the contract's defaults."""
    return ProjectSettings(
        plain(request.display_name, "display_name"),
        plain(request.description, "description"),
        classes_from(request.classes),
        access=ProjectAccess(request.access or ProjectAccess.EVERYONE),
        repeat_rate=request.repeat_rate if request.HasField("repeat_rate") else DEFAULT_REPEAT_RATE,
        lease_seconds=_seconds(request.lease_duration) if request.HasField("lease_duration") else DEFAULT_LEASE_SECONDS,
        suggestion_model=plain(request.suggestion_model, "suggestion_model"),
    )


def changed_project(request: projects_pb2.UpdateProjectRequest) -> tuple[ProjectSettings, list[str]]:
    """An update's settings, of which only the named fields mean anything. `*` names all."""
    paths = list(request.update_mask.paths)
    fields = list(FIELDS) if paths == ["*"] else paths
    for name in ("state", "access"):
        if name in fields and getattr(request, name) == 0:
            raise InvalidArgument("VALUE_MISSING", f"{name} is named in the update_mask and has no value", field=name)
    lease_seconds = _seconds(request.lease_duration)
    if "lease_duration" in fields and not request.HasField("lease_duration"):
        lease_seconds = DEFAULT_LEASE_SECONDS
    settings = ProjectSettings(
        plain(request.display_name, "display_name"),
        plain(request.description, "description"),
        classes_from(request.classes),
        ProjectState(request.state or ProjectState.OPEN),
        ProjectAccess(request.access or ProjectAccess.EVERYONE),
        request.repeat_rate,
        lease_seconds,
        plain(request.suggestion_model, "suggestion_model"),
    )
    return settings, fields


def project_message(project: Project) -> projects_pb2.Project:
    """A project as clients see it."""
    settings = project.settings
    classes = [
        projects_pb2.LabelClass(id=found.id, display_name=found.display_name, hotkey=found.hotkey, color=found.color)
        for found in settings.classes
    ]
    return projects_pb2.Project(
        id=str(project.id),
        display_name=settings.display_name,
        description=settings.description,
        classes=classes,
        schema_version=project.schema_version,
        state=projects_pb2.ProjectState.Value(f"PROJECT_STATE_{settings.state.name}"),
        access=projects_pb2.ProjectAccess.Value(f"PROJECT_ACCESS_{settings.access.name}"),
        repeat_rate=settings.repeat_rate,
        lease_duration=_duration(timedelta(seconds=settings.lease_seconds)),
        create_time=_timestamp(project.created_at),
        etag=project.etag,
        images_count=project.images,
        completed_count=project.images_completed,
        suggestion_model=settings.suggestion_model,
    )


# --- images ---


def new_images(messages: Sequence[images_pb2.NewImage]) -> list[NewImage]:
    """The files of a request."""
    return [
        NewImage(plain(message.name, f"images[{index}].name"), message.content, message.priority) for index, message in enumerate(messages)
    ]


def image_message(image: ProjectImage, links: ImageLinks) -> images_pb2.Image:
    """An image with an address to load it from."""
    return images_pb2.Image(
        id=str(image.id),
        name=image.name,
        sha256=image.sha256,
        width=image.width,
        height=image.height,
        media_type=image.media_type,
        size_bytes=image.size_bytes,
        priority=image.priority,
        completed=image.completed,
        create_time=_timestamp(image.created_at),
        url=links.address(image.sha256, image.media_type),
    )


def add_result_message(result: AddResult, links: ImageLinks) -> images_pb2.AddImageResult:
    """What became of one file."""
    message = images_pb2.AddImageResult(name=result.name, outcome=images_pb2.AddImageResult.Outcome.Value(f"OUTCOME_{result.outcome.name}"))
    if result.image is not None:
        message.image.CopyFrom(image_message(result.image, links))
    if result.refusal is not None:
        message.problem, message.problem_reason = result.refusal.problem, result.refusal.reason
    return message


def image_priorities(messages: Iterable[images_pb2.ImagePriority]) -> list[ImagePriority]:
    """The priorities of a request."""
    return [ImagePriority(UUID(message.image_id), message.priority) for message in messages]


def streamed_project(project_id: str, before: UUID | None) -> UUID:
    """The project of a message of a stream: named by the first, the same or empty in the others."""
    if not project_id and before is not None:
        return before
    try:
        found = UUID(project_id)
    except ValueError:
        raise InvalidArgument("PROJECT_ID_INVALID", "the first message names the project by its id", field="project_id") from None
    if before is not None and found != before:
        raise InvalidArgument("PROJECT_CHANGED", "one stream sets the priorities of one project", field="project_id")
    return found


# --- labeling ---


def asker_of(
    caller: Caller, project_id: str, client_id: str = "", held_lease_ids: Iterable[str] = (), *, request_id: str | None = None
) -> Asker:
    """Who asks for an image."""
    return Asker(
        UUID(project_id),
        caller.user_id,
        plain(client_id, "client_id"),
        caller.session_id,
        frozenset(map(UUID, held_lease_ids)),
        UUID(request_id) if request_id else None,
    )


def submission_of(request: annotations_pb2.SubmitAnnotationRequest) -> Submission:
    """A request's label."""
    lead_time = request.lead_time.ToTimedelta() if request.HasField("lead_time") else None
    class_id = plain(request.class_id, "class_id")
    return Submission(UUID(request.request_id), UUID(request.lease_id), class_id, lead_time, request.lease_next)


def lease_message(lease: Lease, links: ImageLinks) -> annotations_pb2.Lease:
    """An image in an annotator's hands."""
    return annotations_pb2.Lease(
        id=str(lease.id),
        project_id=str(lease.project_id),
        image_url=links.address(lease.sha256, lease.media_type, lease.issued_at),
        width=lease.width,
        height=lease.height,
        media_type=lease.media_type,
        expire_time=_timestamp(lease.expires_at),
        previous_class_id=lease.previous_class_id or "",
        time_left=_duration(lease.expires_at - lease.issued_at),
    )


def next_message(found: Next | None, links: ImageLinks) -> annotations_pb2.Next | None:
    """What comes next, or None when it was not asked for."""
    if found is None:
        return None
    if isinstance(found, Nothing):
        retry_time = _timestamp(found.retry_at) if found.retry_at is not None else None
        nothing = annotations_pb2.Nothing(
            reason=annotations_pb2.NothingReason.Value(f"NOTHING_REASON_{found.reason.name}"), retry_time=retry_time
        )
        return annotations_pb2.Next(nothing=nothing)
    return annotations_pb2.Next(lease=lease_message(found, links))


def submitted_message(submitted: Submitted, links: ImageLinks) -> annotations_pb2.SubmitAnnotationResponse:
    """The answer to a label; the same for a repeat as for a new image."""
    return annotations_pb2.SubmitAnnotationResponse(
        annotation_id=str(submitted.annotation_id), labels_given=submitted.labels_given, next=next_message(submitted.next, links)
    )


def machine_labels(messages: Iterable[annotations_pb2.MachineAnnotation]) -> list[MachineLabel]:
    """A model's labels."""
    return [
        MachineLabel(UUID(message.image_id), plain(message.class_id, f"annotations[{index}].class_id"), message.score)
        for index, message in enumerate(messages)
    ]


def labels_message(part: LabelPart, links: ImageLinks) -> annotations_pb2.StreamLabelsResponse:
    """Some images and what people agreed on."""
    images = [
        annotations_pb2.LabeledImage(
            image=image_message(labeled.image, links),
            class_id=labeled.consensus.class_id,
            annotators_count=labeled.consensus.annotators,
            agreeing_count=labeled.consensus.agreeing,
        )
        for labeled in part.images
    ]
    return annotations_pb2.StreamLabelsResponse(images=images, cursor=part.cursor)


def annotation_message(annotation: Annotation) -> annotations_pb2.Annotation:
    """An annotation as it stands."""
    return annotations_pb2.Annotation(
        id=str(annotation.id),
        project_id=str(annotation.project_id),
        image_id=str(annotation.image_id),
        class_id=annotation.class_id,
        author_kind=annotations_pb2.AuthorKind.Value(f"AUTHOR_KIND_{annotation.author_kind.name}"),
        author_id=str(annotation.author_id),
        model=annotation.model,
        model_version=annotation.model_version,
        score=annotation.score,
        schema_version=annotation.schema_version,
        repeat_of=str(annotation.repeat_of or ""),
        lead_time=_duration(timedelta(seconds=annotation.lead_seconds)) if annotation.lead_seconds is not None else None,
        create_time=_timestamp(annotation.created_at),
        withdraw_time=_timestamp(annotation.withdrawn_at) if annotation.withdrawn_at is not None else None,
        verdict=annotations_pb2.Verdict.Value(f"VERDICT_{annotation.verdict.name if annotation.verdict else 'UNSPECIFIED'}"),
    )


# --- statistics ---


def annotator_message(found: AnnotatorStatistics) -> statistics_pb2.AnnotatorStatistics:
    """One annotator's numbers."""
    return statistics_pb2.AnnotatorStatistics(
        author_id=str(found.author_id),
        labels_given=found.labels,
        distinct_images_labeled=found.distinct_images,
        repeats=found.repeats,
        repeats_consistent=found.repeats_consistent,
        consistency=found.consistency,
        last_label_time=_timestamp(found.last_label_at) if found.last_label_at is not None else None,
    )


def statistics_message(found: ProjectStatistics) -> statistics_pb2.ProjectStatistics:
    """A project's numbers."""
    return statistics_pb2.ProjectStatistics(
        images=found.images,
        images_completed=found.images_completed,
        images_awaiting=found.images_awaiting,
        images_held=found.images_held,
        labels=found.labels,
        machine_labels=found.machine_labels,
    )


def renewed_message(lease_id: UUID, expires_at: datetime) -> annotations_pb2.RenewedLease:
    """A lease that was renewed."""
    return annotations_pb2.RenewedLease(lease_id=str(lease_id), expire_time=_timestamp(expires_at))


def _seconds(duration: Duration) -> float:
    return duration.ToTimedelta().total_seconds()


def _duration(value: timedelta) -> Duration:
    message = Duration()
    message.FromTimedelta(value)
    return message


def _timestamp(value: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(value)
    return message
