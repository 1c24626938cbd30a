"""Pictures with what they show, from the mesh and from reference data, and how they are divided for learning and measuring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from labelmesh_client import SourceError
from numpy.typing import NDArray

from labelmesh_training.preparation import SIDE
from labelmesh_training.splits import is_held_out
from labelmesh_training.values import Images, Pictures

CLASSES = tuple(str(digit) for digit in range(10))
#: What the mesh must have to learn from it alone: this is where digits begin to be told apart.
NEEDED_LABELS, NEEDED_PER_CLASS = 200, 10
#: With fewer of them reference digits help, unless somebody says otherwise.
ENOUGH_LABELS, ENOUGH_PER_CLASS = 1000, 50
#: Held-out pictures of the mesh with which accuracy can be told; with fewer the reference's are used.
MEASURABLE, MEASURABLE_PER_CLASS = 100, 5
#: More does not tell more, and each must be answered by the version that is compared with.
MOST_HELD_OUT = 2000
#: Pictures of the mesh are at least this share of what is learned from, if none is seen more than so many times as often as others.
_MESH_SHARE, _MOST_OFTEN = 0.5, 8.0


class Origin(StrEnum):
    """Where a picture and its label come from."""

    MESH = "mesh"
    REFERENCE = "reference"


@dataclass(frozen=True)
class Example:
    """A picture of the content `sha256` (hex), the digit it shows, how the model sees it [28, 28], and where its file is had again.

    That is `file` itself where it is small, else the image of a project.
    """

    sha256: str
    label: int
    image: Images
    origin: Origin
    file: bytes = b""
    image_id: str = ""


@dataclass(frozen=True)
class Division:
    """What is learned from, with the weight of each picture (they sum to 1), and what is measured with."""

    learned: Pictures
    weights: NDArray[np.float64]
    held_out: tuple[Example, ...]
    #: How many pictures learned from are of each origin; "drawn" are those made by rule.
    counts: dict[str, int]

    @property
    def held_out_pictures(self) -> Pictures:
        return pictures(self.held_out)

    @property
    def measured_on(self) -> Origin:
        return self.held_out[0].origin

    def metrics(self) -> dict[str, float]:
        """The data, by the names that the mesh keeps."""
        measured = {f"held_out_{origin}_images": float(sum(one.origin is origin for one in self.held_out)) for origin in Origin}
        return {f"{name}_images": float(count) for name, count in self.counts.items()} | measured


def pictures(examples: Sequence[Example]) -> Pictures:
    if not examples:
        return Pictures.none(SIDE)
    return Pictures(np.stack([one.image for one in examples]), np.array([one.label for one in examples], dtype=np.int64))


def has(examples: Iterable[Example], total: int, per_class: int) -> bool:
    """Whether there are so many in all, and so many of each digit."""
    counts = Counter(one.label for one in examples)
    return counts.total() >= total and all(counts[label] >= per_class for label in range(len(CLASSES)))


def divide(mesh: Sequence[Example], reference: Sequence[Example], drawn: Pictures) -> Division:
    """Divides by content; of a picture that the mesh has labeled, the mesh's label counts and not the reference's.

    It is measured with pictures of the mesh where there are enough, else with those of the reference. Raises SourceError when there is
    nothing to learn from or to measure with.
    """
    of_mesh = {one.sha256: one for one in mesh}
    of_reference = {one.sha256: one for one in reference if one.sha256 not in of_mesh}
    learned = _learned(of_mesh, of_reference)
    measured = [one for one in of_mesh.values() if is_held_out(one.sha256)]
    if not has(measured, MEASURABLE, MEASURABLE_PER_CLASS) and of_reference:
        measured = [one for one in of_reference.values() if is_held_out(one.sha256)]
    if not measured or not any(learned.values()):
        raise SourceError("There are not enough labeled pictures to learn from and to measure with.")
    measured = sorted(measured, key=lambda one: one.sha256)[:MOST_HELD_OUT]
    parts = [pictures(learned[Origin.MESH]), pictures(learned[Origin.REFERENCE]), drawn]
    counts = {"mesh": len(parts[0]), "reference": len(parts[1]), "drawn": len(parts[2])}
    return Division(parts[0].joined(*parts[1:]), _weights(counts["mesh"], counts["reference"] + counts["drawn"]), tuple(measured), counts)


def _learned(of_mesh: dict[str, Example], of_reference: dict[str, Example]) -> dict[Origin, list[Example]]:
    return {
        Origin.MESH: [one for one in of_mesh.values() if not is_held_out(one.sha256)],
        Origin.REFERENCE: [one for one in of_reference.values() if not is_held_out(one.sha256)],
    }


def _weights(mesh: int, others: int) -> NDArray[np.float64]:
    """So that few labels of one's own are not lost among many others."""
    often = 1.0
    if mesh and others:
        often = min(_MOST_OFTEN, max(1.0, _MESH_SHARE / (1 - _MESH_SHARE) * others / mesh))
    weights = np.concatenate([np.full(mesh, often), np.ones(others)])
    return np.asarray(weights / weights.sum(), dtype=np.float64)
