"""What people agreed on, image by image: the labels that training reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from labelmesh_chassis.pages import number_position, token_of
from sqlalchemy.orm import Session

from labelmesh_labeling.access import Caller, require_visible
from labelmesh_labeling.images import ProjectImage, image_of
from labelmesh_labeling.scans import ImageScan

# Labeled images in one message.
MOST_IMAGES = 64


@dataclass(frozen=True, slots=True)
class Consensus:
    """The class with the most votes, "" where several have the most, and how many of all votes a class with the most has."""

    class_id: str
    annotators: int
    agreeing: int


@dataclass(frozen=True, slots=True)
class LabeledImage:
    """An image with at least one standing label of a person."""

    image: ProjectImage
    consensus: Consensus


@dataclass(frozen=True, slots=True)
class LabelPart:
    """The next labeled images, possibly none. `reached` is the number to go on after, which `cursor` names; `is_last` means the end."""

    images: tuple[LabeledImage, ...]
    reached: int
    cursor: str
    is_last: bool


# `votes` are the classes that each annotator gave last. A label that was undone is none, and a repeat is the later word of somebody who
# has one vote. OFFSET 0 leaves the planner one way to an image's annotations, by the image: a plan made while there were none must not
# look for them by their authors.
_LABELED = ImageScan(
    "q.labels > 0",
    {
        "votes": """ARRAY(
            SELECT (array_agg(a.class_id ORDER BY a.author_seq DESC))[1]
            FROM (SELECT * FROM annotations WHERE image_id = i.id OFFSET 0) a
            WHERE a.author_kind = 1 AND NOT EXISTS (SELECT 1 FROM withdrawals w WHERE w.annotation_id = a.id)
            GROUP BY a.author_id)"""
    },
)


def consensus_of(votes: Sequence[str]) -> Consensus:
    """What the votes of at least one annotator come to, one vote of each."""
    (first, most), *rest = Counter(votes).most_common(2)
    is_tie = bool(rest) and rest[0][1] == most
    return Consensus("" if is_tie else first, len(votes), most)


def start_of_labels(session: Session, caller: Caller, project_id: UUID, cursor: str) -> int:
    """Where a stream of labels begins, for `next_labels`. For managers and keys; InvalidArgument for a cursor from elsewhere."""
    caller.require_manager_or_key()
    require_visible(session, caller, project_id)
    return number_position(cursor, _scope(project_id), field="cursor") or 0


def next_labels(session: Session, project_id: UUID, after: int) -> LabelPart:
    """The labeled images that came after the one of the number `after`, at most 64."""
    found = _LABELED.after(session, project_id, after, most=MOST_IMAGES)
    images = tuple(LabeledImage(image_of(row), consensus_of(row.votes)) for row in found.rows)
    return LabelPart(images, found.reached, token_of(_scope(project_id), [found.reached]), found.is_last)


def _scope(project_id: UUID) -> str:
    return f"labels {project_id}"
