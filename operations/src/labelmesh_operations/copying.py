"""Several transfers at once, each in bounded memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import BinaryIO, TypeVar, cast

from labelmesh_operations.hashing import CHUNK_BYTES, HashingReader
from labelmesh_operations.target import Target, object_name

_AT_ONCE = 8
_IN_MEMORY_BYTES = 4 * 2**20

Task = TypeVar("Task")
Done = TypeVar("Done")


def at_once(work: Callable[[Task], Done], tasks: Iterable[Task]) -> Iterator[Done]:
    """Results of `work` in the order they come, eight at a time; tasks are drawn as they are needed. The first error ends it."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="copying") as pool:
        running: set[Future[Done]] = set()
        try:
            for task in tasks:
                if len(running) >= 2 * _AT_ONCE:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (one.result() for one in done)
                running.add(pool.submit(work, task))
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (one.result() for one in done)
        finally:
            for one in running:
                one.cancel()


def keep(target: Target, stream: BinaryIO) -> HashingReader:
    """Puts content among the shared objects under its own hash, which is known only once it was read; returns the reader."""
    reader = HashingReader(stream)
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as spool:
        while chunk := reader.read(CHUNK_BYTES):
            spool.write(chunk)
        spool.seek(0)
        target.write(object_name(reader.sha256), cast(BinaryIO, spool))
    return reader
