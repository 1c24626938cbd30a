"""Frozen graphs of TensorFlow 1's object detection, MegaDetector above all, as SavedModels. Imports TensorFlow.

Such a graph takes `image_tensor:0`, uint8 pixels [batch, height, width, 3], and gives `detection_boxes:0` [batch, n, 4] (y_min, x_min,
y_max, x_max as shares of the picture), `detection_scores:0` and `detection_classes:0` [batch, n], and mostly `num_detections:0` [batch].
Source: TensorFlow's object detection API, g3doc/exporting_models.md, of its time with TensorFlow 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from labelmesh_client import SourceError

from labelmesh_training.tensorflow import tf

INPUT = "image_tensor"
NEEDED_OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes")
COUNT_OUTPUT = "num_detections"
#: The signatures that are made: pixels, and files that are decoded in the graph.
PIXELS_SIGNATURE, FILES_SIGNATURE = "serving_default", "serving_jpeg"
#: The input of both.
IMAGES = "images"
_SHOWN_NODES = 15
#: A graph that is larger than a message may be cannot have been written by TensorFlow.
_MAX_BYTES = 2**31


@dataclass(frozen=True)
class Detector:
    """A graph that was read. `batch` is how many pictures it takes at once, None for any; `counted`: it says how many boxes count."""

    function: Any
    batch: int | None
    counted: bool


def read_detector(path: Path) -> Detector:
    """Reads a frozen graph. Raises SourceError: it cannot be read, is none, or has other tensors than a detector (named then)."""
    graph = _read(path)
    names = {node.name for node in graph.node}
    missing = [f"{name}:0" for name in (INPUT, *NEEDED_OUTPUTS) if name not in names]
    if missing:
        raise SourceError(f"{path} is no detector of TensorFlow 1: it has no {', '.join(missing)}. {_content(graph)}")
    counted = COUNT_OUTPUT in names
    outputs = {name: f"{name}:0" for name in (*NEEDED_OUTPUTS, *([COUNT_OUTPUT] if counted else []))}
    try:
        imported = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
        function = imported.prune(f"{INPUT}:0", outputs)
        taken = imported.graph.get_tensor_by_name(f"{INPUT}:0")
    except (ValueError, KeyError, TypeError, tf.errors.OpError) as error:
        raise SourceError(f"{path} cannot be used as a graph: {str(error).strip().splitlines()[0]}") from None
    if taken.dtype != tf.uint8:
        raise SourceError(f"{path} takes {INPUT}:0 as {taken.dtype.name}; a detector of TensorFlow 1 takes uint8 pixels.")
    if taken.shape.rank not in (None, 4):
        raise SourceError(f"{path} takes {INPUT}:0 with {taken.shape.rank} dimensions; there must be 4: batch, height, width, 3.")
    return Detector(function, taken.shape[0] if taken.shape.rank else None, counted)


def save_detector(detector: Detector, folder: Path) -> None:
    """Writes a SavedModel with both signatures; what they give is named as in the graph.

    serving_default takes pixels, [batch, height, width, 3] with the graph's own batch. serving_jpeg takes [any] files, JPEG or PNG of any
    sizes, decoded as Pillow decodes them and looked at one after the other.
    """
    module = tf.Module()
    module.detector = detector.function

    @tf.function(input_signature=[tf.TensorSpec([detector.batch, None, None, 3], tf.uint8, name=IMAGES)])  # type: ignore[untyped-decorator]
    def of_pixels(images: Any) -> Any:
        return {name: tf.identity(value, name) for name, value in module.detector(images).items()}

    def of_file(content: Any) -> Any:
        found = module.detector(decoded(content)[tf.newaxis])
        return {name: tf.squeeze(value, 0) for name, value in found.items()}

    kinds = {name: tf.TensorSpec(value.shape[1:], value.dtype) for name, value in detector.function.structured_outputs.items()}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=IMAGES)])  # type: ignore[untyped-decorator]
    def of_files(images: Any) -> Any:
        return tf.map_fn(of_file, images, fn_output_signature=kinds, parallel_iterations=1)

    module.of_pixels, module.of_files = of_pixels, of_files
    tf.saved_model.save(module, str(folder), signatures={PIXELS_SIGNATURE: of_pixels, FILES_SIGNATURE: of_files})


def decoded(content: Any) -> Any:
    """The pixels of a JPEG or PNG file, uint8 [height, width, 3]; JPEG by the accurate transform, which Pillow uses too."""
    pixels = tf.cond(
        tf.io.is_jpeg(content),
        lambda: tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_png(content, channels=3),
    )
    return tf.ensure_shape(pixels, [None, None, 3])


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}.") from None
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(content)
    except DecodeError:
        graph.Clear()
    if not graph.node:
        if path.name == "saved_model.pb":
            raise SourceError(f"{path} is a SavedModel already: give its folder to `labelmesh model add`.")
        raise SourceError(f"{path} is no frozen graph of TensorFlow.")
    return graph


def _content(graph: Any) -> str:
    """What a graph takes and gives, for people: its placeholders, and the nodes that no other node reads."""
    read = {name.lstrip("^").partition(":")[0] for node in graph.node for name in node.input}
    inputs = [node.name for node in graph.node if node.op == "Placeholder"]
    outputs = [node.name for node in graph.node if node.name not in read and node.op not in ("Placeholder", "Const", "NoOp")]
    return f"It takes {_listed(inputs)} and gives {_listed(outputs)}."


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN_NODES:,} more" if len(names) > _SHOWN_NODES else ""
    return (", ".join(f"{name}:0" for name in names[:_SHOWN_NODES]) or "nothing") + more
