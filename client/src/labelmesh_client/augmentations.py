"""Augmenting pictures with their labels: one result, small pictures of several, or a stream of many."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labelmesh.augment.v1 import augmentations_pb2 as wire

from labelmesh_client.errors import LabelmeshError, ResourceExhausted, SourceError
from labelmesh_client.images import MAX_FILE_BYTES
from labelmesh_client.inputs import ObjectUrl, ProjectImage, Url
from labelmesh_client.jsonforms import as_json, parsed, struct
from labelmesh_client.picturelabels import PictureLabels
from labelmesh_client.pipelines import (
    Fill,
    Finding,
    LabelRules,
    Output,
    Pipeline,
    PipelineReference,
    fill_from_wire,
    fill_to_wire,
    output_from_wire,
    output_to_wire,
    rules_from_wire,
    rules_to_wire,
)
from labelmesh_client.services import Services

#: A picture: the content or the path of a JPEG, PNG, GIF, WebP or TIFF file, an image of a project, or an address.
Picture = bytes | Path | ProjectImage | ObjectUrl | Url

MOST_FURTHER = 8
MOST_COPIES = 100
MAX_SEED = 2**32 - 1
#: A service without a free place is given this long at least.
_BUSY_PAUSE_S = 0.1


@dataclass(frozen=True)
class Sample:
    """A picture, and what is known of it."""

    picture: Picture
    labels: PictureLabels = field(default_factory=PictureLabels)


@dataclass(frozen=True)
class StreamSample:
    """A picture of a stream: the copies to make of it, and further pictures for mixup, cutmix and mosaic.

    One that is `broken` is answered with that in its place and not sent, so that whoever makes samples need not leave out any.
    """

    sample: Sample
    copies: tuple[int, ...] = (0,)
    further: tuple[Sample, ...] = ()
    broken: LabelmeshError | None = None


@dataclass(frozen=True)
class DrawnStep:
    """A step with nothing random left in it; `path` is the place in the pipeline, level by level."""

    transform: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    path: tuple[int, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """Everything that was drawn for one result. Applied to the same file it makes the same picture again.

    `versions` are those of what drew it; with the same ones it is the same byte by byte.
    """

    steps: tuple[DrawnStep, ...] = ()
    fill: Fill = field(default_factory=Fill)
    labels: LabelRules = field(default_factory=LabelRules)
    output: Output = field(default_factory=Output)
    versions: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Recipe:
        """The recipe that `to_json` wrote. Raises SourceError."""
        return Recipe.from_wire(parsed(value, wire.Recipe()))

    def to_json(self) -> dict[str, Any]:
        """As the contract has it in JSON."""
        return as_json(self.to_wire())

    def to_wire(self) -> wire.Recipe:
        message = wire.Recipe(
            fill=fill_to_wire(self.fill),
            fill_colour=self.fill.colour or (),
            labels=rules_to_wire(self.labels),
            output=output_to_wire(self.output),
            versions=dict(self.versions),
        )
        for step in self.steps:
            drawn = message.steps.add(transform=step.transform, path=step.path)
            drawn.parameters.CopyFrom(struct(step.parameters))
        return message

    @staticmethod
    def from_wire(message: wire.Recipe) -> Recipe:
        return Recipe(
            steps=tuple(DrawnStep(one.transform, as_json(one.parameters), tuple(one.path)) for one in message.steps),
            fill=fill_from_wire(message.fill, message.fill_colour),
            labels=rules_from_wire(message.labels),
            output=output_from_wire(message.output),
            versions=dict(sorted(message.versions.items())),
        )


@dataclass(frozen=True)
class DroppedLabel:
    """A box or polygon that is not in the result any more, and which share of it was left, 0 to 1."""

    id: str
    label: str
    visible_share: float


@dataclass(frozen=True)
class Augmented:
    """A result: the file, its size in pixels, the labels in it, those dropped, and how it can be made again.

    `input_sha256` is of the file that went in (hex, lower case).
    """

    image: bytes
    media_type: str
    width: int
    height: int
    frames: int
    labels: PictureLabels
    dropped: tuple[DroppedLabel, ...]
    recipe: Recipe
    input_sha256: str
    seed: int
    copy: int

    @staticmethod
    def from_wire(message: wire.Augmented) -> Augmented:
        return Augmented(
            image=message.image,
            media_type=message.media_type,
            width=message.width,
            height=message.height,
            frames=message.frames,
            labels=PictureLabels.from_wire(message.labels),
            dropped=_dropped(message.dropped),
            recipe=Recipe.from_wire(message.recipe),
            input_sha256=message.input_sha256,
            seed=message.seed,
            copy=message.copy,
        )


@dataclass(frozen=True)
class Preview:
    """A result as a small picture for a screen; the labels are in pixels of the result itself, `full_width` x `full_height`."""

    image: bytes
    media_type: str
    width: int
    height: int
    full_width: int
    full_height: int
    labels: PictureLabels
    dropped: tuple[DroppedLabel, ...]
    recipe: Recipe
    copy: int

    @staticmethod
    def from_wire(message: wire.Preview) -> Preview:
        return Preview(
            image=message.image,
            media_type=message.media_type,
            width=message.width,
            height=message.height,
            full_width=message.full_width,
            full_height=message.full_height,
            labels=PictureLabels.from_wire(message.labels),
            dropped=_dropped(message.dropped),
            recipe=Recipe.from_wire(message.recipe),
            copy=message.copy,
        )


@dataclass(frozen=True)
class Previews:
    """The picture without any step, its results by copy, and what the pipeline may not have meant."""

    original: Preview
    previews: tuple[Preview, ...]
    warnings: tuple[Finding, ...]
    input_sha256: str


#: What an item of a stream got: a result or an error for each of its copies.
Answer = Augmented | LabelmeshError


class Augmentations:
    """Augmenting. Keys need augment.apply. Work that finds no free place is asked for again when the server says so."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def apply(
        self,
        sample: Sample | Picture,
        how: Pipeline | PipelineReference | Recipe,
        *,
        seed: int = 0,
        copy: int = 0,
        further: Sequence[Sample | Picture] = (),
    ) -> Augmented:
        """One result in full. The same picture, pipeline, seed and copy give the same result; a recipe needs neither seed nor copy.

        Raises InvalidArgument (NOT_AN_IMAGE, TOO_MANY_PIXELS, URL_REFUSED, PIPELINE_INVALID, ...), FailedPrecondition (RESULT_TOO_LARGE),
        ResourceExhausted (WORKERS_BUSY), Unavailable.

        >>> client.augmentations.apply(Path("fox.jpg"), Pipeline((Step("rotate"),)), seed=7).image
        """
        request = wire.ApplyRequest(
            sample=sample_message(sample), seed=seed, copy=copy, further=[sample_message(one) for one in further], **_how(how)
        )
        return Augmented.from_wire(self._when_free(lambda: self._services.augmentations.Apply(request)).augmented)

    def preview(
        self,
        sample: Sample | Picture,
        how: Pipeline | PipelineReference,
        *,
        seed: int = 0,
        count: int = 8,
        first_copy: int = 0,
        max_side: int = 384,
        further: Sequence[Sample | Picture] = (),
    ) -> Previews:
        """Small pictures of the results that `apply` makes for `count` copies (1 to 24) from `first_copy` on; errors as there."""
        request = wire.PreviewRequest(
            sample=sample_message(sample),
            seed=seed,
            count=count,
            first_copy=first_copy,
            max_side=max_side,
            further=[sample_message(one) for one in further],
            **_how(how),
        )
        reply = self._when_free(lambda: self._services.augmentations.Preview(request))
        return Previews(
            original=Preview.from_wire(reply.original),
            previews=tuple(map(Preview.from_wire, reply.previews)),
            warnings=tuple(map(Finding.from_wire, reply.warnings)),
            input_sha256=reply.input_sha256,
        )

    def stream(
        self,
        samples: Iterable[StreamSample | Sample | Picture],
        how: Pipeline | PipelineReference,
        *,
        seed: int = 0,
        in_flight: int = 32,
        patience_s: float = 60.0,
    ) -> Iterator[Answer]:
        """A result or an error for each copy of each sample, in their order. See `augmentationstream.augment_stream`."""
        from labelmesh_client.augmentationstream import augment_stream

        return augment_stream(self._services, samples, how, seed=seed, in_flight=in_flight, patience_s=patience_s)

    def _when_free(self, call: Any) -> Any:
        give_up = time.monotonic() + self._services.connection.patience_s
        while True:
            try:
                return call()
            except ResourceExhausted as error:
                if error.retry_after is None:
                    raise
                pause = max(error.retry_after, _BUSY_PAUSE_S) * random.uniform(1.0, 1.5)
                if time.monotonic() + pause > give_up:
                    raise
                self._services.connection.pause(pause)


def _how(how: Pipeline | PipelineReference | Recipe) -> dict[str, Any]:
    match how:
        case Pipeline():
            return {"pipeline": how.to_wire()}
        case PipelineReference():
            return {"saved": wire.PipelineReference(project_id=how.project_id, name=how.name, version=how.version)}
        case Recipe():
            return {"recipe": how.to_wire()}


def first_message(how: Pipeline | PipelineReference, seed: int) -> wire.ApplyStreamRequest:
    """What a stream begins with."""
    return wire.ApplyStreamRequest(seed=seed, **_how(how))


def sample_message(given: Sample | Picture) -> wire.Sample:
    """A sample for the wire. Raises SourceError for a file that cannot be read, is empty or too large, and for labels that are none."""
    sample = given if isinstance(given, Sample) else Sample(given)
    return wire.Sample(source=_source(sample.picture), labels=None if sample.labels == PictureLabels() else sample.labels.to_wire())


def _source(picture: Picture) -> wire.Source:
    match picture:
        case bytes():
            return wire.Source(image=_checked(picture, "The picture"))
        case Path():
            return wire.Source(image=_checked(_read(picture), str(picture)))
        case ProjectImage():
            return wire.Source(project_image=wire.ProjectImage(project_id=picture.project_id, image_id=picture.image_id))
        case ObjectUrl():
            return wire.Source(object_url=picture.url)
        case Url():
            return wire.Source(url=picture.url)


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


def _dropped(messages: Iterable[wire.DroppedLabel]) -> tuple[DroppedLabel, ...]:
    return tuple(DroppedLabel(one.id, one.label, one.visible_share) for one in messages)
