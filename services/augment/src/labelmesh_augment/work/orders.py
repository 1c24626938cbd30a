"""What a worker is asked to do, as parts that are handed over as they are: nothing is parsed or joined on the way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

# Where workers find what they do (see `labelmesh_chassis.workers.PoolSettings`).
WORKER = "labelmesh_augment.work.worker:make"


class Work(StrEnum):
    """What is wanted."""

    # One result of a pipeline: one Augmented.
    APPLY = "apply"
    # One result of a recipe: one Augmented.
    REPEAT = "repeat"
    # Results of a pipeline: a StreamResult for each copy, which may say what went wrong with it.
    STREAM = "stream"
    # Small pictures: a Preview for each copy.
    PREVIEW = "preview"


@dataclass(frozen=True, slots=True)
class Packed:
    """A picture's file, and the bytes of the contract's Labels."""

    content: bytes = field(repr=False)
    labels: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Order:
    """Something to be done. `how` is the bytes of the contract's Pipeline or Recipe; the first picture is the one that it is about."""

    work: Work
    how: bytes
    pictures: tuple[Packed, ...]
    seed: int = 0
    copies: tuple[int, ...] = (0,)
    # Of the item on its stream.
    index: int = 0
    # Of small pictures; `original` asks for the picture itself as the first of them.
    max_side: int = 0
    original: bool = False


def packed(orders: Sequence[Order]) -> list[bytes]:
    """Orders as they are sent in one job; all of them have the same `how`."""
    heads = [[one.work.value, one.seed, one.copies, one.index, one.max_side, one.original, len(one.pictures)] for one in orders]
    sent = [json.dumps(heads).encode(), orders[0].how]
    for one in orders:
        for picture in one.pictures:
            sent += [picture.content, picture.labels]
    return sent


def unpacked(parts: Sequence[bytes]) -> list[Order]:
    """Orders as they were sent."""
    files = iter(parts[2:])
    orders = []
    for work, seed, copies, index, max_side, original, count in json.loads(parts[0]):
        pictures = tuple([Packed(next(files), next(files)) for _ in range(count)])
        orders.append(Order(Work(work), parts[1], pictures, seed, tuple(copies), index, max_side, original))
    return orders
