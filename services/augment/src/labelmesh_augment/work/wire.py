"""Labels and results as bytes of the contract, for workers: the service itself hands these bytes on without a look."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from labelmesh.augment.v1 import augmentations_pb2 as aug
from labelmesh.augment.v1 import labels_pb2 as lab
from labelmesh_chassis.errors import FailedPrecondition, InvalidArgument, MeshError, to_status

from labelmesh_augment.geometry.labels import Box, Dropped, Keypoint, Labels, Mask, Points, Polygon, Visibility
from labelmesh_augment.pictures.reading import read
from labelmesh_augment.pipelines.augmenting import Augmented, Loaded, Preview
from labelmesh_augment.pipelines.wire import recipe_message

# Of one file.
MAX_RESULT_BYTES = 24 * 1024 * 1024
# Of a message with everything in it; a channel takes 32 MiB.
MAX_ANSWER_BYTES = 30 * 1024 * 1024


# --- labels ---


def labels_from(serialized: bytes, *, field: str) -> Labels:
    """Labels as they were sent. InvalidArgument (LABEL_INVALID) for masks that are no grey PNG files; the rest is not checked here."""
    if not serialized:
        return Labels()
    message = lab.Labels.FromString(serialized)
    return Labels(
        boxes=tuple([_box_of(box) for box in message.boxes]),
        polygons=tuple([Polygon(tuple(map(_points_of, found.rings)), found.id, found.label) for found in message.polygons]),
        keypoints=tuple([_keypoint_of(point) for point in message.keypoints]),
        masks=tuple([_mask_of(mask, f"{field}.labels.masks[{index}].png") for index, mask in enumerate(message.masks)]),
    )


def labels_message(labels: Labels) -> lab.Labels:
    """Labels as they are answered."""
    return lab.Labels(
        boxes=[_box_message(box) for box in labels.boxes],
        polygons=[_polygon_message(polygon) for polygon in labels.polygons],
        keypoints=[_keypoint_message(point) for point in labels.keypoints],
        masks=[lab.Mask(id=mask.id, label=mask.label, png=_png_of(mask)) for mask in labels.masks],
    )


def _box_of(box: lab.Box) -> Box:
    return Box(box.x, box.y, box.width, box.height, box.rotation, box.oriented, box.id, box.label)


def _box_message(box: Box) -> lab.Box:
    return lab.Box(
        id=box.id,
        label=box.label,
        x=box.x,
        y=box.y,
        width=box.width,
        height=box.height,
        rotation=box.rotation,
        oriented=box.oriented,
        visible_share=box.visible_share,
        weight=box.weight,
    )


def _points_of(ring: lab.Ring) -> Points:
    return np.array([(point.x, point.y) for point in ring.points], dtype=np.float64).reshape(-1, 2)


def _polygon_message(polygon: Polygon) -> lab.Polygon:
    rings = [lab.Ring(points=[lab.Point(x=x, y=y) for x, y in ring.tolist()]) for ring in polygon.rings]
    return lab.Polygon(id=polygon.id, label=polygon.label, rings=rings, visible_share=polygon.visible_share, weight=polygon.weight)


def _keypoint_of(point: lab.Keypoint) -> Keypoint:
    visibility = Visibility(point.visibility or Visibility.VISIBLE.value)
    return Keypoint(point.x, point.y, visibility, point.id, point.label)


def _keypoint_message(point: Keypoint) -> lab.Keypoint:
    visibility = lab.Visibility.ValueType(point.visibility.value)
    return lab.Keypoint(id=point.id, label=point.label, x=point.x, y=point.y, visibility=visibility, weight=point.weight)


def _mask_of(mask: lab.Mask, field: str) -> Mask:
    if not mask.png.startswith(b"\x89PNG"):
        raise InvalidArgument("LABEL_INVALID", "A mask is a grey PNG file with 8 or 16 bits.", field=field)
    try:
        frame = read(mask.png).frames[0]
    except InvalidArgument as problem:
        raise InvalidArgument("LABEL_INVALID", f"This mask cannot be read: {problem.message}", field=field) from problem
    if not frame.gray or frame.alpha is not None:
        raise InvalidArgument("LABEL_INVALID", "A mask is a grey PNG file with 8 or 16 bits; this one has colours.", field=field)
    return Mask(frame.colour, mask.id, mask.label)


def _png_of(mask: Mask) -> bytes:
    # Masks are large areas of one value: the fastest level does nearly as well as the best.
    done, data = cv2.imencode(".png", mask.values, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise ValueError("a mask could not be written")
    return data.tobytes()


# --- results ---


def augmented_message(result: Augmented, loaded: Loaded, seed: int, copy: int) -> aug.Augmented:
    """A result. FailedPrecondition (RESULT_TOO_LARGE) where it is larger than an answer can be."""
    if len(result.content) > MAX_RESULT_BYTES:
        raise _too_large(f"the file has {len(result.content):,} bytes; {MAX_RESULT_BYTES:,} can be answered")
    message = aug.Augmented(
        image=result.content,
        media_type=result.media_type,
        width=result.size.width,
        height=result.size.height,
        frames=result.frames,
        labels=labels_message(result.labels),
        dropped=_dropped_messages(result.dropped),
        recipe=recipe_message(result.recipe),
        input_sha256=loaded.content_sha256,
        seed=seed,
        copy=copy,
    )
    size = message.ByteSize()
    if size > MAX_ANSWER_BYTES:
        raise _too_large(f"file and labels have {size:,} bytes; {MAX_ANSWER_BYTES:,} can be answered")
    return message


def preview_message(preview: Preview, copy: int) -> aug.Preview:
    """A small picture."""
    return aug.Preview(
        image=preview.content,
        media_type=preview.media_type,
        width=preview.size.width,
        height=preview.size.height,
        full_width=preview.full_size.width,
        full_height=preview.full_size.height,
        labels=labels_message(preview.labels),
        dropped=_dropped_messages(preview.dropped),
        recipe=recipe_message(preview.recipe),
        copy=copy,
    )


def stream_result(index: int, copy: int, outcome: aug.Augmented | MeshError) -> aug.StreamResult:
    """What became of one copy of one picture."""
    if isinstance(outcome, MeshError):
        return aug.StreamResult(index=index, copy=copy, error=to_status(outcome))
    return aug.StreamResult(index=index, copy=copy, augmented=outcome)


def no_memory() -> FailedPrecondition:
    """What is said where a worker has not enough memory for what was asked."""
    return _too_large("it needs more memory than there is for one picture")


def _too_large(why: str) -> FailedPrecondition:
    return FailedPrecondition("RESULT_TOO_LARGE", f"the result is too large: {why}; ask for a smaller or a compressed one")


def _dropped_messages(dropped: Iterable[Dropped]) -> list[aug.DroppedLabel]:
    return [aug.DroppedLabel(id=found.id, label=found.label, visible_share=found.visible_share) for found in dropped]
