"""What a model needs and what its outputs mean: the contract's ModelManifest as values, with the defaults of the contract filled in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from labelmesh_chassis.errors import FieldViolation, InvalidArgument

from labelmesh_inference.serving.values import DataType

DEFAULT_SIGNATURE = "serving_default"
# One input as a tensor, in bytes; what is larger fits no message to the model server.
MAX_INPUT_BYTES = 64 * 1024 * 1024

_DEFAULT_TOP_CLASSES = 10
_DEFAULT_TOP = 100
_NO_PIXELS = {DataType.STRING, DataType.BOOL, DataType.COMPLEX64, DataType.COMPLEX128}
# Smallest and largest value of what is not floating point.
INTEGER_RANGES: dict[DataType, tuple[int, int]] = {
    DataType.INT8: (-(2**7), 2**7 - 1),
    DataType.INT16: (-(2**15), 2**15 - 1),
    DataType.INT32: (-(2**31), 2**31 - 1),
    DataType.INT64: (-(2**63), 2**63 - 1),
    DataType.UINT8: (0, 2**8 - 1),
    DataType.UINT16: (0, 2**16 - 1),
    DataType.UINT32: (0, 2**32 - 1),
    DataType.UINT64: (0, 2**64 - 1),
}
_BYTES = {
    DataType.FLOAT16: 2,
    DataType.BFLOAT16: 2,
    DataType.FLOAT32: 4,
    DataType.FLOAT64: 8,
    DataType.INT16: 2,
    DataType.INT32: 4,
    DataType.INT64: 8,
    DataType.UINT16: 2,
    DataType.UINT32: 4,
    DataType.UINT64: 8,
}


class InputKind(StrEnum):
    """How a picture reaches the model."""

    PIXELS = "pixels"
    ENCODED = "encoded"
    TENSOR = "tensor"


class ColorMode(StrEnum):
    """Channels and their order."""

    RGB = "rgb"
    BGR = "bgr"
    GRAY = "gray"


class Fit(StrEnum):
    """How a picture of another shape gets into the model's size."""

    STRETCH = "stretch"
    LETTERBOX = "letterbox"
    CROP = "crop"
    NONE = "none"


class Resampling(StrEnum):
    """How pixels are computed when the size changes."""

    BILINEAR = "bilinear"
    NEAREST = "nearest"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"


class Layout(StrEnum):
    """Where the channels stand in the tensor."""

    NHWC = "nhwc"
    NCHW = "nchw"


class Activation(StrEnum):
    """How a model's numbers become 0 to 1."""

    NONE = "none"
    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"


class BoxOrder(StrEnum):
    """The order of a box's four numbers."""

    YXYX = "yxyx"
    XYXY = "xyxy"
    XYWH = "xywh"
    CXCYWH = "cxcywh"


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The model's input: (pixel * scale - mean) / std of pixels 0 to 255. Width and height in pixels, 0 for any."""

    kind: InputKind
    tensor: str = ""
    data_type: DataType | None = None
    width: int = 0
    height: int = 0
    color: ColorMode = ColorMode.RGB
    fit: Fit = Fit.STRETCH
    resampling: Resampling = Resampling.BILINEAR
    layout: Layout = Layout.NHWC
    scale: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    fill: int = 0
    keep_exif_rotation: bool = False
    light_on_dark: bool = False
    max_side: int = 0

    @property
    def channels(self) -> int:
        """1 for grey, else 3."""
        return 1 if self.color is ColorMode.GRAY else 3

    @property
    def has_size(self) -> bool:
        """Whether pictures are brought to one size."""
        return self.width > 0


@dataclass(frozen=True, slots=True)
class ClassesOutput:
    """One score for each class: [batch, classes]. An empty name means the signature's only output."""

    tensor: str = ""
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class BoxesOutput:
    """Boxes [batch, n, 4] with scores [batch, n], classes [batch, n] unless empty, and how many count, [batch], unless empty."""

    boxes: str
    scores: str
    classes: str = ""
    count: str = ""
    order: BoxOrder = BoxOrder.YXYX
    pixels: bool = False


@dataclass(frozen=True, slots=True)
class KeypointsOutput:
    """Points: [batch, keypoints, 2 or 3] or [batch, bodies, keypoints, 2 or 3]; the third number is the score."""

    tensor: str = ""
    y_first: bool = False
    pixels: bool = False
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MaskOutput:
    """Scores [batch, height, width, classes] or class indices [batch, height, width]."""

    tensor: str = ""


@dataclass(frozen=True, slots=True)
class RawOutput:
    """Outputs passed on as they are; empty means all."""

    tensors: tuple[str, ...] = ()


Output = ClassesOutput | BoxesOutput | KeypointsOutput | MaskOutput | RawOutput
OUTPUT_FIELDS: dict[type[Output], str] = {
    ClassesOutput: "classes",
    BoxesOutput: "boxes",
    KeypointsOutput: "keypoints",
    MaskOutput: "mask",
    RawOutput: "raw",
}


@dataclass(frozen=True, slots=True)
class Batching:
    """How calls are packed. Seconds; what is None or 0 has the service's default."""

    max_batch_size: int = 0
    max_wait_s: float | None = None
    max_calls_in_flight: int = 0
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """Everything about a model that is not in its SavedModel. `labels` are names by index, from `first_index` on."""

    model: str
    input: InputSpec
    output: Output
    display_name: str = ""
    description: str = ""
    license: str = ""
    signature: str = DEFAULT_SIGNATURE
    labels: tuple[str, ...] = ()
    first_index: int = 0
    threshold: float = 0.0
    top_k: int = 0
    batching: Batching = field(default_factory=Batching)

    @property
    def output_field(self) -> str:
        """The name of the output's field in the contract, e.g. "boxes"."""
        return OUTPUT_FIELDS[type(self.output)]

    @property
    def most_results(self) -> int:
        """How many results a call gets that does not say how many: 10 classes, 100 of anything else, unless the manifest says so."""
        return self.top_k or (_DEFAULT_TOP_CLASSES if isinstance(self.output, ClassesOutput) else _DEFAULT_TOP)

    def label(self, index: int) -> str:
        """The name of a class; the index as text where the manifest names none."""
        place = index - self.first_index
        return (self.labels[place] if 0 <= place < len(self.labels) else "") or str(index)

    def check_consistency(self) -> None:
        """Raises InvalidArgument (MANIFEST_INVALID) naming every field that contradicts another one, e.g. "manifest.input.mean"."""
        found = [FieldViolation(f"manifest.{path}", problem, "MANIFEST_INVALID") for path, problem in self._problems()]
        if found:
            sentence = "; ".join(f"{violation.field}: {violation.description}" for violation in found[:3])
            raise InvalidArgument("MANIFEST_INVALID", sentence, violations=found)

    def _problems(self) -> Iterator[tuple[str, str]]:
        match self.input.kind:
            case InputKind.PIXELS:
                yield from _pixel_problems(self.input)
            case InputKind.ENCODED:
                yield from _unused(self.input, "a model that decodes files itself", allowed={"max_side", "keep_exif_rotation"})
                if self.input.data_type not in (None, DataType.STRING):
                    yield "input.data_type", "a file reaches the model as a string"
            case InputKind.TENSOR:
                yield from _unused(self.input, "a model that gets no pictures", allowed=set())
        yield from _output_problems(self.output, self.input)
        if self.first_index and not self.labels:
            yield "first_index", "there are no labels that it could be the first index of"


def _pixel_problems(spec: InputSpec) -> Iterator[tuple[str, str]]:
    if (spec.width == 0) != (spec.height == 0):
        missing = "width" if spec.width == 0 else "height"
        yield f"input.{missing}", "width and height are both given, or both 0 for any size"
    elif spec.has_size and spec.fit is Fit.NONE:
        yield "input.fit", "pictures that are not resized have no given size: leave out width and height, or choose another fit"
    elif not spec.has_size and spec.fit in (Fit.LETTERBOX, Fit.CROP):
        yield "input.fit", f"{spec.fit.value} needs a width and a height to fit into"
    elif spec.width * spec.height * spec.channels * _BYTES.get(spec.data_type or DataType.UINT8, 1) > MAX_INPUT_BYTES:
        yield "input.width", f"one input has more than {MAX_INPUT_BYTES >> 20} MiB"
    if spec.fill and spec.fit is not Fit.LETTERBOX:
        yield "input.fill", "only letterboxing fills"
    for name, values in (("mean", spec.mean), ("std", spec.std)):
        if len(values) not in (0, 1, spec.channels):
            yield f"input.{name}", f"{len(values)} numbers do not fit the {spec.channels} channels of {spec.color.value}"
    if spec.data_type in _NO_PIXELS:
        yield "input.data_type", f"pixels cannot be {spec.data_type.value}"
    elif spec.data_type in INTEGER_RANGES:
        yield from _range_problems(spec, *INTEGER_RANGES[spec.data_type])


def _range_problems(spec: InputSpec, least: int, most: int) -> Iterator[tuple[str, str]]:
    if len(spec.mean) not in (0, 1, spec.channels) or len(spec.std) not in (0, 1, spec.channels):
        return
    for mean, std in zip(_by_channel(spec.mean, 0.0, spec.channels), _by_channel(spec.std, 1.0, spec.channels), strict=True):
        dark, light = -mean / std, (255 * spec.scale - mean) / std
        if light - dark < 2 or not (least <= round(dark) and round(light) <= most) or not math.isfinite(light):
            yield "input.scale", f"pixels become {dark:g} to {light:g}, which the integers from {least} to {most} cannot show"
            return


def _by_channel(values: tuple[float, ...], default: float, channels: int) -> tuple[float, ...]:
    return values if len(values) == channels else (values or (default,)) * channels


def _unused(spec: InputSpec, whom: str, *, allowed: set[str]) -> Iterator[tuple[str, str]]:
    """Settings of pixels that would do nothing, and so were meant for something else."""
    plain = InputSpec(spec.kind)
    for name in ("width", "height", "color", "fit", "resampling", "layout", "scale", "mean", "std", "fill", "light_on_dark", "max_side"):
        if name not in allowed and getattr(spec, name) != getattr(plain, name):
            if name == "fit" and spec.fit is Fit.NONE:
                continue
            yield f"input.{name}", f"{whom} has no use for it"
    if "keep_exif_rotation" not in allowed and spec.keep_exif_rotation:
        yield "input.keep_exif_rotation", f"{whom} has no use for it"


def _output_problems(output: Output, spec: InputSpec) -> Iterator[tuple[str, str]]:
    match output:
        case BoxesOutput():
            named = [("boxes", output.boxes), ("scores", output.scores), ("classes", output.classes), ("count", output.count)]
            seen: dict[str, str] = {}
            for name, tensor in named:
                if tensor and tensor in seen:
                    yield f"boxes.{name}", f"{tensor} is the output of {seen[tensor]} already"
                seen.setdefault(tensor, name)
        case KeypointsOutput() if len(set(output.names)) != len(output.names):
            yield "keypoints.names", "two points have the same name"
        case MaskOutput() if spec.fit is Fit.CROP:
            yield "input.fit", "a mask of the middle part does not cover the picture: choose letterbox or stretch"
        case RawOutput() if len(set(output.tensors)) != len(output.tensors):
            yield "raw.tensors", "an output is named twice"
        case _:
            return
