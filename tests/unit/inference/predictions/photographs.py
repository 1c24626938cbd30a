"""Pictures that tests paint, and models that look at them."""

from __future__ import annotations

import io
from typing import Any

from labelmesh_inference.manifest import BoxesOutput, ClassesOutput, InputKind, InputSpec, ModelManifest, Output
from labelmesh_inference.serving.values import DataType, Signature, TensorSpec
from PIL import Image

# How a picture must be stored so that EXIF's rotation makes it upright again: the inverse of what a viewer does.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
Box = tuple[int, int, int, int]


def painted(size: tuple[int, int], box: Box, *, mode: str = "RGB") -> Image.Image:
    """A black picture with a white rectangle: left, top, right, bottom in pixels."""
    image = Image.new(mode, size, 0)
    image.paste((255,) * len(image.getbands()), box)
    return image


def file_of(image: Image.Image, kind: str = "PNG", *, orientation: int = 1, **more: Any) -> bytes:
    """The picture as a file that viewers show upright, stored as a camera held otherwise would."""
    method = STORED[orientation]
    stored = image if method is None else image.transpose(method)
    held = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    if orientation != 1:
        more["exif"] = exif
    if kind == "JPEG":
        more = {"quality": 95, "subsampling": 0, **more}
    stored.save(held, kind, **more)
    return held.getvalue()


def model(
    data_type: DataType = DataType.FLOAT32,
    shape: tuple[int, ...] | None = (-1, -1, -1, 3),
    output: Output | None = None,
    *,
    outputs: dict[str, tuple[DataType, tuple[int, ...]]] | None = None,
    **input_settings: Any,
) -> tuple[ModelManifest, Signature]:
    """A model of pixels, by default one that finds boxes."""
    settings: dict[str, Any] = {"kind": InputKind.PIXELS, **input_settings}
    manifest = ModelManifest("finder", InputSpec(**settings), output or BoxesOutput("boxes", "scores"))
    manifest.check_consistency()
    given = outputs or {"boxes": (DataType.FLOAT32, (-1, -1, 4)), "scores": (DataType.FLOAT32, (-1, -1))}
    if isinstance(output, ClassesOutput) and outputs is None:
        given = {"scores": (DataType.FLOAT32, (-1, -1))}
    specs = {name: TensorSpec(name, kind, found) for name, (kind, found) in given.items()}
    return manifest, Signature("serving_default", {"image": TensorSpec("image", data_type, shape)}, specs)
