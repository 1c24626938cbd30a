"""Where callers' pictures are, and how the service gets at them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from labelmesh_chassis.deadlines import time_left
from labelmesh_chassis.errors import InvalidArgument, OutOfRange, ResourceExhausted

# Of a file that was sent along or that the mesh itself keeps.
MAX_BYTES = 16 * 1024 * 1024
# Of a file from an address outside.
MAX_URL_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ProjectImage:
    """An image of a labeling project."""

    project_id: UUID
    image_id: UUID


@dataclass(frozen=True, slots=True)
class ObjectAddress:
    """An address that the mesh handed out for reading."""

    address: str


@dataclass(frozen=True, slots=True)
class WebAddress:
    """A picture somewhere else."""

    address: str


# A file that was sent along, or where one is.
Source = bytes | ProjectImage | ObjectAddress | WebAddress


class Images(Protocol):
    """Images of labeling, as far as the one who is calling may see them."""

    def address(self, project_id: UUID, image_id: UUID) -> str:
        """Where an image's file can be read for some minutes."""


class Objects(Protocol):
    """The object storage. It raises Unavailable while it is away."""

    def get_public(self, address: str, *, max_bytes: int, field: str = "object_url") -> bytes: ...


class Sources:
    """Gets what callers point at. `fetch` reads a file from a public address, up to a number of bytes.

    At most `most_fetches` files are on their way at once, `most_of_caller` of one caller: an address that hangs is no way to keep others
    from theirs.
    """

    def __init__(
        self, images: Images, objects: Objects, fetch: Callable[[str, int], bytes], *, most_fetches: int = 24, most_of_caller: int = 12
    ) -> None:
        self._images = images
        self._objects = objects
        self._fetch = fetch
        self._most = most_fetches
        self._most_of_caller = most_of_caller
        self._changed = threading.Condition()
        self._fetching: Counter[str] = Counter()

    def content(self, source: Source, caller: str, *, field: str, patient: bool = False) -> bytes:
        """The file. Errors of labeling and of the address; InvalidArgument (TOO_LARGE) over 16 MiB.

        ResourceExhausted (WORKERS_BUSY) where too much is being fetched; `patient` waits instead, as long as the call has time.
        """
        if isinstance(source, bytes):
            return source
        with self._place(caller, patient):
            try:
                match source:
                    case ProjectImage():
                        address = self._images.address(source.project_id, source.image_id)
                        return self._objects.get_public(address, max_bytes=MAX_BYTES, field=f"{field}.source.project_image")
                    case ObjectAddress():
                        return self._objects.get_public(source.address, max_bytes=MAX_BYTES, field=f"{field}.source.object_url")
                    case WebAddress():
                        return self._fetch(source.address, MAX_URL_BYTES)
            except OutOfRange:
                told = f"the file has more than the {MAX_BYTES:,} bytes that are taken"
                raise InvalidArgument("TOO_LARGE", told, field=f"{field}.source") from None

    @contextmanager
    def _place(self, caller: str, patient: bool) -> Iterator[None]:
        with self._changed:
            while self._fetching.total() >= self._most or self._fetching[caller] >= self._most_of_caller:
                if not patient or not self._changed.wait(time_left()):
                    raise ResourceExhausted("WORKERS_BUSY", "too many files are being fetched now; try again soon", retry_after=1)
            self._fetching[caller] += 1
        try:
            yield
        finally:
            with self._changed:
                self._fetching[caller] -= 1
                if not self._fetching[caller]:
                    del self._fetching[caller]
                self._changed.notify_all()
