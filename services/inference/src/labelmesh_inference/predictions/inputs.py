"""What callers ask about, and how the service gets at it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from labelmesh_chassis.errors import InvalidArgument, OutOfRange

from labelmesh_inference.predictions.pictures import MAX_BYTES
from labelmesh_inference.serving.values import Tensor


@dataclass(frozen=True, slots=True)
class ProjectImage:
    """An image of a labeling project, and where its file can be read for some minutes, if that is known already."""

    project_id: UUID
    image_id: UUID
    address: str = ""


@dataclass(frozen=True, slots=True)
class ObjectAddress:
    """An address that the mesh handed out for reading."""

    address: str


@dataclass(frozen=True, slots=True)
class WebAddress:
    """A picture somewhere else."""

    address: str


# A file that was sent along, a tensor, or where a file is.
Source = bytes | Tensor | ProjectImage | ObjectAddress | WebAddress


class Images(Protocol):
    """Images of labeling, as far as the one who is calling may see them."""

    def address(self, project_id: UUID, image_id: UUID) -> str:
        """Where an image's file can be read for some minutes."""


class Objects(Protocol):
    """The object storage. Every method raises Unavailable while it is away."""

    def get_public(self, address: str, *, max_bytes: int, field: str = "object_url") -> bytes: ...

    def put(self, key: str, data: bytes, media_type: str) -> None: ...

    def delete(self, key: str) -> None: ...

    def presign_get(self, key: str) -> str: ...


class Sources:
    """Gets what callers point at. `fetch` reads a picture from a public address, up to a number of bytes."""

    def __init__(self, images: Images, objects: Objects, fetch: Callable[[str, int], bytes]) -> None:
        self._images = images
        self._objects = objects
        self._fetch = fetch

    def content(self, source: Source) -> bytes | Tensor:
        """The file, or the tensor itself. Errors of labeling and of the address; InvalidArgument (TOO_LARGE) over 16 MiB."""
        try:
            match source:
                case ProjectImage():
                    address = source.address or self._images.address(source.project_id, source.image_id)
                    return self._objects.get_public(address, max_bytes=MAX_BYTES, field="input.project_image")
                case ObjectAddress():
                    return self._objects.get_public(source.address, max_bytes=MAX_BYTES, field="input.object_url")
                case WebAddress():
                    return self._fetch(source.address, MAX_BYTES)
                case _:
                    return source
        except OutOfRange:
            raise InvalidArgument("TOO_LARGE", f"the file has more than the {MAX_BYTES:,} bytes that are taken", field="input") from None


def digest(content: bytes | Tensor) -> bytes:
    """The SHA-256 of a file, or of a tensor's elements."""
    if isinstance(content, Tensor):
        content = b"".join(content.strings) if content.strings else content.content
    return hashlib.sha256(content).digest()


def size_of(content: bytes | Tensor) -> int:
    """How many bytes these are."""
    if isinstance(content, Tensor):
        return sum(map(len, content.strings)) or len(content.content)
    return len(content)
