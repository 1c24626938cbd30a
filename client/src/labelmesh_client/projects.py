"""Projects: what is labeled, with which classes, and everything that is done inside one."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from labelmesh.labeling.v1 import projects_pb2

from labelmesh_client import annotation, images, labels, priorities, scoring, statistics
from labelmesh_client.annotation import Annotation, AuthorKind, MachineLabel
from labelmesh_client.images import Image
from labelmesh_client.importing import ImageFile, ImportedFile, import_images
from labelmesh_client.labeling import Leases
from labelmesh_client.labels import LabeledImage
from labelmesh_client.pictures import with_pictures
from labelmesh_client.predictions import Question
from labelmesh_client.scoring import ScoringProgress
from labelmesh_client.services import Services
from labelmesh_client.statistics import AnnotatorStatistics, ProjectStatistics, Statistics
from labelmesh_client.timestamps import moment

if TYPE_CHECKING:
    from labelmesh_client.client import Client

_PAGE = 100


class ProjectState(StrEnum):
    """Whether a project hands out images."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True)
class LabelClass:
    """One class of a project: a stable `id` (1 to 64 of a-z, A-Z, 0-9, dot, dash, underscore), what people
    read, one key, a colour #rrggbb."""

    id: str
    display_name: str = ""
    hotkey: str = ""
    color: str = ""


@dataclass(frozen=True)
class ProjectFacts:
    """A project as it was when it was read. `repeat_rate` is a share from 0 to 0.5, `lease_duration_s` seconds.

    `suggestion_model` is the model whose suggestions annotators may be shown, empty for none.
    """

    id: str
    display_name: str
    description: str
    classes: tuple[LabelClass, ...]
    schema_version: int
    state: ProjectState
    restricted: bool
    repeat_rate: float
    lease_duration_s: float
    create_time: datetime | None
    etag: str
    images_count: int
    completed_count: int
    suggestion_model: str

    @staticmethod
    def from_wire(message: projects_pb2.Project) -> ProjectFacts:
        return ProjectFacts(
            id=message.id,
            display_name=message.display_name,
            description=message.description,
            classes=tuple(LabelClass(one.id, one.display_name, one.hotkey, one.color) for one in message.classes),
            schema_version=message.schema_version,
            state=ProjectState.CLOSED if message.state == projects_pb2.PROJECT_STATE_CLOSED else ProjectState.OPEN,
            restricted=message.access == projects_pb2.PROJECT_ACCESS_RESTRICTED,
            repeat_rate=message.repeat_rate,
            lease_duration_s=message.lease_duration.ToTimedelta().total_seconds(),
            create_time=moment(message, "create_time"),
            etag=message.etag,
            images_count=message.images_count,
            completed_count=message.completed_count,
            suggestion_model=message.suggestion_model,
        )


class Project:
    """One project of the server. `facts` is how it was when it was last read; `refresh` reads it again."""

    def __init__(self, client: Client, facts: ProjectFacts) -> None:
        self._client = client
        self._services = client.services
        self.facts = facts

    def __repr__(self) -> str:
        return f"Project({self.facts.display_name!r}, id={self.id!r})"

    @property
    def id(self) -> str:
        return self.facts.id

    @property
    def display_name(self) -> str:
        return self.facts.display_name

    def refresh(self) -> ProjectFacts:
        self.facts = get_project(self._services, self.id)
        return self.facts

    def close(self) -> None:
        """Hands out nothing more; leases that are out may still be submitted."""
        self._set_state(projects_pb2.PROJECT_STATE_CLOSED)

    def open(self) -> None:
        """Hands out images again."""
        self._set_state(projects_pb2.PROJECT_STATE_OPEN)

    def _set_state(self, state: projects_pb2.ProjectState.ValueType) -> None:
        request = projects_pb2.UpdateProjectRequest(project_id=self.id, state=state, update_mask=FieldMask(paths=["state"]))
        self.facts = ProjectFacts.from_wire(self._services.projects.UpdateProject(request).project)

    def set_suggestion_model(self, model: str) -> None:
        """Names the model whose suggestions annotators may be shown; its labels are the classes' ids. Empty for none."""
        request = projects_pb2.UpdateProjectRequest(
            project_id=self.id, suggestion_model=model, update_mask=FieldMask(paths=["suggestion_model"])
        )
        self.facts = ProjectFacts.from_wire(self._services.projects.UpdateProject(request).project)

    # Images

    def import_images(self, files: Iterable[ImageFile], *, workers: int = 4) -> Iterator[ImportedFile]:
        """Sends files and yields what became of each; goes on where an earlier import stopped. See `importing.import_images`."""
        return import_images(self._services, self.id, files, workers=workers)

    def images(self, *, awaiting: bool = False) -> Iterator[Image]:
        """Every image in the order they came; with `awaiting` only those that await labels."""
        return images.list_images(self._services, self.id, awaiting=awaiting)

    def image(self, image_id: str) -> Image:
        return images.get_image(self._services, self.id, image_id)

    def find_images(self, sha256: Iterable[str]) -> dict[str, str]:
        """The ids of those contents (hex) that the project has, by content."""
        return images.find_images(self._services, self.id, sha256)

    def download(self, image: Image) -> bytes:
        """The image's file. Raises DownloadError; an `image` read more than some minutes ago has a URL that has ended."""
        return self._client.download(image.url)

    def set_priorities(self, pairs: Iterable[tuple[str, float]]) -> int:
        """Sets priorities by image id; higher is earlier, and the very next call obeys. See `priorities.set_priorities`."""
        return priorities.set_priorities(self._services, self.id, pairs)

    # Labels

    def leases(self, *, wait: bool = False) -> Leases:
        """Images to label, one after the other.

        >>> for lease in project.leases():
        ...     lease.submit(model(lease.image()))
        """
        return Leases(self._services, self.id, lambda url, max_bytes: self._client.download(url, max_bytes=max_bytes), wait=wait)

    def annotations(self, *, image_id: str = "", author_kind: AuthorKind | None = None, withdrawn: bool = False) -> Iterator[Annotation]:
        """Annotations in the order they were made; undone ones only with `withdrawn`."""
        return annotation.list_annotations(self._services, self.id, image_id=image_id, author_kind=author_kind, withdrawn=withdrawn)

    def labels(self) -> Iterator[LabeledImage]:
        """What people agreed on, once for each image with a label, in the order they came. See `labels.stream_labels`."""
        return labels.stream_labels(self._services, self.id, self.refresh)

    def labeled_pictures(self, *, workers: int = 8) -> Iterator[tuple[LabeledImage, bytes]]:
        """The same with each picture's file, `workers` downloaded at once. See `pictures.with_pictures`."""
        return with_pictures(
            self.labels(),
            lambda labeled: labeled.image,
            self.download,
            lambda image: self.image(image.id),
            self._services.connection.pause,
            workers=workers,
        )

    def put_machine_labels(self, labels: Iterable[MachineLabel], *, model: str, model_version: str) -> int:
        """Puts a model's labels beside those of people. See `annotation.put_machine_labels`."""
        return annotation.put_machine_labels(self._services, self.id, labels, model=model, model_version=model_version)

    def score(self, model: str | Question, *, suggest: bool = False, order: bool = False) -> Iterator[ScoringProgress]:
        """Asks a classifier about every image that awaits labels; writes suggestions, the queue's order by doubt, or both.

        Nothing happens unless the iterator is read. See `scoring.score_project`.
        """
        return scoring.score_project(self._services, self.id, Question.of(model), self.refresh, suggest=suggest, order=order)

    # Numbers

    def statistics(self) -> Statistics:
        return statistics.get_statistics(self._services, self.id)

    def annotator_statistics(self) -> Iterator[AnnotatorStatistics]:
        return statistics.list_annotator_statistics(self._services, self.id)

    def watch_statistics(self) -> Iterator[ProjectStatistics]:
        """The project's numbers now and whenever they change."""
        return statistics.watch_statistics(self._services, self.id)


def get_project(services: Services, project_id: str) -> ProjectFacts:
    return ProjectFacts.from_wire(services.projects.GetProject(projects_pb2.GetProjectRequest(project_id=project_id)).project)


def list_projects(services: Services) -> Iterator[ProjectFacts]:
    """Projects that the caller may see, newest first."""
    token = ""
    while True:
        page = services.projects.ListProjects(projects_pb2.ListProjectsRequest(page_size=_PAGE, page_token=token))
        yield from map(ProjectFacts.from_wire, page.projects)
        token = page.next_page_token
        if not token:
            return


def create_project(
    services: Services,
    display_name: str,
    classes: Sequence[LabelClass],
    *,
    description: str = "",
    restricted: bool = False,
    repeat_rate: float | None = None,
    lease_duration_s: float | None = None,
    suggestion_model: str = "",
) -> ProjectFacts:
    """Makes a project; see Client.create_project."""
    request = projects_pb2.CreateProjectRequest(
        request_id=str(uuid.uuid4()),
        display_name=display_name,
        description=description,
        classes=[
            projects_pb2.LabelClass(id=one.id, display_name=one.display_name or one.id, hotkey=one.hotkey, color=one.color)
            for one in classes
        ],
        access=projects_pb2.PROJECT_ACCESS_RESTRICTED if restricted else projects_pb2.PROJECT_ACCESS_EVERYONE,
        repeat_rate=repeat_rate,
        suggestion_model=suggestion_model,
    )
    if lease_duration_s is not None:
        duration = Duration()
        duration.FromNanoseconds(int(lease_duration_s * 1e9))
        request.lease_duration.CopyFrom(duration)
    return ProjectFacts.from_wire(services.projects.CreateProject(request).project)


def classes_from_names(names: Iterable[str]) -> tuple[LabelClass, ...]:
    """Classes for names as people write them: “Red deer” becomes the id `red-deer`; the first ten get the keys 1 to 9 and 0.

    Names that are themselves one digit or letter are their own key (when all of them are). Raises ValueError for names that are empty or
    would become the same id.
    """
    shown = [name.strip() for name in names]
    if not shown or not all(shown):
        raise ValueError("a class needs a name")
    ids = [re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-")[:64].lower() for name in shown]
    for name, one in zip(shown, ids, strict=True):
        if not one:
            raise ValueError(f"the class “{name}” has no letter or digit of a-z, A-Z, 0-9 to make an id of")
    if len(set(ids)) < len(ids):
        raise ValueError("two classes have the same name, or names that differ in signs and spaces only")
    keys = shown if all(len(name) == 1 for name in shown) else ["1234567890"[place : place + 1] for place in range(len(shown))]
    return tuple(LabelClass(one, name, key) for one, name, key in zip(ids, shown, keys, strict=True))
