"""Images of labeling, as this service sees them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class AwaitingImage:
    """An image that awaits labels, and where its file can be read for some minutes."""

    image_id: UUID
    address: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ImagePage:
    """Some images in the order they came, and the token of those after them, empty at the end."""

    images: tuple[AwaitingImage, ...]
    next_token: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a model says of an image. `score` 0 to 1."""

    image_id: UUID
    class_id: str
    score: float
