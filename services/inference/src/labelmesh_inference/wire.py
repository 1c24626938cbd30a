"""The contract's messages to values and back, for what several parts of the service share: manifests, tensors and results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from labelmesh.inference.v1 import manifests_pb2, results_pb2, tensors_pb2
from labelmesh_chassis.errors import InvalidArgument

from labelmesh_inference.manifest import (
    DEFAULT_SIGNATURE,
    Activation,
    Batching,
    BoxesOutput,
    BoxOrder,
    ClassesOutput,
    ColorMode,
    Fit,
    InputKind,
    InputSpec,
    KeypointsOutput,
    Layout,
    MaskOutput,
    ModelManifest,
    Output,
    RawOutput,
    Resampling,
)
from labelmesh_inference.predictions.results import Classification, Detections, Poses, RawOutputs, Result, Segmentation
from labelmesh_inference.serving.values import DataType, Tensor

_Kind = TypeVar("_Kind", bound=StrEnum)

_DATA_TYPES: dict[int, DataType] = {
    number: DataType(name.removeprefix("DATA_TYPE_").lower()) for name, number in tensors_pb2.DataType.items() if number
}
_DATA_TYPE_NUMBERS = {kind: number for number, kind in _DATA_TYPES.items()}


# --- manifests ---


def manifest_of(message: manifests_pb2.ModelManifest) -> ModelManifest:
    """A manifest with the contract's defaults filled in, found consistent; InvalidArgument naming the fields that are not."""
    _check_texts(message, "manifest")
    batching = message.batching
    manifest = ModelManifest(
        model=message.model,
        display_name=message.display_name,
        description=message.description,
        license=message.license,
        signature=message.signature or DEFAULT_SIGNATURE,
        input=_input_of(message.input),
        output=_output_of(message),
        labels=tuple(message.labels),
        first_index=message.first_index,
        threshold=message.threshold,
        top_k=message.top_k,
        batching=Batching(
            batching.max_batch_size,
            batching.max_wait.ToTimedelta().total_seconds() if batching.HasField("max_wait") else None,
            batching.max_calls_in_flight,
            batching.timeout.ToTimedelta().total_seconds() if batching.HasField("timeout") else None,
        ),
    )
    manifest.check_consistency()
    return manifest


def manifest_message(manifest: ModelManifest) -> manifests_pb2.ModelManifest:
    """A manifest as the contract has it, with every default said."""
    batching = manifests_pb2.Batching(
        max_batch_size=manifest.batching.max_batch_size,
        max_wait=_duration(manifest.batching.max_wait_s),
        max_calls_in_flight=manifest.batching.max_calls_in_flight,
        timeout=_duration(manifest.batching.timeout_s),
    )
    output: dict[str, Any] = {manifest.output_field: _output_message(manifest.output)}
    return manifests_pb2.ModelManifest(
        model=manifest.model,
        display_name=manifest.display_name,
        description=manifest.description,
        license=manifest.license,
        signature=manifest.signature,
        input=_input_message(manifest.input),
        labels=manifest.labels,
        first_index=manifest.first_index,
        threshold=manifest.threshold,
        top_k=manifest.top_k,
        batching=batching if manifest.batching != Batching() else None,
        **output,
    )


def data_type_message(kind: DataType | str) -> tensors_pb2.DataType.ValueType:
    """The contract's number of a data type; unspecified for TensorFlow's own ones."""
    return tensors_pb2.DataType.ValueType(_DATA_TYPE_NUMBERS.get(DataType(kind), 0) if kind in set(DataType) else 0)


def _input_of(message: manifests_pb2.InputSpec) -> InputSpec:
    return InputSpec(
        kind=_chosen(InputKind, manifests_pb2.InputKind.Name(message.kind), InputKind.PIXELS),
        tensor=message.tensor,
        data_type=_DATA_TYPES.get(message.data_type),
        width=message.width,
        height=message.height,
        color=_chosen(ColorMode, manifests_pb2.ColorMode.Name(message.color), ColorMode.RGB),
        fit=_chosen(Fit, manifests_pb2.Fit.Name(message.fit), Fit.STRETCH),
        resampling=_chosen(Resampling, manifests_pb2.Resampling.Name(message.resampling), Resampling.BILINEAR),
        layout=_chosen(Layout, manifests_pb2.Layout.Name(message.layout), Layout.NHWC),
        scale=message.scale or 1.0,
        mean=tuple(message.mean),
        std=tuple(message.std),
        fill=message.fill,
        keep_exif_rotation=message.keep_exif_rotation,
        light_on_dark=message.light_on_dark,
        max_side=message.max_side,
    )


def _input_message(spec: InputSpec) -> manifests_pb2.InputSpec:
    message = manifests_pb2.InputSpec(
        tensor=spec.tensor,
        kind=manifests_pb2.InputKind.Value(f"INPUT_KIND_{spec.kind.name}"),
        data_type=data_type_message(spec.data_type or ""),
    )
    if spec.kind is InputKind.TENSOR:
        return message
    message.keep_exif_rotation, message.max_side = spec.keep_exif_rotation, spec.max_side
    if spec.kind is InputKind.ENCODED:
        return message
    message.width, message.height = spec.width, spec.height
    message.color = manifests_pb2.ColorMode.Value(f"COLOR_MODE_{spec.color.name}")
    message.fit = manifests_pb2.Fit.Value(f"FIT_{spec.fit.name}")
    message.resampling = manifests_pb2.Resampling.Value(f"RESAMPLING_{spec.resampling.name}")
    message.layout = manifests_pb2.Layout.Value(f"LAYOUT_{spec.layout.name}")
    message.scale, message.fill, message.light_on_dark = spec.scale, spec.fill, spec.light_on_dark
    message.mean.extend(spec.mean)
    message.std.extend(spec.std)
    return message


def _output_of(message: manifests_pb2.ModelManifest) -> Output:
    match message.WhichOneof("output"):
        case "classes":
            name = manifests_pb2.Activation.Name(message.classes.activation)
            return ClassesOutput(message.classes.tensor, _chosen(Activation, name, Activation.NONE))
        case "boxes":
            boxes = message.boxes
            order = _chosen(BoxOrder, manifests_pb2.BoxOrder.Name(boxes.order), BoxOrder.YXYX)
            return BoxesOutput(boxes.boxes, boxes.scores, boxes.classes, boxes.count, order, boxes.pixels)
        case "keypoints":
            points = message.keypoints
            return KeypointsOutput(points.tensor, points.y_first, points.pixels, tuple(points.names))
        case "mask":
            return MaskOutput(message.mask.tensor)
        case "raw":
            return RawOutput(tuple(message.raw.tensors))
        case _:
            raise InvalidArgument("MANIFEST_INVALID", "the manifest does not say what the outputs mean", field="manifest.output")


def _output_message(output: Output) -> Message:
    match output:
        case ClassesOutput():
            activation = manifests_pb2.Activation.Value(f"ACTIVATION_{output.activation.name}")
            return manifests_pb2.ClassesOutput(tensor=output.tensor, activation=activation)
        case BoxesOutput():
            return manifests_pb2.BoxesOutput(
                boxes=output.boxes,
                scores=output.scores,
                classes=output.classes,
                count=output.count,
                order=manifests_pb2.BoxOrder.Value(f"BOX_ORDER_{output.order.name}"),
                pixels=output.pixels,
            )
        case KeypointsOutput():
            return manifests_pb2.KeypointsOutput(tensor=output.tensor, y_first=output.y_first, pixels=output.pixels, names=output.names)
        case MaskOutput():
            return manifests_pb2.MaskOutput(tensor=output.tensor)
        case RawOutput():
            return manifests_pb2.RawOutput(tensors=output.tensors)


def _chosen(kind: type[_Kind], name: str, default: _Kind) -> _Kind:
    """The value behind an enum's full name, e.g. FIT_CROP; the default where it is unspecified."""
    found = name.rpartition("_")[2].lower()
    return default if found == "unspecified" else kind(found)


def _check_texts(message: Message, path: str) -> None:
    for place, value in _texts(message, path):
        if "\0" in value:
            raise InvalidArgument("TEXT_INVALID", "the text holds the character U+0000", field=place)


def _texts(message: Message, path: str) -> Iterator[tuple[str, str]]:
    for field, value in message.ListFields():
        place = f"{path}.{field.name}"
        values: Iterable[Any] = enumerate(value) if field.is_repeated else [(None, value)]
        for index, each in values:
            here = place if index is None else f"{place}[{index}]"
            if isinstance(each, str):
                yield here, each
            elif isinstance(each, Message):
                yield from _texts(each, here)


# --- tensors ---


def tensor_of(message: tensors_pb2.Tensor) -> Tensor:
    """A tensor as it was sent; its size has not been checked against its shape."""
    return Tensor(_DATA_TYPES[message.data_type], tuple(message.shape), message.content, tuple(message.strings))


def tensor_message(tensor: Tensor) -> tensors_pb2.Tensor:
    """A tensor as clients get it; quantized and 8-bit floating numbers in the plain types."""
    plain = tensor.widened()
    return tensors_pb2.Tensor(data_type=data_type_message(plain.data_type), shape=plain.shape, content=plain.content, strings=plain.strings)


# --- results ---


def result_message(result: Result) -> results_pb2.Result:
    """What a model said of one input, as clients get it."""
    message = results_pb2.Result()
    match result:
        case Classification():
            classes = message.classification
            classes.doubt = result.doubt
            classes.classes.extend(
                [results_pb2.ClassScore(label=found.label, index=found.index, score=found.score) for found in result.classes]
            )
        case Detections():
            message.detections.below_threshold_count = result.below_threshold
            message.detections.detections.extend(
                results_pb2.Detection(
                    box=results_pb2.Box(x_min=found.box.x_min, y_min=found.box.y_min, x_max=found.box.x_max, y_max=found.box.y_max),
                    label=found.label,
                    index=found.index,
                    score=found.score,
                )
                for found in result.detections
            )
            message.detections.SetInParent()
        case Poses():
            message.poses.SetInParent()
            for pose in result.poses:
                points = [results_pb2.Keypoint(name=point.name, x=point.x, y=point.y, score=point.score) for point in pose.keypoints]
                message.poses.poses.add(keypoints=points, score=pose.score)
        case Segmentation():
            segments = [results_pb2.Segment(label=found.label, index=found.index, share=found.share) for found in result.segments]
            message.segmentation.CopyFrom(
                results_pb2.Segmentation(width=result.width, height=result.height, mask_png=result.mask_png, segments=segments)
            )
        case RawOutputs():
            message.raw.SetInParent()
            for name, tensor in result.tensors:
                message.raw.tensors.add(name=name, tensor=tensor_message(tensor))
    return message


def _duration(seconds: float | None) -> Duration | None:
    if seconds is None:
        return None
    message = Duration()
    message.FromTimedelta(timedelta(seconds=seconds))
    return message
