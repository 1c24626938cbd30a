"""Pipelines: what is to be done to pictures, as values and as JSON; and those that projects keep."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from labelmesh.augment.v1 import pipelines_pb2 as wire

from labelmesh_client.errors import SourceError
from labelmesh_client.jsonforms import as_json, parsed, struct, whole
from labelmesh_client.services import Services
from labelmesh_client.timestamps import moment
from labelmesh_client.transforms import Transform, transform_from_wire

_PAGE = 500
_MAX_FILE_BYTES = 4 * 1024 * 1024


class FillKind(StrEnum):
    """What is outside of a picture: one colour, its outermost pixels drawn out, or the picture mirrored."""

    COLOUR = "colour"
    EDGE = "edge"
    MIRROR = "mirror"


class Format(StrEnum):
    """A file format of pictures; KEEP is the input's own."""

    KEEP = "keep"
    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    TIFF = "tiff"
    GIF = "gif"


_FILLS = {FillKind.COLOUR: wire.FILL_COLOUR, FillKind.EDGE: wire.FILL_EDGE, FillKind.MIRROR: wire.FILL_MIRROR}
_FILLS_BACK = {wire.FILL_UNSPECIFIED: FillKind.COLOUR, **{value: kind for kind, value in _FILLS.items()}}
_FORMATS = {
    Format.KEEP: wire.FORMAT_UNSPECIFIED,
    Format.JPEG: wire.FORMAT_JPEG,
    Format.PNG: wire.FORMAT_PNG,
    Format.WEBP: wire.FORMAT_WEBP,
    Format.TIFF: wire.FORMAT_TIFF,
    Format.GIF: wire.FORMAT_GIF,
}
_FORMATS_BACK = {value: form for form, value in _FORMATS.items()}


@dataclass(frozen=True)
class Fill:
    """What is outside of a picture; `colour` is (red, green, blue), 0 to 255. None is black, transparent where there is transparency."""

    kind: FillKind = FillKind.COLOUR
    colour: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class LabelRules:
    """When labels are kept: at least this share of the area visible (None: 0.1) and this many square pixels (None: 1).

    `mirror_pairs` are names that change places when the picture is mirrored, e.g. ("left_eye", "right_eye").
    """

    min_visible_share: float | None = None
    min_area: float | None = None
    mirror_pairs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Output:
    """How results are written: `quality` 1 to 100 of JPEG and WebP, 0 for the input's; EXIF and XMP only with `keep_metadata`."""

    format: Format = Format.KEEP
    quality: int = 0
    keep_metadata: bool = False


@dataclass(frozen=True)
class Step:
    """One step: `probability` None is always; `steps` are for one_of, some_of and sequence.

    >>> Step("rotate", probability=0.5, parameters={"angle": [-20, 20]})
    """

    transform: str
    probability: float | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Pipeline:
    """What is to be done to pictures, in order.

    >>> Pipeline((Step("horizontal_flip", 0.5), Step("brightness")))
    >>> Pipeline.read(Path("p.json"))
    """

    steps: tuple[Step, ...] = ()
    fill: Fill = field(default_factory=Fill)
    labels: LabelRules = field(default_factory=LabelRules)
    output: Output = field(default_factory=Output)
    version: int = 0

    @staticmethod
    def from_json(given: str | Mapping[str, Any] | Sequence[Any]) -> Pipeline:
        """A pipeline of JSON text or of what it means; see `pipeline_message`. Raises SourceError (PIPELINE_INVALID)."""
        return pipeline_from_wire(pipeline_message(given))

    @staticmethod
    def read(path: Path) -> Pipeline:
        """The pipeline of a JSON file. Raises SourceError with the file's name."""
        return _read_pipeline(path)

    def to_json(self) -> dict[str, Any]:
        """As the contract has it in JSON, and as the browser copies it."""
        return as_json(self.to_wire())

    def to_wire(self) -> wire.Pipeline:
        return wire.Pipeline(
            version=self.version,
            steps=[step_to_wire(step) for step in self.steps],
            fill=fill_to_wire(self.fill),
            fill_colour=self.fill.colour or (),
            labels=rules_to_wire(self.labels),
            output=output_to_wire(self.output),
        )


@dataclass(frozen=True)
class PipelineReference:
    """A version of a pipeline that a project keeps; the newest for 0."""

    project_id: str
    name: str
    version: int = 0


@dataclass(frozen=True)
class Finding:
    """One thing about a pipeline: where, e.g. `steps[1].parameters.angle`, what, and whether it is a warning only."""

    field: str
    description: str
    warning: bool = False

    @staticmethod
    def from_wire(message: wire.Finding) -> Finding:
        return Finding(message.field, message.description, message.warning)


@dataclass(frozen=True)
class Validation:
    """What is to be said of a pipeline; `pipeline` has every default filled in and is None unless `valid`."""

    valid: bool
    findings: tuple[Finding, ...]
    pipeline: Pipeline | None


@dataclass(frozen=True)
class SavedPipeline:
    """A version of a pipeline that a project keeps; a version never changes."""

    project_id: str
    name: str
    version: int
    pipeline: Pipeline
    note: str
    author_id: str
    create_time: datetime | None

    @staticmethod
    def from_wire(message: wire.SavedPipeline) -> SavedPipeline:
        return SavedPipeline(
            project_id=message.project_id,
            name=message.name,
            version=message.version,
            pipeline=pipeline_from_wire(message.pipeline),
            note=message.note,
            author_id=message.author_id,
            create_time=moment(message, "create_time"),
        )


class Pipelines:
    """What pipelines can be made of, and those that projects keep. Keys need augment.read, to save and to delete augment.manage."""

    def __init__(self, services: Services) -> None:
        self._stub = services.pipelines

    def transforms(self) -> list[Transform]:
        """Every transform with its parameters."""
        return [transform_from_wire(one) for one in self._stub.ListTransforms(wire.ListTransformsRequest()).transforms]

    def validate(self, pipeline: Pipeline) -> Validation:
        """Everything that is wrong with a pipeline, at once."""
        reply = self._stub.ValidatePipeline(wire.ValidatePipelineRequest(pipeline=pipeline.to_wire()))
        filled = pipeline_from_wire(reply.pipeline) if reply.valid and reply.HasField("pipeline") else None
        return Validation(reply.valid, tuple(map(Finding.from_wire, reply.findings)), filled)

    def save(self, project_id: str, name: str, pipeline: Pipeline, *, note: str = "", previous_version: int = 0) -> SavedPipeline:
        """Saves the next version of a name; the newest one saved again stays as it is.

        Raises InvalidArgument (PIPELINE_INVALID), and Aborted (VERSION_EXISTS) where `previous_version` is not the newest any more.
        """
        request = wire.SavePipelineRequest(
            request_id=str(uuid.uuid4()),
            project_id=project_id,
            name=name,
            pipeline=pipeline.to_wire(),
            note=note,
            previous_version=previous_version,
        )
        return SavedPipeline.from_wire(self._stub.SavePipeline(request).pipeline)

    def list(self, project_id: str, name: str = "") -> Iterator[SavedPipeline]:
        """The newest version of each name, by name; with `name` all its versions, newest first. Page by page."""
        token = ""
        while True:
            request = wire.ListPipelinesRequest(project_id=project_id, page_size=_PAGE, page_token=token, name=name)
            page = self._stub.ListPipelines(request)
            yield from map(SavedPipeline.from_wire, page.pipelines)
            token = page.next_page_token
            if not token:
                return

    def get(self, project_id: str, name: str, version: int = 0) -> SavedPipeline:
        """One version, the newest for 0. Raises NotFound (PIPELINE_NOT_FOUND)."""
        request = wire.GetPipelineRequest(project_id=project_id, name=name, version=version)
        return SavedPipeline.from_wire(self._stub.GetPipeline(request).pipeline)

    def delete(self, project_id: str, name: str) -> None:
        """Takes a name off the list; its versions can still be got by number."""
        self._stub.DeletePipeline(wire.DeletePipelineRequest(request_id=str(uuid.uuid4()), project_id=project_id, name=name))


# --- JSON ---


def _read_pipeline(path: Path) -> Pipeline:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
        if len(content) > _MAX_FILE_BYTES:
            raise SourceError(f"it has more than {_MAX_FILE_BYTES:,} bytes.")
        return Pipeline.from_json(content.decode("utf-8-sig"))
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}.", reason="UNREADABLE") from None
    except UnicodeDecodeError:
        raise SourceError(f"{path}: it is not text in UTF-8.", reason="PIPELINE_INVALID") from None
    except SourceError as error:
        raise SourceError(f"{path}: {error.message}", reason="PIPELINE_INVALID") from None


def pipeline_message(given: str | Mapping[str, Any] | Sequence[Any]) -> wire.Pipeline:
    """A pipeline for the wire, of JSON text or of what it means.

    Taken are an object as the browser copies it (`fillColour` and `fill_colour` alike, `"edge"` for `"FILL_EDGE"`), a plain list of steps,
    and an object with the pipeline under "pipeline", as `labelmesh augment pipelines show --json` prints it. Raises SourceError.
    """
    try:
        value = json.loads(given) if isinstance(given, str) else given
    except (ValueError, RecursionError) as error:
        raise SourceError(f"it is not JSON: {error}.", reason="PIPELINE_INVALID") from None
    if isinstance(value, Mapping) and isinstance(value.get("pipeline"), Mapping) and "steps" not in value:
        value = value["pipeline"]
    if isinstance(value, list | tuple):
        value = {"steps": list(value)}
    if not isinstance(value, Mapping):
        raise SourceError("a pipeline is a JSON object with “steps”.", reason="PIPELINE_INVALID")
    message: wire.Pipeline = parsed(_spelled(value), wire.Pipeline())
    return message


def _spelled(value: Mapping[str, Any]) -> dict[str, Any]:
    """With the names of fills and formats as the contract spells them."""
    spelled = dict(value)
    if isinstance(spelled.get("fill"), str) and not spelled["fill"].startswith("FILL_"):
        spelled["fill"] = f"FILL_{spelled['fill'].upper()}"
    output = spelled.get("output")
    if isinstance(output, Mapping) and isinstance(output.get("format"), str) and not output["format"].startswith("FORMAT_"):
        name = "UNSPECIFIED" if output["format"] == Format.KEEP else output["format"].upper()
        spelled["output"] = {**output, "format": f"FORMAT_{name}"}
    return spelled


# --- values and messages ---


def step_to_wire(step: Step) -> wire.Step:
    message = wire.Step(transform=step.transform, probability=step.probability, steps=[step_to_wire(one) for one in step.steps])
    if step.parameters:
        message.parameters.CopyFrom(struct(step.parameters))
    return message


def _step(message: wire.Step) -> Step:
    return Step(
        transform=message.transform,
        probability=message.probability if message.HasField("probability") else None,
        parameters=whole(as_json(message.parameters)),
        steps=tuple(map(_step, message.steps)),
    )


def fill_to_wire(fill: Fill) -> wire.Fill.ValueType:
    return wire.FILL_UNSPECIFIED if fill.kind is FillKind.COLOUR and fill.colour is None else _FILLS[fill.kind]


def fill_from_wire(kind: wire.Fill.ValueType, colour: Sequence[int]) -> Fill:
    red_green_blue = (colour[0], colour[1], colour[2]) if len(colour) == 3 else None
    return Fill(_FILLS_BACK.get(kind, FillKind.COLOUR), red_green_blue)


def rules_to_wire(rules: LabelRules) -> wire.LabelRules | None:
    if rules == LabelRules():
        return None
    pairs = [wire.MirrorPair(first=first, second=second) for first, second in rules.mirror_pairs]
    return wire.LabelRules(min_visible_share=rules.min_visible_share, min_area=rules.min_area, mirror_pairs=pairs)


def rules_from_wire(message: wire.LabelRules) -> LabelRules:
    return LabelRules(
        min_visible_share=message.min_visible_share if message.HasField("min_visible_share") else None,
        min_area=message.min_area if message.HasField("min_area") else None,
        mirror_pairs=tuple((pair.first, pair.second) for pair in message.mirror_pairs),
    )


def output_to_wire(output: Output) -> wire.Output | None:
    if output == Output():
        return None
    return wire.Output(format=_FORMATS[output.format], quality=output.quality, keep_metadata=output.keep_metadata)


def output_from_wire(message: wire.Output) -> Output:
    return Output(_FORMATS_BACK.get(message.format, Format.KEEP), message.quality, message.keep_metadata)


def pipeline_from_wire(message: wire.Pipeline) -> Pipeline:
    """The values of a message. Raises SourceError for a fill colour that is not three numbers."""
    if len(message.fill_colour) not in (0, 3):
        raise SourceError("fillColour is [red, green, blue], each 0 to 255.", reason="PIPELINE_INVALID")
    return Pipeline(
        steps=tuple(map(_step, message.steps)),
        fill=fill_from_wire(message.fill, message.fill_colour),
        labels=rules_from_wire(message.labels),
        output=output_from_wire(message.output),
        version=message.version,
    )
