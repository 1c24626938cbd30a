"""Sending files into a project: many at once, each by itself accepted or refused, and going on where an earlier import stopped."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from labelmesh.labeling.v1 import images_pb2

from labelmesh_client.batches import by_weight
from labelmesh_client.errors import Cancelled, DeadlineExceeded, SourceError
from labelmesh_client.images import MAX_FILE_BYTES
from labelmesh_client.services import Services

#: What one call takes: 24 MiB, less what the names and the framing need.
MAX_BATCH_BYTES = 24 * 1024 * 1024 - 64 * 1024
MAX_BATCH_FILES = 500
#: Beside its content a file costs its name and some framing in a batch.
_FILE_OVERHEAD_BYTES = 64
_MAX_NAME = 1024
#: A batch is sized to take about this long, so that progress is seen and a stop comes soon, on a slow line too.
_BATCH_SECONDS = 4.0
_FIRST_BATCH_BYTES = 2 * 1024 * 1024
_MIN_BATCH_BYTES = 256 * 1024
_DEADLINE_S = 60.0
#: The slowest line that a deadline allows for.
_SLOWEST_BYTES_PER_S = 64 * 1024


@dataclass(frozen=True)
class ImageFile:
    """A file to import: a name for people, its size in bytes, and how to read it. `read` raises OSError or SourceError when it cannot."""

    name: str
    size: int
    read: Callable[[], bytes]


class Outcome(StrEnum):
    """What became of a file: it is new, its content was there already, or it is no image that can be labeled."""

    ADDED = "added"
    PRESENT = "present"
    REFUSED = "refused"


@dataclass(frozen=True)
class ImportedFile:
    """What became of one file.

    `image_id` is the image that is now in the project, empty when refused; then `problem` says why for people and `problem_reason` for
    programs (NOT_AN_IMAGE, FORMAT_NOT_ALLOWED, TRUNCATED, TOO_MANY_PIXELS, TOO_LARGE, EMPTY; UNREADABLE and TOO_LARGE come from this side).
    """

    name: str
    outcome: Outcome
    size: int
    image_id: str = ""
    problem: str = ""
    problem_reason: str = ""


class Pace:
    """How many bytes the next batch should have, from how long the last ones took. Threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes = _FIRST_BATCH_BYTES

    def batch_bytes(self) -> int:
        with self._lock:
            return self._bytes

    def sent(self, size: int, seconds: float) -> None:
        """Moves half the way to what this batch suggests; small batches say little about a line and never raise the size."""
        suggested = size / max(seconds, 1e-3) * _BATCH_SECONDS
        with self._lock:
            if suggested > self._bytes and size < self._bytes / 2:
                return
            self._bytes = int(min(max((self._bytes + suggested) / 2, _MIN_BATCH_BYTES), MAX_BATCH_BYTES))


def import_images(services: Services, project_id: str, files: Iterable[ImageFile], *, workers: int = 4) -> Iterator[ImportedFile]:
    """Sends files and yields what became of each, in their order.

    Contents that the project has already are not sent again: an import that was stopped goes on when it is simply started again. Nothing is
    sent unless the iterator is read. Batches hold at most 24 MiB and 500 files; `workers` of them are under way at once, each in memory.
    Stopping early lets the calls under way finish or, when the client is closed, cancels them; either way nothing is half done.
    Raises LabelmeshError when the server cannot be reached or refuses the whole (no such project, not allowed).
    """
    if not 1 <= workers <= 64:
        raise ValueError("workers must be 1 to 64")
    pace, stopped = Pace(), threading.Event()
    batches = by_weight(files, _weight, pace.batch_bytes, MAX_BATCH_FILES)
    pending: deque[Future[list[ImportedFile]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="labelmesh-import")
    try:
        for batch in batches:
            pending.append(pool.submit(_import_batch, services, project_id, batch, pace, stopped))
            while len(pending) > workers or (pending and pending[0].done()):
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _weight(file: ImageFile) -> int:
    return min(file.size, MAX_FILE_BYTES) + len(file.name.encode("utf-8", "replace")) + _FILE_OVERHEAD_BYTES


@dataclass(frozen=True)
class _Loaded:
    file: ImageFile
    content: bytes
    sha256: str


def _import_batch(services: Services, project_id: str, files: list[ImageFile], pace: Pace, stopped: threading.Event) -> list[ImportedFile]:
    results: dict[int, ImportedFile] = {}
    loaded: dict[int, _Loaded] = {}
    for index, file in enumerate(files):
        if stopped.is_set():
            raise Cancelled("The import was stopped.")
        read = _load(file)
        if isinstance(read, _Loaded):
            loaded[index] = read
        else:
            results[index] = read
    contents: dict[str, _Loaded] = {}
    for one in loaded.values():
        contents.setdefault(one.sha256, one)
    known = _find(services, project_id, list(contents))
    missing = [one for sha256, one in contents.items() if sha256 not in known]
    answers: dict[str, images_pb2.AddImageResult] = {}
    for part in by_weight(missing, lambda one: _weight(one.file), lambda: MAX_BATCH_BYTES, MAX_BATCH_FILES):
        answers.update(_send(services, project_id, part, pace, stopped))
    for index, one in loaded.items():
        results[index] = _result(one, known.get(one.sha256, ""), answers.get(one.sha256), is_first=contents[one.sha256] is one)
    return [results[index] for index in range(len(files))]


def _load(file: ImageFile) -> _Loaded | ImportedFile:
    def refused(problem: str, reason: str) -> ImportedFile:
        return ImportedFile(file.name, Outcome.REFUSED, file.size, problem=problem, problem_reason=reason)

    if file.size > MAX_FILE_BYTES:
        return refused(f"the file has {file.size:,} bytes; at most {MAX_FILE_BYTES:,} (16 MiB) are taken", "TOO_LARGE")
    try:
        content = file.read()
    except (OSError, SourceError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return refused(f"the file cannot be read: {reason}", "UNREADABLE")
    if not content:
        return refused("the file is empty", "EMPTY")
    if len(content) > MAX_FILE_BYTES:
        return refused(f"the file has more than {MAX_FILE_BYTES:,} bytes (16 MiB)", "TOO_LARGE")
    return _Loaded(file, content, hashlib.sha256(content).hexdigest())


def _find(services: Services, project_id: str, sha256: list[str]) -> dict[str, str]:
    if not sha256:
        return {}
    reply = services.images.FindImages(images_pb2.FindImagesRequest(project_id=project_id, sha256=sha256))
    return {image.sha256: image.image_id for image in reply.images}


def _send(
    services: Services, project_id: str, files: list[_Loaded], pace: Pace, stopped: threading.Event
) -> dict[str, images_pb2.AddImageResult]:
    """What the server answered for each content. A batch that a slow line cannot carry in time goes again in halves."""
    if stopped.is_set():
        raise Cancelled("The import was stopped.")
    images = [images_pb2.NewImage(name=_name(one.file.name), content=one.content) for one in files]
    size = sum(len(one.content) for one in files)
    started = time.monotonic()
    try:
        request = images_pb2.AddImagesRequest(project_id=project_id, images=images)
        reply = services.images.AddImages(request, timeout=max(_DEADLINE_S, size / _SLOWEST_BYTES_PER_S))
    except DeadlineExceeded:
        pace.sent(size, time.monotonic() - started)
        if len(files) == 1:
            raise
        half = len(files) // 2
        return {
            **_send(services, project_id, files[:half], pace, stopped),
            **_send(services, project_id, files[half:], pace, stopped),
        }
    pace.sent(size, time.monotonic() - started)
    return {one.sha256: result for one, result in zip(files, reply.results, strict=True)}


def _result(one: _Loaded, known_id: str, answer: images_pb2.AddImageResult | None, *, is_first: bool) -> ImportedFile:
    file, size = one.file, len(one.content)
    if known_id or answer is None:
        return ImportedFile(file.name, Outcome.PRESENT, size, image_id=known_id)
    if answer.outcome == images_pb2.AddImageResult.OUTCOME_REFUSED:
        return ImportedFile(file.name, Outcome.REFUSED, size, problem=answer.problem, problem_reason=answer.problem_reason)
    added = is_first and answer.outcome == images_pb2.AddImageResult.OUTCOME_ADDED
    return ImportedFile(file.name, Outcome.ADDED if added else Outcome.PRESENT, size, image_id=answer.image.id)


def _name(name: str) -> str:
    """The name as the contract takes it: valid text of at most 1,024 characters, of a longer path its end."""
    return name.encode("utf-8", "replace").decode("utf-8")[-_MAX_NAME:]
