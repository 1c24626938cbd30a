"""Images of a project: content-addressed, each once, in object storage and in the queue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any, Protocol
from uuid import UUID, uuid4

from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import Aborted, FieldViolation, InvalidArgument, NotFound
from labelmesh_chassis.pages import Page, number_position, page_of, page_size, token_of
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from labelmesh_labeling.access import Caller, require_visible
from labelmesh_labeling.pictures import DecoderGate, Picture, Refusal, inspect, object_key
from labelmesh_labeling.scans import ImageScan
from labelmesh_labeling.transactions import carry_out

MAX_TOTAL_BYTES = 24 * 1024 * 1024


class Objects(Protocol):
    """What adding images needs of an object store. Both raise Unavailable while it is away."""

    def put(self, key: str, data: bytes, media_type: str) -> None: ...

    def delete(self, key: str) -> None: ...


@dataclass(frozen=True, slots=True)
class NewImage:
    """A file to add."""

    name: str
    content: bytes
    priority: float


@dataclass(frozen=True, slots=True)
class ProjectImage:
    """An image of a project; `number` is its age. Pixels, bytes, sha256 in hex."""

    id: UUID
    number: int
    name: str
    sha256: str
    width: int
    height: int
    media_type: str
    size_bytes: int
    priority: float
    completed: bool
    created_at: datetime


class Outcome(IntEnum):
    """What became of a file; the numbers of the contract."""

    ADDED = 1
    DUPLICATE = 2
    REFUSED = 3


@dataclass(frozen=True, slots=True)
class AddResult:
    """What became of one file: the image, or why it was refused."""

    name: str
    outcome: Outcome
    image: ProjectImage | None = None
    refusal: Refusal | None = None


# A row that is stored is left alone; one that is pending says that somebody works on it now, so that the sweep leaves it alone.
_ANNOUNCE = text("""
WITH new AS (
    SELECT * FROM unnest(CAST(:hashes AS bytea[]), CAST(:media_types AS text[]), CAST(:sizes AS bigint[])) AS n (sha256, media_type, size)
), announced AS (
    INSERT INTO blobs AS b (sha256, media_type, size_bytes, stored, touched_at)
    SELECT sha256, media_type, size, false, clock_timestamp() FROM new
    WHERE NOT EXISTS (SELECT 1 FROM images i WHERE i.project_id = :project_id AND i.sha256 = new.sha256) ORDER BY sha256
    ON CONFLICT (sha256) DO UPDATE SET touched_at = excluded.touched_at WHERE NOT b.stored
    RETURNING sha256
)
SELECT sha256 FROM announced
""")
_STORED = text("UPDATE blobs SET stored = true WHERE sha256 = ANY(CAST(:hashes AS bytea[])) RETURNING 1")
# Numbers in the order of the request, rows in the order of their hashes, so that calls with the same files wait for each other in line.
_ADD = text("""
WITH new AS MATERIALIZED (
    SELECT n.*, nextval('image_numbers') AS number
    FROM unnest(CAST(:ids AS uuid[]), CAST(:hashes AS bytea[]), CAST(:names AS text[]), CAST(:widths AS integer[]),
        CAST(:heights AS integer[]), CAST(:media_types AS text[]), CAST(:sizes AS bigint[]), CAST(:priorities AS double precision[]))
        AS n (id, sha256, name, width, height, media_type, size, priority)
), added AS (
    INSERT INTO images (id, project_id, number, sha256, name, width, height, media_type, size_bytes, added_by)
    SELECT id, :project_id, number, sha256, name, width, height, media_type, size, :user_id FROM new ORDER BY sha256
    ON CONFLICT (project_id, sha256) DO NOTHING RETURNING id, number
), queued AS (
    INSERT INTO queue (image_id, project_id, priority, number, free_slots, wanted)
    SELECT a.id, :project_id, n.priority, a.number, (1 << p.overlap) - 1, p.overlap
    FROM added a JOIN new n ON n.id = a.id JOIN projects p ON p.id = :project_id
), counted AS (
    INSERT INTO counters AS c (project_id, author_id, images_added) SELECT :project_id, :user_id, count(*) FROM added
    ON CONFLICT (project_id, author_id) DO UPDATE SET images_added = c.images_added + excluded.images_added
)
SELECT id FROM added
""")
_IMAGES = """
SELECT i.id, i.number, i.name, i.sha256, i.width, i.height, i.media_type, i.size_bytes, q.priority, q.labels >= q.wanted AS completed,
    i.created_at
FROM images i JOIN queue q ON q.image_id = i.id WHERE i.project_id = :project_id AND
"""
_BY_HASH = text(_IMAGES + " i.sha256 = ANY(CAST(:hashes AS bytea[]))")
_BY_ID = text(_IMAGES + " i.id = :image_id")
_BY_AGE = text(_IMAGES + " i.number > :after ORDER BY i.number LIMIT :limit")
_AWAITING = ImageScan("q.labels < q.wanted")
_FIND = text("SELECT sha256, id FROM images WHERE project_id = :project_id AND sha256 = ANY(CAST(:hashes AS bytea[]))")
_ABANDONED = text("""
SELECT sha256, media_type FROM blobs WHERE NOT stored AND touched_at < clock_timestamp() - make_interval(secs => :age_s)
ORDER BY touched_at LIMIT 1 FOR UPDATE SKIP LOCKED
""")
_FORGET = text("DELETE FROM blobs WHERE sha256 = :sha256")


def add_images(
    database: Database,
    objects: Objects,
    gate: DecoderGate,
    caller: Caller,
    project_id: UUID,
    files: Sequence[NewImage],
    *,
    all_or_nothing: bool,
) -> list[AddResult]:
    """Adds each file or refuses it by itself; with `all_or_nothing`, InvalidArgument names every refused one and nothing is added.

    Three steps: files are announced in the database, put into object storage, and added to the queue. A call that breaks off between
    leaves announced files that `sweep_abandoned` clears away, and can be sent again.
    """
    caller.require_manager_or_key()
    carry_out(database, lambda session: require_visible(session, caller, project_id))
    if sum(len(file.content) for file in files) > MAX_TOTAL_BYTES:
        raise InvalidArgument("TOO_LARGE", f"the files together may have {MAX_TOTAL_BYTES:,} bytes", field="images")
    inspected = [inspect(file.content, gate) for file in files]
    if all_or_nothing:
        _refuse_all(inspected)
    pictures = list({picture.sha256: picture for picture in inspected if isinstance(picture, Picture)}.values())
    if not pictures:
        return [AddResult(file.name, Outcome.REFUSED, refusal=_refusal(found)) for file, found in zip(files, inspected, strict=True)]
    announced = carry_out(database, lambda session: _announce(session, project_id, pictures))
    for picture in pictures:
        if picture.sha256 in announced:
            objects.put(object_key(picture.sha256.hex(), picture.media_type), picture.content, picture.media_type)
    rows = _first_of_each(files, inspected)
    added, known = carry_out(database, lambda session: _add(session, caller, project_id, announced, rows))
    return list(_results(files, inspected, added, known))


def find_images(session: Session, caller: Caller, project_id: UUID, hashes: Sequence[str]) -> list[tuple[str, UUID]]:
    """(sha256 in hex, image) of those contents that the project has already."""
    caller.require_manager_or_key()
    require_visible(session, caller, project_id)
    rows = session.execute(_FIND, {"project_id": project_id, "hashes": [bytes.fromhex(sha256) for sha256 in hashes]})
    return [(bytes(row.sha256).hex(), row.id) for row in rows]


def get_image(session: Session, caller: Caller, project_id: UUID, image_id: UUID) -> ProjectImage:
    """An image of a project that the caller may see; NotFound otherwise."""
    require_visible(session, caller, project_id)
    row = session.execute(_BY_ID, {"project_id": project_id, "image_id": image_id}).one_or_none()
    if row is None:
        raise NotFound("IMAGE_NOT_FOUND", "the project has no such image")
    return image_of(row)


def list_images(
    session: Session, caller: Caller, project_id: UUID, asked_size: int, token: str, *, awaiting: bool = False
) -> Page[ProjectImage]:
    """Images in the order they came, for managers and keys; with `awaiting` only those that await labels.

    Of those a page may be short, even empty, where many images are completed; only a page without a token is the last.
    """
    caller.require_manager_or_key()
    require_visible(session, caller, project_id)
    size = page_size(asked_size, default=100, most=1000)
    scope = f"images {project_id} awaiting" if awaiting else f"images {project_id}"
    after = number_position(token, scope) or 0
    if awaiting:
        found = _AWAITING.after(session, project_id, after, most=size)
        return Page(tuple(map(image_of, found.rows)), "" if found.is_last else token_of(scope, [found.reached]))
    rows = session.execute(_BY_AGE, {"project_id": project_id, "after": after, "limit": size + 1})
    return page_of([image_of(row) for row in rows], size, scope, lambda image: [image.number])


def sweep_abandoned(database: Database, objects: Objects, *, age_s: float = 3600, limit: int = 100) -> int:
    """Removes up to `limit` files that were announced more than `age_s` seconds ago and never added; returns how many."""
    for count in range(limit):
        with database.transaction() as session:
            row = session.execute(_ABANDONED, {"age_s": age_s}).one_or_none()
            if row is None:
                return count
            objects.delete(object_key(bytes(row.sha256).hex(), row.media_type))
            session.execute(_FORGET, {"sha256": row.sha256})
    return limit


def _refuse_all(inspected: Sequence[Picture | Refusal]) -> None:
    violations = [
        FieldViolation(f"images[{index}].content", found.problem, found.reason)
        for index, found in enumerate(inspected)
        if isinstance(found, Refusal)
    ]
    if violations:
        raise InvalidArgument("IMAGES_REFUSED", f"{len(violations)} of {len(inspected)} files cannot be labeled", violations=violations)


def _refusal(found: Picture | Refusal) -> Refusal | None:
    return found if isinstance(found, Refusal) else None


def _first_of_each(files: Sequence[NewImage], inspected: Sequence[Picture | Refusal]) -> list[tuple[NewImage, Picture]]:
    first: dict[bytes, tuple[NewImage, Picture]] = {}
    for file, found in zip(files, inspected, strict=True):
        if isinstance(found, Picture):
            first.setdefault(found.sha256, (file, found))
    return list(first.values())


def _announce(session: Session, project_id: UUID, pictures: Sequence[Picture]) -> set[bytes]:
    parameters = {
        "project_id": project_id,
        "hashes": [picture.sha256 for picture in pictures],
        "media_types": [picture.media_type for picture in pictures],
        "sizes": [len(picture.content) for picture in pictures],
    }
    return {bytes(row.sha256) for row in session.execute(_ANNOUNCE, parameters)}


def _add(
    session: Session, caller: Caller, project_id: UUID, announced: set[bytes], rows: Sequence[tuple[NewImage, Picture]]
) -> tuple[set[UUID], dict[str, ProjectImage]]:
    if len(session.execute(_STORED, {"hashes": sorted(announced)}).all()) != len(announced):
        raise Aborted("IMPORT_TOO_SLOW", "the files were given up meanwhile; send them again", retry_after=1)
    parameters = {
        "project_id": project_id,
        "user_id": caller.user_id,
        "ids": [uuid4() for _ in rows],
        "hashes": [picture.sha256 for _, picture in rows],
        "names": [file.name for file, _ in rows],
        "widths": [picture.width for _, picture in rows],
        "heights": [picture.height for _, picture in rows],
        "media_types": [picture.media_type for _, picture in rows],
        "sizes": [len(picture.content) for _, picture in rows],
        "priorities": [file.priority for file, _ in rows],
    }
    added = {row.id for row in session.execute(_ADD, parameters)}
    known = (image_of(row) for row in session.execute(_BY_HASH, {"project_id": project_id, "hashes": parameters["hashes"]}))
    return added, {image.sha256: image for image in known}


def _results(
    files: Sequence[NewImage], inspected: Sequence[Picture | Refusal], added: set[UUID], known: dict[str, ProjectImage]
) -> Iterator[AddResult]:
    fresh = set(added)
    for file, found in zip(files, inspected, strict=True):
        if isinstance(found, Refusal):
            yield AddResult(file.name, Outcome.REFUSED, refusal=found)
            continue
        image = known[found.sha256.hex()]
        yield AddResult(file.name, Outcome.ADDED if image.id in fresh else Outcome.DUPLICATE, image=image)
        fresh.discard(image.id)


def image_of(row: Row[Any]) -> ProjectImage:
    """An image from a row that has its columns, `priority` and `completed`."""
    return ProjectImage(
        row.id,
        row.number,
        row.name,
        bytes(row.sha256).hex(),
        row.width,
        row.height,
        row.media_type,
        row.size_bytes,
        row.priority,
        row.completed,
        row.created_at,
    )
