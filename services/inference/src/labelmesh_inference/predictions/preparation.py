"""From a picture or a tensor to what a model takes, as its manifest says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from labelmesh_chassis.errors import FailedPrecondition, InvalidArgument
from numpy.typing import NDArray
from PIL import Image

from labelmesh_inference.manifest import (
    INTEGER_RANGES,
    MAX_INPUT_BYTES,
    ColorMode,
    Fit,
    InputKind,
    InputSpec,
    Layout,
    ModelManifest,
    Resampling,
)
from labelmesh_inference.predictions.geometry import UPRIGHT_ORIENTATION, Geometry, swaps_sides
from labelmesh_inference.predictions.pictures import DecoderGate, Header, PictureFile, encode, upright
from labelmesh_inference.serving.values import STORAGE, DataType, Signature, Tensor, TensorSpec

_FILTERS = {
    Resampling.BILINEAR: Image.Resampling.BILINEAR,
    Resampling.NEAREST: Image.Resampling.NEAREST,
    Resampling.BICUBIC: Image.Resampling.BICUBIC,
    Resampling.LANCZOS: Image.Resampling.LANCZOS,
}
# A JPEG is decoded to a part of its size only while twice the pixels that are needed in each direction remain for the filter.
_DRAFT_GAP = 2.0
_LIGHT = 128
_MOST_FORMS = 1000

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Prepared:
    """One input of a model, by the names of its signature and without the batch dimension, and how the picture lies in it."""

    row: Mapping[str, Array | Tensor]
    geometry: Geometry | None
    media_type: str = ""
    # Of the upright picture, in pixels; 0 for tensors.
    width: int = 0
    height: int = 0


class Preparation:
    """Prepares inputs for one version of a model.

    FailedPrecondition (MANIFEST_MISMATCH) when its signature does not take what the manifest says.
    """

    def __init__(self, manifest: ModelManifest, signature: Signature, gate: DecoderGate | None = None) -> None:
        self._spec = manifest.input
        self._tensor = input_tensor(manifest, signature)
        self._gate = gate or DecoderGate()
        self._data_type, self._squeezed = _checked(self._spec, self._tensor)
        # Forms of tensors that were found right, with the bytes and the geometry of each.
        self._forms: dict[tuple[DataType, tuple[int, ...]], tuple[int, Geometry | None]] = {}

    def of_picture(self, content: bytes) -> Prepared:
        """A JPEG or PNG file. InvalidArgument as of PictureFile; WRONG_TYPE where the model takes no pictures."""
        spec = self._spec
        if spec.kind is InputKind.TENSOR:
            raise InvalidArgument("WRONG_TYPE", "this model takes tensors, no pictures", field="input")
        file = PictureFile(content)
        header = file.header
        if spec.kind is InputKind.ENCODED:
            value, geometry = self._encoded(file)
        else:
            value, geometry = self._pixels(file)
            if self._data_type is DataType.BFLOAT16:
                # numpy has no such type: what came out of the tables are its bits.
                tensor = Tensor(self._data_type, value.shape, value.tobytes())
                return Prepared({self._tensor.name: tensor}, geometry, header.media_type, header.width, header.height)
        return Prepared({self._tensor.name: value}, geometry, header.media_type, header.width, header.height)

    def of_tensor(self, tensor: Tensor) -> Prepared:
        """A tensor in the model's own form. InvalidArgument (WRONG_TYPE, WRONG_SHAPE) when it is not in that form."""
        form = (tensor.data_type, tensor.shape)
        known = self._forms.get(form)
        if known is None:
            self._check_form(tensor)
            tensor.check("input.tensor")
            if len(self._forms) >= _MOST_FORMS:
                self._forms.clear()
            known = self._forms[form] = (len(tensor.content), self._geometry_of(tensor.shape))
        elif tensor.strings or not tensor.content or len(tensor.content) != known[0]:
            tensor.check("input.tensor")
        return Prepared({self._tensor.name: tensor}, known[1])

    def _check_form(self, tensor: Tensor) -> None:
        wanted = self._tensor
        if tensor.data_type != wanted.data_type:
            problem = f"the model takes {wanted.data_type} as {wanted.name}, and this is {tensor.data_type.value}"
            raise InvalidArgument("WRONG_TYPE", problem, field="input.tensor")
        if wanted.shape is not None and not _fits(tensor.shape, wanted.shape[1:]):
            problem = f"the model takes {shape_text(wanted.shape[1:])} as {wanted.name}, and this is {shape_text(tensor.shape)}"
            raise InvalidArgument("WRONG_SHAPE", problem, field="input.tensor")

    def _geometry_of(self, shape: tuple[int, ...]) -> Geometry | None:
        """A tensor of pixels is a picture of its own size."""
        spec = self._spec
        if spec.kind is not InputKind.PIXELS or len(shape) < 2:
            return None
        sides = shape[-2:] if spec.layout is Layout.NCHW or self._squeezed else shape[-3:-1]
        # A signature that says nothing of its shape takes tensors that are no pictures.
        return Geometry.whole(sides[1], sides[0]) if len(sides) == 2 and all(sides) else None

    # --- files for models that decode themselves ---

    def _encoded(self, file: PictureFile) -> tuple[Array, Geometry]:
        header, spec = file.header, self._spec
        orientation = header.orientation if spec.keep_exif_rotation else UPRIGHT_ORIENTATION
        size = _shrunk(_frame(header, orientation), spec.max_side)
        content = file.content
        if size is not None or (header.orientation != orientation):
            with self._gate.room(header.pixels):
                content = encode(self._framed(file, orientation, size, gray=False), header.media_type)
        width, height = size or _frame(header, orientation)
        value = np.empty((), dtype=object)
        value[()] = content
        return value, Geometry.whole(header.width, header.height, width, height, orientation)

    # --- pixels ---

    def _pixels(self, file: PictureFile) -> tuple[Array, Geometry]:
        header, spec = file.header, self._spec
        orientation = header.orientation if spec.keep_exif_rotation else UPRIGHT_ORIENTATION
        gray = spec.color is ColorMode.GRAY
        frame = _frame(header, orientation)
        shrunk = _shrunk(frame, spec.max_side)
        size = shrunk or frame
        self._check_size(size)
        with self._gate.room(header.pixels):
            if shrunk is not None or not spec.has_size:
                pixels = np.asarray(self._framed(file, orientation, shrunk, gray=gray))
                if spec.has_size:
                    pixels = np.asarray(_fitted(Image.fromarray(pixels), spec, size))
            else:
                pixels = np.asarray(self._fitted_file(file, orientation, gray=gray))
            value = self._as_tensor(pixels)
        return value, _geometry(spec, header, size, orientation)

    def _check_size(self, size: tuple[int, int]) -> None:
        if self._spec.has_size:
            return
        count = size[0] * size[1] * self._spec.channels * STORAGE[self._data_type].itemsize
        if count > MAX_INPUT_BYTES:
            problem = (
                f"the model takes pictures at their own size, and {size[0]:,} x {size[1]:,} pixels are {count >> 20} MiB of "
                f"{self._data_type.value}; at most {MAX_INPUT_BYTES >> 20} MiB are taken (max_side in the manifest shrinks pictures)"
            )
            raise InvalidArgument("TOO_MANY_PIXELS", problem, field="input")

    def _framed(self, file: PictureFile, orientation: int, size: tuple[int, int] | None, *, gray: bool) -> Image.Image:
        """The whole picture, shrunk to `size` if any, in the orientation that the model sees."""
        turned = file.header.orientation if orientation == UPRIGHT_ORIENTATION else UPRIGHT_ORIENTATION
        if size is None:
            image, _ = file.pixels(gray=gray)
            return upright(image, turned)
        stored = (size[1], size[0]) if swaps_sides(turned) else size
        least = (stored[0] * _DRAFT_GAP, stored[1] * _DRAFT_GAP)
        image, reduction = file.pixels(gray=gray, least=least if self._may_draft else None)
        box = (0.0, 0.0, file.header.stored_width / reduction, file.header.stored_height / reduction)
        return upright(image.resize(stored, _FILTERS[self._spec.resampling], box=box), turned)

    def _fitted_file(self, file: PictureFile, orientation: int, *, gray: bool) -> Image.Image:
        """What `_fitted` makes of the whole picture, without pixels that nobody will see: resized as stored, then turned."""
        header = file.header
        turned = header.orientation if orientation == UPRIGHT_ORIENTATION else UPRIGHT_ORIENTATION
        region, size = _fit(self._spec, _frame(header, orientation))
        if swaps_sides(turned):
            region, size = (region[1], region[0]), (size[1], size[0])
        stored = (header.stored_width, header.stored_height)
        shrink = min(region[0] / size[0], region[1] / size[1]) / _DRAFT_GAP
        least = (stored[0] / shrink, stored[1] / shrink) if shrink >= 1 and self._may_draft else None
        image, reduction = file.pixels(gray=gray, least=least)
        return upright(image.resize(size, _FILTERS[self._spec.resampling], box=_middle(stored, region, reduction)), turned)

    @property
    def _may_draft(self) -> bool:
        return self._spec.resampling is not Resampling.NEAREST

    def _as_tensor(self, pixels: Array) -> Array:
        """Pixels [height, width] or [height, width, 3], 0 to 255, as the model takes them."""
        spec = self._spec
        if spec.light_on_dark and _background(pixels) >= _LIGHT:
            pixels = 255 - pixels
        if spec.color is ColorMode.BGR:
            pixels = pixels[:, :, ::-1]
        if spec.fit is Fit.LETTERBOX:
            pixels = _padded(pixels, spec)
        values = _valued(pixels, spec, self._data_type)
        if self._squeezed:
            return values
        if values.ndim == 2:
            return values[None] if spec.layout is Layout.NCHW else values[:, :, None]
        return np.ascontiguousarray(values.transpose(2, 0, 1)) if spec.layout is Layout.NCHW else values


def prepare(manifest: ModelManifest, signature: Signature, source: bytes | Tensor, gate: DecoderGate | None = None) -> Prepared:
    """One input for a model: a JPEG or PNG file, or a tensor in the model's own form. Errors as of Preparation's methods."""
    preparation = Preparation(manifest, signature, gate)
    return preparation.of_tensor(source) if isinstance(source, Tensor) else preparation.of_picture(source)


def input_tensor(manifest: ModelManifest, signature: Signature) -> TensorSpec:
    """The signature's input that the manifest means; FailedPrecondition (MANIFEST_MISMATCH) where there is none."""
    inputs, name = signature.inputs, manifest.input.tensor
    there = ", ".join(sorted(inputs)) or "none"
    if len(inputs) != 1:
        raise mismatch(f"the signature {signature.name} has several inputs ({there}), and one is all that can be given", name)
    if name and name not in inputs:
        raise mismatch(f"the signature {signature.name} has no input {name}; it has: {there}", name)
    return next(iter(inputs.values()))


def mismatch(problem: str, tensor: str) -> FailedPrecondition:
    """A model that is not what its manifest says."""
    return FailedPrecondition("MANIFEST_MISMATCH", problem, metadata={"tensor": tensor})


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape for people: [any, 28, 28]."""
    return "[" + ", ".join("any" if size < 0 else str(size) for size in shape) + "]"


def _checked(spec: InputSpec, tensor: TensorSpec) -> tuple[DataType, bool]:
    """The type that pixels become, and whether the model wants grey without a dimension of channels."""
    found = tensor.data_type
    wanted = spec.data_type
    if wanted is not None and wanted != found:
        raise mismatch(f"the input {tensor.name} is {found}, and the manifest says {wanted.value}", tensor.name)
    if spec.kind is InputKind.ENCODED:
        if found != DataType.STRING:
            raise mismatch(f"the input {tensor.name} is {found}; a model that decodes files takes string", tensor.name)
        if tensor.shape is not None and len(tensor.shape) != 1:
            raise mismatch(f"the input {tensor.name} has the shape {shape_text(tensor.shape)}; one file an input is [any]", tensor.name)
        return DataType.STRING, False
    if not isinstance(found, DataType):
        raise mismatch(f"the input {tensor.name} is {found}, which cannot be sent", tensor.name)
    if spec.kind is InputKind.TENSOR:
        return found, False
    if found is DataType.STRING or STORAGE[found].kind not in "fiu":
        raise mismatch(f"the input {tensor.name} is {found.value}, which pixels cannot be", tensor.name)
    return found, _squeezed(spec, tensor)


def _squeezed(spec: InputSpec, tensor: TensorSpec) -> bool:
    if tensor.shape is None:
        return False
    height, width = spec.height or -1, spec.width or -1
    with_channels = (height, width, spec.channels) if spec.layout is Layout.NHWC else (spec.channels, height, width)
    if _fits(with_channels, tensor.shape[1:]):
        return False
    if spec.channels == 1 and _fits((height, width), tensor.shape[1:]):
        return True
    problem = (
        f"the input {tensor.name} has the shape {shape_text(tensor.shape)}, and by the manifest one input is {shape_text(with_channels)}"
    )
    raise mismatch(problem, tensor.name)


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether sizes agree; -1 agrees with any."""
    return len(shape) == len(wanted) and all(a == b or b < 0 or a < 0 for a, b in zip(shape, wanted, strict=True))


def _frame(header: Header, orientation: int) -> tuple[int, int]:
    """Width and height as the model sees the picture: upright, or as stored where it keeps the rotation."""
    return (header.width, header.height) if orientation == UPRIGHT_ORIENTATION else (header.stored_width, header.stored_height)


def _shrunk(size: tuple[int, int], max_side: int) -> tuple[int, int] | None:
    """The size with its longer side at `max_side`; None where it is not longer."""
    longer = max(size)
    if not max_side or longer <= max_side:
        return None
    return max(1, round(size[0] * max_side / longer)), max(1, round(size[1] * max_side / longer))


def _fit(spec: InputSpec, frame: tuple[int, int]) -> tuple[tuple[float, float], tuple[int, int]]:
    """The size of the middle part of the picture that is used, and the pixels that it becomes."""
    width, height = frame
    if spec.fit is Fit.LETTERBOX:
        share = min(spec.width / width, spec.height / height)
        content = min(spec.width, max(1, round(width * share))), min(spec.height, max(1, round(height * share)))
        return (float(width), float(height)), content
    if spec.fit is Fit.CROP:
        share = min(width / spec.width, height / spec.height)
        return (spec.width * share, spec.height * share), (spec.width, spec.height)
    return (float(width), float(height)), (spec.width, spec.height)


def _fitted(image: Image.Image, spec: InputSpec, size: tuple[int, int]) -> Image.Image:
    region, content = _fit(spec, size)
    return image.resize(content, _FILTERS[spec.resampling], box=_middle(size, region, 1.0))


def _middle(size: tuple[int, int], region: tuple[float, float], reduction: float) -> tuple[float, float, float, float]:
    left, top = max(0.0, (size[0] - region[0]) / 2), max(0.0, (size[1] - region[1]) / 2)
    right, bottom = min(float(size[0]), left + region[0]), min(float(size[1]), top + region[1])
    return left / reduction, top / reduction, right / reduction, bottom / reduction


def _margins(spec: InputSpec, content: tuple[int, int]) -> tuple[int, int]:
    return (spec.width - content[0]) // 2, (spec.height - content[1]) // 2


def _geometry(spec: InputSpec, header: Header, size: tuple[int, int], orientation: int) -> Geometry:
    if not spec.has_size:
        return Geometry.whole(header.width, header.height, *size, orientation)
    region, content = _fit(spec, size)
    if spec.fit is Fit.CROP:
        share = spec.width / region[0]
        covered = size[0] * share, size[1] * share
        left, top = (spec.width - covered[0]) / 2, (spec.height - covered[1]) / 2
        return Geometry(header.width, header.height, spec.width, spec.height, left, top, *covered, orientation)
    x, y = _margins(spec, content)
    return Geometry(header.width, header.height, spec.width, spec.height, x, y, float(content[0]), float(content[1]), orientation)


def _background(pixels: Array) -> float:
    """The middle brightness along the edges, 0 to 255."""
    edges = np.concatenate([pixels[0].ravel(), pixels[-1].ravel(), pixels[:, 0].ravel(), pixels[:, -1].ravel()])
    return float(np.median(edges))


def _padded(pixels: Array, spec: InputSpec) -> Array:
    height, width = pixels.shape[:2]
    if (width, height) == (spec.width, spec.height):
        return pixels
    padded = np.full((spec.height, spec.width, *pixels.shape[2:]), spec.fill, dtype=np.uint8)
    x, y = _margins(spec, (width, height))
    padded[y : y + height, x : x + width] = pixels
    return padded


def _valued(pixels: Array, spec: InputSpec, data_type: DataType) -> Array:
    tables = _tables(spec.scale, spec.mean, spec.std, spec.channels, data_type)
    if tables is None:
        return np.ascontiguousarray(pixels)
    if len(tables) == 1:
        return tables[0][pixels]
    values = np.empty(pixels.shape, dtype=tables[0].dtype)
    for channel, table in enumerate(tables):
        np.take(table, pixels[:, :, channel], out=values[:, :, channel])
    return values


@lru_cache(maxsize=64)
def _tables(scale: float, mean: tuple[float, ...], std: tuple[float, ...], channels: int, data_type: DataType) -> tuple[Array, ...] | None:
    """What each of the 256 values of a pixel becomes, one table for all channels or one for each; None where nothing changes."""
    if data_type is DataType.UINT8 and scale == 1 and not any(mean) and all(value == 1 for value in std):
        return None
    tables = []
    for channel in range(max(len(mean), len(std), 1)):
        middle = mean[min(channel, len(mean) - 1)] if mean else 0.0
        spread = std[min(channel, len(std) - 1)] if std else 1.0
        tables.append(_converted((np.arange(256, dtype=np.float64) * scale - middle) / spread, data_type))
    return tuple(tables)


def _converted(values: NDArray[np.float64], data_type: DataType) -> Array:
    if data_type in INTEGER_RANGES:
        least, most = INTEGER_RANGES[data_type]
        values = np.clip(np.rint(values), least, most)
    if data_type is DataType.BFLOAT16:
        return np.frombuffer(Tensor.of(values.astype(np.float32), data_type).content, STORAGE[data_type])
    return values.astype(STORAGE[data_type])
