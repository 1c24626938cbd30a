"""What people agreed on, image by image: what training reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from labelmesh.labeling.v1 import annotations_pb2

from labelmesh_client.images import Image
from labelmesh_client.services import Services
from labelmesh_client.streams import resumed


@dataclass(frozen=True)
class LabeledImage:
    """An image and the class that most annotators gave; each counts once, with the label they gave last.

    `class_id` is None where several classes have the most. `annotators` labeled it, `agreeing` of them gave `class_id` (of a tie, any of
    the classes with the most).
    """

    image: Image
    class_id: str | None
    annotators: int
    agreeing: int

    @staticmethod
    def from_wire(message: annotations_pb2.LabeledImage) -> LabeledImage:
        return LabeledImage(
            image=Image.from_wire(message.image),
            class_id=message.class_id or None,
            annotators=message.annotators_count,
            agreeing=message.agreeing_count,
        )


def stream_labels(services: Services, project_id: str, revive: Callable[[], object], *, patience_s: float = 60.0) -> Iterator[LabeledImage]:
    """Every image with a label that stands, in the order they came, once.

    The server ends its stream every minute at the latest, and a line may break: it is taken up again where it ended. While the server is
    away that is tried for `patience_s` seconds. For managers, and keys with `labeling.read`.
    """
    cursor = ""

    def ask() -> Iterator[annotations_pb2.StreamLabelsResponse]:
        return iter(services.annotations.StreamLabels(annotations_pb2.StreamLabelsRequest(project_id=project_id, cursor=cursor)))

    for message in resumed(services.connection, ask, revive, patience_s=patience_s):
        cursor = message.cursor
        yield from map(LabeledImage.from_wire, message.images)
