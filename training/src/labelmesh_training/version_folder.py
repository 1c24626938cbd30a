"""The folder of a version: its SavedModel with the manifest and the warm-up calls beside it. Imports TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from labelmesh.inference.v1 import manifests_pb2
from labelmesh_client import LabelmeshError
from labelmesh_client.manifests import manifest_text
from labelmesh_client.repository import MANIFEST_NAME
from numpy.typing import NDArray

from labelmesh_training.tensorflow import tf
from labelmesh_training.values import Images

#: Where TensorFlow Serving looks for calls to make before a version answers anybody.
WARM_UP = "assets.extra/tf_serving_warmup_requests"
#: What computing again on the same machine may differ by.
_CLOSE = 1e-4


class BrokenVersion(LabelmeshError):
    """What was written cannot be loaded, or answers otherwise than what was written."""


def write_extras(folder: Path, manifest: manifests_pb2.ModelManifest, warm_up: Iterable[bytes]) -> None:
    """Adds what lies beside a SavedModel; `warm_up` are records as of `warm_up.warm_up_record`."""
    path = folder / MANIFEST_NAME
    path.parent.mkdir(exist_ok=True)
    path.write_text(manifest_text(manifest), encoding="utf-8")
    with tf.io.TFRecordWriter(str(folder / WARM_UP)) as writer:
        for record in warm_up:
            writer.write(record)


def check_answers(folder: Path, images: Images, expected: NDArray[np.float32]) -> None:
    """Loads a SavedModel of digits as the model server does and asks it. Raises BrokenVersion unless it answers as expected."""
    try:
        loaded = tf.saved_model.load(str(folder))
        answered = loaded.signatures["serving_default"](images=tf.constant(images[..., np.newaxis]))["probabilities"].numpy()
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        raise BrokenVersion(f"The SavedModel that was written cannot be loaded again: {error}") from None
    if answered.shape != expected.shape or not np.allclose(answered, expected, atol=_CLOSE):
        raise BrokenVersion("The SavedModel that was written answers otherwise than the network that was trained.")
