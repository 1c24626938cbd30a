"""What a model can be asked about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from labelmesh.inference.v1 import predictions_pb2

from labelmesh_client.errors import LabelmeshError, SourceError
from labelmesh_client.images import MAX_FILE_BYTES
from labelmesh_client.tensors import Tensor


@dataclass(frozen=True)
class ProjectImage:
    """An image of a labeling project, by ids."""

    project_id: str
    image_id: str


@dataclass(frozen=True)
class ObjectUrl:
    """An address that the mesh itself handed out for reading, e.g. an image's `url`."""

    url: str


@dataclass(frozen=True)
class Url:
    """A picture somewhere else, http or https; the server fetches it, from public addresses only."""

    url: str


#: What a model can be asked about: a JPEG or PNG file by its content or its path, a picture elsewhere, or a tensor in the model's own form.
Input = bytes | Path | ProjectImage | ObjectUrl | Url | Tensor


def input_message(given: Input) -> predictions_pb2.Input:
    """The input for the wire. Raises SourceError for a file that cannot be read, is empty or too large."""
    match given:
        case bytes():
            return predictions_pb2.Input(image=_checked(given, "the picture"))
        case Path():
            return predictions_pb2.Input(image=_checked(_read(given), str(given)))
        case ProjectImage():
            return predictions_pb2.Input(project_image=predictions_pb2.ProjectImage(project_id=given.project_id, image_id=given.image_id))
        case ObjectUrl():
            return predictions_pb2.Input(object_url=given.url)
        case Url():
            return predictions_pb2.Input(url=given.url)
        case Tensor():
            return predictions_pb2.Input(tensor=given.to_wire())


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}.", reason="UNREADABLE") from None


def _checked(content: bytes, name: str) -> bytes:
    if not content:
        raise SourceError(f"{name} is empty.", reason="EMPTY")
    if len(content) > MAX_FILE_BYTES:
        raise SourceError(f"{name} has more than {MAX_FILE_BYTES:,} bytes (16 MiB).", reason="TOO_LARGE")
    return content


def tried(given: Input) -> predictions_pb2.Input | LabelmeshError:
    """The input for the wire, or why there is none."""
    try:
        return input_message(given)
    except LabelmeshError as error:
        return error


def weight(message: predictions_pb2.Input | LabelmeshError) -> int:
    """Bytes that an input takes in a message."""
    return 0 if isinstance(message, LabelmeshError) else message.ByteSize() + 8
