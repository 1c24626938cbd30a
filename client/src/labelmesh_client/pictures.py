"""Downloading many pictures of a project: several at once, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from labelmesh_client.errors import DownloadError
from labelmesh_client.images import Image

_PAUSES_S = (0.2, 1.0, 3.0)
#: What a storage answers once an address has ended.
_ENDED = {"HTTP_400", "HTTP_401", "HTTP_403"}

T = TypeVar("T")


def with_pictures(
    items: Iterable[T],
    image_of: Callable[[T], Image],
    download: Callable[[Image], bytes],
    renew: Callable[[Image], Image],
    pause: Callable[[float], None],
    *,
    workers: int = 8,
) -> Iterator[tuple[T, bytes]]:
    """Each item with its picture's file, in order; `workers` (1 to 64) are downloaded at once, and twice as many are held in memory.

    An address that has ended meanwhile is asked for anew by `renew`; a storage that is away is tried again for some seconds. Raises
    DownloadError.
    """
    if not 1 <= workers <= 64:
        raise ValueError("workers must be 1 to 64")

    def fetch(image: Image) -> bytes:
        for pause_s in (*_PAUSES_S, None):
            try:
                return download(image)
            except DownloadError as error:
                if pause_s is None:
                    raise
                if error.reason in _ENDED:
                    image = renew(image)
                elif error.reason == "UNREACHABLE" or error.reason.startswith("HTTP_5"):
                    pause(pause_s)
                else:
                    raise
        raise AssertionError("unreachable")

    pending: deque[tuple[T, Future[bytes]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="labelmesh-download")
    try:
        for item in items:
            pending.append((item, pool.submit(fetch, image_of(item))))
            if len(pending) > 2 * workers:
                first, content = pending.popleft()
                yield first, content.result()
        while pending:
            first, content = pending.popleft()
            yield first, content.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
