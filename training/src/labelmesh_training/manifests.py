"""What the mesh must know of a model beyond its SavedModel: the manifest that lies beside it."""

from __future__ import annotations

from collections.abc import Sequence

from labelmesh.inference.v1 import manifests_pb2, tensors_pb2

from labelmesh_training.examples import CLASSES
from labelmesh_training.preparation import SCALE, SIDE

#: What MegaDetector tells apart, from index 1; vehicles since version 4.
MEGADETECTOR_LABELS = ("animal", "person", "vehicle")
#: Under this MegaDetector's own tools show nothing.
_DETECTION_THRESHOLD = 0.2


def digits_manifest(model: str) -> manifests_pb2.ModelManifest:
    """Of a network that reads digits: what `preparation.prepare` does, in the contract's words."""
    manifest = manifests_pb2.ModelManifest(
        model=model,
        display_name="Handwritten digits",
        description="A small convolutional network that reads one digit, light or dark, anywhere in the picture.",
        labels=CLASSES,
    )
    manifest.input.CopyFrom(
        manifests_pb2.InputSpec(
            tensor="images",
            kind=manifests_pb2.INPUT_KIND_PIXELS,
            data_type=tensors_pb2.DATA_TYPE_FLOAT32,
            width=SIDE,
            height=SIDE,
            color=manifests_pb2.COLOR_MODE_GRAY,
            fit=manifests_pb2.FIT_LETTERBOX,
            resampling=manifests_pb2.RESAMPLING_BILINEAR,
            layout=manifests_pb2.LAYOUT_NHWC,
            scale=SCALE,
            light_on_dark=True,
        )
    )
    manifest.classes.CopyFrom(manifests_pb2.ClassesOutput(tensor="probabilities", activation=manifests_pb2.ACTIVATION_NONE))
    return manifest


def detector_manifest(model: str, signature: str, *, labels: Sequence[str], counted: bool) -> manifests_pb2.ModelManifest:
    """Of a detector of TensorFlow's object detection that takes files; `counted` where it says how many of its boxes count."""
    manifest = manifests_pb2.ModelManifest(
        model=model, display_name=model, signature=signature, labels=labels, first_index=1, threshold=_DETECTION_THRESHOLD
    )
    manifest.input.CopyFrom(manifests_pb2.InputSpec(tensor="images", kind=manifests_pb2.INPUT_KIND_ENCODED))
    manifest.boxes.CopyFrom(
        manifests_pb2.BoxesOutput(
            boxes="detection_boxes",
            scores="detection_scores",
            classes="detection_classes",
            count="num_detections" if counted else "",
            order=manifests_pb2.BOX_ORDER_YXYX,
        )
    )
    manifest.batching.max_batch_size = 1
    manifest.batching.max_calls_in_flight = 2
    manifest.batching.timeout.FromSeconds(60)
    return manifest
