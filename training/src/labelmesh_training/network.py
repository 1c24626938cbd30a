"""The convolutional network that reads digits. Importing this module imports TensorFlow: some seconds and some 500 MB.

Two layers of convolution with pooling and one dense layer, as it is known from MNIST (Y. LeCun et al., Gradient-based learning applied to
document recognition, 1998). Before them stands what MNIST's makers did by hand to every digit: it is cut out and brought to the same size
in the middle. That is part of the model, so that a small digit in a corner of a page is read as well as one that fills it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmesh_training.augmentation import augmented
from labelmesh_training.preparation import SIDE
from labelmesh_training.tensorflow import tf
from labelmesh_training.values import Images, Pictures

CLASSES = 10
#: The longer side of a digit once it is cut out, in pixels, as in MNIST.
_DIGIT_SIDE = 20.0
#: A pixel is ink from this share of the brightest one, and never below this brightness.
_INK_SHARE, _LEAST_INK = 0.4, 0.1
#: What is smaller is a speck, not a digit to be enlarged.
_LEAST_SIDE = 4.0
_BATCH = 64
_LEARNING_RATE = 2e-3
#: Of pictures at once when nothing is learned.
_ANSWER_BATCH = 1024


@dataclass(frozen=True)
class Epoch:
    """What one pass over the pictures did. Accuracies are 0 to 1; validation is on held-out pictures."""

    number: int
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float


@tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE, 1], tf.float32)])  # type: ignore[untyped-decorator]
def centred(images: Any) -> Any:
    """Each digit cut out, scaled so that its longer side is 20 pixels, and put in the middle. An empty picture stays as it is."""
    brightest = tf.reduce_max(images, axis=[1, 2, 3], keepdims=True)
    ink = images >= tf.maximum(brightest * _INK_SHARE, _LEAST_INK)
    left, right = _extent(tf.reduce_any(ink, axis=[1, 3]))
    top, bottom = _extent(tf.reduce_any(ink, axis=[2, 3]))
    longer = tf.maximum(tf.maximum(right - left, bottom - top) + 1.0, _LEAST_SIDE)
    step, nothing, middle = longer / _DIGIT_SIDE, tf.zeros_like(longer), (SIDE - 1) / 2
    x, y = (left + right) / 2 - middle * step, (top + bottom) / 2 - middle * step
    # From the pixels of the result to those of the picture: x' = step * x + offset.
    transforms = tf.stack([step, nothing, x, nothing, step, y, nothing, nothing], axis=1)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images, transforms=transforms, output_shape=[SIDE, SIDE], fill_value=0.0, interpolation="BILINEAR", fill_mode="CONSTANT"
    )


def _extent(has_ink: Any) -> tuple[Any, Any]:
    """The first and the last place with ink of [n, side]; all places where there is none."""
    places = tf.range(SIDE, dtype=tf.float32)
    first = tf.reduce_min(tf.where(has_ink, places, float(SIDE)), axis=1)
    last = tf.reduce_max(tf.where(has_ink, places, -1.0), axis=1)
    some = last >= first
    return tf.where(some, first, 0.0), tf.where(some, last, float(SIDE - 1))


class DigitNetwork:
    """A network that knows nothing yet. The same seed, pictures and machine give the same network."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        tf.keras.utils.set_random_seed(seed)
        layers = tf.keras.layers
        self._model = tf.keras.Sequential(
            [
                tf.keras.Input((SIDE, SIDE, 1)),
                layers.Conv2D(32, 3, activation="relu"),
                layers.MaxPooling2D(),
                layers.Conv2D(64, 3, activation="relu"),
                layers.MaxPooling2D(),
                layers.Flatten(),
                layers.Dropout(0.3),
                layers.Dense(128, activation="relu"),
                layers.Dropout(0.3),
                layers.Dense(CLASSES),
            ]
        )

    def train(
        self,
        pictures: Pictures,
        weights: NDArray[np.float64],
        held_out: Pictures,
        *,
        epochs: int,
        draws: int,
        on_step: Callable[[float], None],
        on_epoch: Callable[[Epoch], None],
    ) -> None:
        """Learns from `draws` pictures in each epoch, chosen anew by their weights (which sum to 1) and augmented.

        `on_step` hears how much of the whole is done, 0 to 1, after every batch; what it raises ends the training.
        """
        steps = -(-draws // _BATCH)
        decay = tf.keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, epochs * steps, alpha=0.02)
        self._model.compile(
            tf.keras.optimizers.Adam(decay), tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
        )
        validation = self._centred(held_out.images)
        for number in range(1, epochs + 1):
            drawn = pictures.at(self._rng.choice(len(pictures), size=draws, p=weights))
            images = self._centred(augmented(drawn.images, self._rng))
            done = (number - 1) / epochs
            told = tf.keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs, done=done: on_step(done + (batch + 1) / steps / epochs)
            )
            history = self._model.fit(images, drawn.labels, batch_size=_BATCH, verbose=0, callbacks=[told])
            loss, accuracy = self._model.evaluate(validation, held_out.labels, batch_size=_ANSWER_BATCH, verbose=0)
            learned = history.history
            on_epoch(Epoch(number, float(learned["loss"][-1]), float(learned["accuracy"][-1]), float(loss), float(accuracy)))

    def probabilities(self, images: Images) -> NDArray[np.float32]:
        """[n, 10] for prepared pictures [n, 28, 28]."""
        if not len(images):
            return np.zeros((0, CLASSES), dtype=np.float32)
        parts = [images[start : start + _ANSWER_BATCH, ..., np.newaxis] for start in range(0, len(images), _ANSWER_BATCH)]
        answers: NDArray[np.float32] = np.concatenate([self._answer(tf.constant(part)).numpy() for part in parts])
        return answers

    def save(self, folder: Path) -> None:
        """Writes the SavedModel: signature serving_default, "images" float32 [any, 28, 28, 1] to "probabilities" [any, 10]."""
        # Not tf.saved_model.save: of a Keras model it writes other variables than those that TensorFlow Serving restores.
        archive = tf.keras.export.ExportArchive()
        archive.track(self._model)
        signature = [tf.TensorSpec([None, SIDE, SIDE, 1], tf.float32, name="images")]
        archive.add_endpoint("serving_default", lambda images: {"probabilities": self._answer(images)}, input_signature=signature)
        archive.write_out(str(folder), verbose=False)

    def _answer(self, images: Any) -> Any:
        return tf.nn.softmax(self._model(centred(images), training=False))

    def _centred(self, images: Images) -> Images:
        if not len(images):
            return images[..., np.newaxis]
        parts = [images[start : start + _ANSWER_BATCH, ..., np.newaxis] for start in range(0, len(images), _ANSWER_BATCH)]
        return np.concatenate([centred(tf.constant(part)).numpy() for part in parts])
