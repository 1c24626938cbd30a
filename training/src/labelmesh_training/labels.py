"""What people labeled in a project, fetched and prepared to be learned from."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from labelmesh_client import DownloadError, Image, LabelClass, Project, SourceError
from labelmesh_client.labels import LabeledImage

from labelmesh_training.examples import CLASSES, Example, Origin
from labelmesh_training.preparation import prepare
from labelmesh_training.splits import is_held_out

#: Pictures that are fetched at once, and those that wait for their turn beyond them.
_WORKERS, _WAITING = 8, 64
#: More pictures do not fit a training of some minutes on one machine.
MOST_LABELS = 200_000
#: The files of held-out pictures up to this size are kept, to ask another version about them.
_KEPT_FILE_BYTES = 64 * 1024
_LINK_ENDED = frozenset({"HTTP_401", "HTTP_403"})


@dataclass
class MeshLabels:
    """The pictures that can be learned from, and why others cannot."""

    examples: list[Example] = field(default_factory=list)
    #: Labeled by several people who do not agree on one class.
    ties: int = 0
    #: Their class is no digit, by class.
    other_classes: Counter[str] = field(default_factory=Counter)
    #: Name and problem.
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    #: There are more than are taken.
    cut_off: bool = False

    @property
    def seen(self) -> int:
        return len(self.examples) + self.ties + self.other_classes.total() + len(self.unreadable)


def digit_of_class(classes: Iterable[LabelClass]) -> dict[str, int]:
    """Which digit each class of a project means: by its id, else by what people read."""
    found: dict[str, int] = {}
    for one in classes:
        name = one.id if one.id in CLASSES else one.display_name.strip()
        if name in CLASSES:
            found[one.id] = int(name)
    return found


def read_labels(project: Project, on_picture: Callable[[int], None]) -> MeshLabels:
    """Every picture of the project with an agreed label, as it streams in; `on_picture` hears how many there are so far.

    Eight files are fetched at a time. A file that cannot be had or read is left out and named. Raises LabelmeshError when the stream of
    labels breaks for good.
    """
    found = MeshLabels()
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="pictures") as pool:
        try:
            for name, result in _fetched(project, pool, found):
                if isinstance(result, Example):
                    found.examples.append(result)
                else:
                    found.unreadable.append((name, result))
                on_picture(found.seen)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def _fetched(project: Project, pool: ThreadPoolExecutor, found: MeshLabels) -> Iterator[tuple[str, Example | str]]:
    waiting: deque[tuple[str, Future[Example | str]]] = deque()
    for image, digit in _agreed(project, found):
        waiting.append((image.name, pool.submit(_example, project, image, digit)))
        if len(waiting) >= _WAITING:
            name, result = waiting.popleft()
            yield name, result.result()
    while waiting:
        name, result = waiting.popleft()
        yield name, result.result()


def _agreed(project: Project, found: MeshLabels) -> Iterator[tuple[Image, int]]:
    """Pictures with a digit that most of their annotators gave; the others are counted."""
    digits = digit_of_class(project.facts.classes)
    for taken, labeled in enumerate(project.labels()):
        if taken >= MOST_LABELS:
            found.cut_off = True
            return
        if (digit := digit_of(labeled, digits, found)) is not None:
            yield labeled.image, digit


def digit_of(labeled: LabeledImage, digits: dict[str, int], found: MeshLabels) -> int | None:
    """The digit that a picture shows by its annotators; None, and counted, where they do not agree or mean something else."""
    if labeled.class_id is None:
        found.ties += 1
        return None
    if labeled.class_id not in digits:
        found.other_classes[labeled.class_id] += 1
        return None
    return digits[labeled.class_id]


def _example(project: Project, image: Image, digit: int) -> Example | str:
    try:
        content = _download(project, image)
        prepared = prepare(content)
    except (DownloadError, SourceError) as error:
        return str(error)
    kept = content if is_held_out(image.sha256) and len(content) <= _KEPT_FILE_BYTES else b""
    return Example(image.sha256, digit, prepared, Origin.MESH, kept, image.id)


def _download(project: Project, image: Image) -> bytes:
    try:
        return project.download(image)
    except DownloadError as error:
        if error.reason not in _LINK_ENDED:
            raise
        return project.download(project.image(image.id))
