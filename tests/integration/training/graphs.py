"""Small frozen graphs of TensorFlow 1, as its object detection wrote them, with answers that depend on every pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from labelmesh_training.tensorflow import tf
from numpy.typing import NDArray

BOXES = 5


def write_detector(path: Path, *, batch: int | None = None, counted: bool = True, outputs: bool = True) -> None:
    """A convolution over the pixels, whose means become boxes, scores (best first) and classes 1 to 3."""
    tf1 = tf.compat.v1
    with tf1.Graph().as_default() as graph:
        taken = tf1.placeholder(tf.uint8, [batch, None, None, 3], name="image_tensor")
        kernel = tf.constant(np.random.default_rng(1).normal(0, 0.02, (3, 3, 3, 4 * BOXES)).astype(np.float32))
        felt = tf1.nn.relu(tf1.nn.conv2d(tf1.to_float(taken), kernel, strides=[1, 2, 2, 1], padding="SAME"))
        means = tf.reshape(tf.reduce_mean(felt, axis=[1, 2]), [-1, BOXES, 4])
        if outputs:
            tf.identity(tf.sigmoid(means), name="detection_boxes")
            tf.identity(tf.sort(tf.sigmoid(tf.reduce_sum(means, axis=2)), direction="DESCENDING"), name="detection_scores")
            tf1.to_float(1 + tf.argmax(means[:, :, :3], axis=2), name="detection_classes")
            if counted:
                tf1.to_float(tf.reduce_sum(tf1.to_int32(means[:, :, 0] >= 0), axis=1), name="num_detections")
        else:
            tf.identity(means, name="features")
        path.write_bytes(graph.as_graph_def().SerializeToString())


def run_detector(path: Path, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """What the graph itself says of [batch, height, width, 3], run as TensorFlow 1 ran it."""
    tf1 = tf.compat.v1
    definition = tf1.GraphDef()
    definition.ParseFromString(path.read_bytes())
    names = [node.name for node in definition.node if node.name.startswith(("detection_", "num_"))]
    with tf1.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(definition, name="")
        with tf1.Session(graph=graph) as session:
            wanted: dict[str, Any] = {name: f"{name}:0" for name in names}
            found: dict[str, NDArray[np.float32]] = session.run(wanted, {"image_tensor:0": pixels})
            return found
