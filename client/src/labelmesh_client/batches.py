"""Cutting a long run of things into what one call takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items in order; the last may be shorter, none is empty."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def by_weight(items: Iterable[T], weight: Callable[[T], int], max_weight: Callable[[], int], max_items: int) -> Iterator[list[T]]:
    """Lists of at most `max_items` items that together weigh at most `max_weight()`, in order; none is empty.

    The limit is asked anew for each item, so that it may follow what has been measured meanwhile. An item above the limit goes alone.
    """
    batch: list[T] = []
    total = 0
    for item in items:
        if batch and (len(batch) >= max_items or total + weight(item) > max_weight()):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += weight(item)
    if batch:
        yield batch
