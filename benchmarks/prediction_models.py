"""Makes the models that predictions are measured with: `python -m benchmarks.prediction_models FOLDER`. Needs TensorFlow, so it runs apart.

Their weights are random: what counts is how much there is to compute.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from benchmarks.prediction_manifests import DIGITS, JPEG, MANIFESTS, PHOTO


def _digits() -> Any:
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def _save(network: Any, tensor: Any, answer: Callable[[Any], Any], folder: Path, name: str) -> None:
    # Not tf.saved_model.save: of a Keras model it writes other variables than those that TensorFlow Serving restores.
    archive = tf.keras.export.ExportArchive()
    archive.track(network)
    archive.add_endpoint("serving_default", lambda images: {"probabilities": answer(images)}, input_signature=[tensor])
    target = folder / name
    archive.write_out(str(target), verbose=False)
    extra = target / "assets.extra"
    extra.mkdir()
    (extra / "labelmesh.yaml").write_text(MANIFESTS[name])


def _decoded(content: Any) -> Any:
    return tf.image.resize(tf.io.decode_jpeg(content, channels=3), (224, 224))


def main(folder: Path) -> None:
    """Writes a SavedModel with its manifest for each name into `folder`."""
    tf.keras.utils.set_random_seed(7)
    small = _digits()
    _save(small, tf.TensorSpec([None, 28, 28, 1], tf.float32, name="images"), lambda images: small(images, training=False), folder, DIGITS)
    large = tf.keras.applications.MobileNetV2(weights=None, input_shape=(224, 224, 3))

    def of_pixels(images: Any) -> Any:
        return large(tf.cast(images, tf.float32), training=False)

    def of_files(images: Any) -> Any:
        pixels = tf.map_fn(_decoded, images, fn_output_signature=tf.TensorSpec((224, 224, 3), tf.float32))
        return large(pixels, training=False)

    _save(large, tf.TensorSpec([None, 224, 224, 3], tf.uint8, name="images"), of_pixels, folder, PHOTO)
    _save(large, tf.TensorSpec([None], tf.string, name="images"), of_files, folder, JPEG)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
