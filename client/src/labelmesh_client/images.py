"""Images of a project: listing, finding by content, downloading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from labelmesh.labeling.v1 import images_pb2

from labelmesh_client.batches import in_batches
from labelmesh_client.services import Services
from labelmesh_client.timestamps import moment

#: The largest file a project takes.
MAX_FILE_BYTES = 16 * 1024 * 1024
_MAX_FIND = 5000
_PAGE = 1000


@dataclass(frozen=True)
class Image:
    """An image of a project.

    `name` is what it was imported under and not unique; `sha256` is of the file (hex, lower case); `width` and `height` are pixels before
    any EXIF rotation; a higher `priority` is handed out earlier; `url` can be fetched for some minutes and may be relative to the gateway.
    """

    id: str
    name: str
    sha256: str
    width: int
    height: int
    media_type: str
    size_bytes: int
    priority: float
    completed: bool
    create_time: datetime | None
    url: str

    @staticmethod
    def from_wire(message: images_pb2.Image) -> Image:
        return Image(
            id=message.id,
            name=message.name,
            sha256=message.sha256,
            width=message.width,
            height=message.height,
            media_type=message.media_type,
            size_bytes=message.size_bytes,
            priority=message.priority,
            completed=message.completed,
            create_time=moment(message, "create_time"),
            url=message.url,
        )


def list_images(services: Services, project_id: str, *, awaiting: bool = False) -> Iterator[Image]:
    """Every image in the order they came, page by page as the caller goes on; with `awaiting` only those that await labels."""
    token = ""
    while True:
        request = images_pb2.ListImagesRequest(project_id=project_id, page_size=_PAGE, page_token=token, awaiting=awaiting)
        page = services.images.ListImages(request)
        yield from map(Image.from_wire, page.images)
        token = page.next_page_token
        if not token:
            return


def get_image(services: Services, project_id: str, image_id: str) -> Image:
    """One image; NotFound when the project has none of that id."""
    return Image.from_wire(services.images.GetImage(images_pb2.GetImageRequest(project_id=project_id, image_id=image_id)).image)


def find_images(services: Services, project_id: str, sha256: Iterable[str]) -> dict[str, str]:
    """The ids of those contents (hex) that the project has, by content."""
    found: dict[str, str] = {}
    for batch in in_batches(sha256, _MAX_FIND):
        reply = services.images.FindImages(images_pb2.FindImagesRequest(project_id=project_id, sha256=batch))
        found.update((image.sha256, image.image_id) for image in reply.images)
    return found
