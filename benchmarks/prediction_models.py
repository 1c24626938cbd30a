"""Makes the models that predictions are measured with: `python -m benchmarks.prediction_models FOLDER`. Needs TensorFlow, so it runs apart.

Their weights are random: what counts is how much there is to compute.
"""

from __future__ import annotations

import sys
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


def _save(network: Any, shape: list[int | None], data_type: Any, folder: Path, name: str) -> None:
    module = tf.Module()
    module.network = network

    @tf.function(input_signature=[tf.TensorSpec(shape, data_type, name="images")])  # type: ignore[untyped-decorator]
    def serve(images: Any) -> dict[str, Any]:
        return {"probabilities": network(tf.cast(images, tf.float32), training=False)}

    _write(module, serve, folder, name)


def _save_jpeg(network: Any, folder: Path) -> None:
    module = tf.Module()
    module.network = network

    def decoded(content: Any) -> Any:
        return tf.image.resize(tf.io.decode_jpeg(content, channels=3), (224, 224))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="images")])  # type: ignore[untyped-decorator]
    def serve(images: Any) -> dict[str, Any]:
        pixels = tf.map_fn(decoded, images, fn_output_signature=tf.TensorSpec((224, 224, 3), tf.float32))
        return {"probabilities": network(pixels, training=False)}

    _write(module, serve, folder, JPEG)


def _write(module: Any, serve: Any, folder: Path, name: str) -> None:
    target = folder / name
    tf.saved_model.save(module, str(target), signatures={"serving_default": serve})
    extra = target / "assets.extra"
    extra.mkdir()
    (extra / "labelmesh.yaml").write_text(MANIFESTS[name])


def main(folder: Path) -> None:
    """Writes a SavedModel with its manifest for each name into `folder`."""
    tf.keras.utils.set_random_seed(7)
    _save(_digits(), [None, 28, 28, 1], tf.float32, folder, DIGITS)
    large = tf.keras.applications.MobileNetV2(weights=None, input_shape=(224, 224, 3))
    _save(large, [None, 224, 224, 3], tf.uint8, folder, PHOTO)
    _save_jpeg(large, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
