"""The folder of a version: its SavedModel with the manifest and the warm-up calls beside it. Imports TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from labelmesh.inference.v1 import manifests_pb2
from labelmesh_client import LabelmeshError
from labelmesh_client.manifests import manifest_text
from labelmesh_client.repository import MANIFEST_NAME
from numpy.typing import NDArray
from tensorflow.python.saved_model.loader_impl import SavedModelLoader

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


def ask(folder: Path, signature: str, inputs: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """What a SavedModel answers, run as TensorFlow Serving runs it: in a session, which is stricter than Python's own loader.

    Raises BrokenVersion when it cannot be loaded or asked.
    """
    try:
        with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
            loaded = SavedModelLoader(str(folder)).load(session, ["serve"])
            spec = loaded.signature_def[signature]
            fed = {spec.inputs[name].name: value for name, value in inputs.items()}
            answered: dict[str, NDArray[Any]] = session.run({name: output.name for name, output in spec.outputs.items()}, fed)
            return answered
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, tf.errors.OpError) as error:
        raise BrokenVersion(f"The SavedModel that was written cannot be used: {error}") from None


def check_answers(folder: Path, images: Images, expected: NDArray[np.float32]) -> None:
    """Asks a SavedModel of digits. Raises BrokenVersion unless it answers as expected."""
    answered = ask(folder, "serving_default", {"images": images[..., np.newaxis]}).get("probabilities")
    if answered is None or answered.shape != expected.shape or not np.allclose(answered, expected, atol=_CLOSE):
        raise BrokenVersion("The SavedModel that was written answers otherwise than the network that was trained.")
