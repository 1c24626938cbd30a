"""Tiny SavedModels for tests, each with an answer that can be computed by hand. Written once per machine, by a process of their own.

    models = ensure()                      # a folder; <models>/<name>/<version>/saved_model.pb
    shutil.copytree(models / "digits" / "1", repository / "digits" / "1")

digits 1, 2, 3: `image` float [n,28,28,1] of 0 to 1 -> `scores` float [n,10], a softmax; see `digit_of`.
encoded 1: `image_bytes` string [n], JPEG or PNG -> `scores` float [n,10]: digits 1's over the picture's mean brightness.
boxes 1: `image` uint8 [n,h,w,3] -> `detection_boxes` [n,2,4] (y1, x1, y2, x2; of 1), `detection_scores` [n,2] (0.9, brightness),
    `detection_classes` [n,2], `num_detections` [n].
keypoints 1: `image` float [n,h,w,3] -> `keypoints` float [n,3,3] (y, x, score; of 1).
mask 1: `image` float [n,h,w,1] -> `mask` float [n,h,w,2]: class 1 where a pixel is above 0.5.
add_one 1: `x` -> `y` = x + 1 of float (serving_default) or int32 (ints); `strings` adds "!"; `many` has `a`, `b` -> `total`,
    `difference`; `no_batch` answers the sum of x, a scalar.
examples 1: `inputs` string [n], tf.Example with a float feature x -> `classes`, `scores` (serving_default, classify) or `outputs` =
    2 x (regress).
slow 1: `x` float [n], `steps` int32 [] -> `y` = x, after so many multiplications of 400x400 matrices, each near half a millisecond.
hungry 1: `x` float [n], `size` int64 [] -> `y` = x, after allocating so many floats: 10^14 of them fit into no address
    space and are RESOURCE_EXHAUSTED. Fewer may really be allocated.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

CLASSES = 10


def digit_of(mean: float, model_version: int) -> int:
    """What version `model_version` of digits says about an image of this mean brightness (0 to 1): a tenth, moved on by the version."""
    return (min(int(mean * CLASSES), CLASSES - 1) + model_version - 1) % CLASSES


def ensure() -> Path:
    """The folder with all models, made now (about 15 s) or by an earlier run of the same code."""
    key = hashlib.sha256(Path(__file__).read_bytes() + version("tensorflow-serving-api").encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"labelmesh-test-models-{key}"
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(prefix="labelmesh-test-models-", dir=tempfile.gettempdir()) as fresh:
            made = Path(fresh) / "models"
            subprocess.run(
                [sys.executable, __file__, str(made)],
                check=True,
                timeout=120,
                capture_output=True,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
            )
            try:
                made.rename(folder)
            except OSError:
                if not folder.is_dir():  # Otherwise another worker was first.
                    raise
    return folder


def _write(folder: Path) -> None:
    import tensorflow as tf

    def spec(shape: list[int | None], kind: Any, name: str) -> Any:
        return tf.TensorSpec(shape, kind, name=name)

    def traced(*specs: Any) -> Callable[[Callable[..., Any]], Any]:
        return lambda function: tf.function(function, input_signature=specs)

    def save(name: str, number: int, module: Any, signatures: dict[str, Any]) -> None:
        tf.saved_model.save(module, str(folder / name / str(number)), signatures=signatures)

    def digit_scores(mean: Any, shift: Any) -> Any:
        digit = tf.minimum(tf.cast(mean * CLASSES, tf.int32), CLASSES - 1)
        return tf.nn.softmax(6.0 * tf.one_hot((digit + shift) % CLASSES, CLASSES))

    def save_digits(number: int) -> None:
        digits = tf.Module()
        digits.shift = tf.Variable(number - 1, dtype=tf.int32)

        @traced(spec([None, 28, 28, 1], tf.float32, "image"))
        def classify_image(image: Any) -> Any:
            return {"scores": digit_scores(tf.reduce_mean(image, axis=[1, 2, 3]), digits.shift)}

        save("digits", number, digits, {"serving_default": classify_image})

    for number in (1, 2, 3):
        save_digits(number)

    @traced(spec([None], tf.string, "image_bytes"))
    def classify_bytes(image_bytes: Any) -> Any:
        def brightness(content: Any) -> Any:
            return tf.reduce_mean(tf.cast(tf.io.decode_image(content, channels=1, expand_animations=False), tf.float32)) / 255.0

        return {"scores": digit_scores(tf.map_fn(brightness, image_bytes, fn_output_signature=tf.float32), 0)}

    save("encoded", 1, tf.Module(), {"serving_default": classify_bytes})

    @traced(spec([None, None, None, 3], tf.uint8, "image"))
    def detect(image: Any) -> Any:
        count = tf.shape(image)[0]
        brightness = tf.reduce_mean(tf.cast(image, tf.float32), axis=[1, 2, 3]) / 255.0
        return {
            "detection_boxes": tf.tile([[[0.1, 0.2, 0.5, 0.6], [0.0, 0.0, 1.0, 1.0]]], [count, 1, 1]),
            "detection_scores": tf.stack([tf.fill([count], 0.9), brightness], axis=1),
            "detection_classes": tf.tile([[1.0, 2.0]], [count, 1]),
            "num_detections": tf.fill([count], 2.0),
        }

    save("boxes", 1, tf.Module(), {"serving_default": detect})

    @traced(spec([None, None, None, 3], tf.float32, "image"))
    def find_points(image: Any) -> Any:
        return {"keypoints": tf.tile([[[0.25, 0.5, 0.9], [0.5, 0.25, 0.8], [0.75, 0.75, 0.1]]], [tf.shape(image)[0], 1, 1])}

    save("keypoints", 1, tf.Module(), {"serving_default": find_points})

    @traced(spec([None, None, None, 1], tf.float32, "image"))
    def segment(image: Any) -> Any:
        bright = tf.cast(image > 0.5, tf.float32)
        return {"mask": tf.concat([1.0 - bright, bright], axis=-1)}

    save("mask", 1, tf.Module(), {"serving_default": segment})

    adding = tf.Module()
    adding.one = tf.Variable(1.0)

    @traced(spec([None], tf.float32, "x"))
    def add_one(x: Any) -> Any:
        return {"y": x + adding.one}

    @traced(spec([None], tf.int32, "x"))
    def add_int(x: Any) -> Any:
        return {"y": x + 1}

    @traced(spec([None], tf.string, "x"))
    def add_mark(x: Any) -> Any:
        return {"y": x + tf.constant("!")}

    @traced(spec([None], tf.float32, "a"), spec([None], tf.float32, "b"))
    def add_and_subtract(a: Any, b: Any) -> Any:
        return {"total": a + b, "difference": a - b}

    @traced(spec([None], tf.float32, "x"))
    def total(x: Any) -> Any:
        return {"y": tf.reduce_sum(x)}

    signatures = {"serving_default": add_one, "ints": add_int, "strings": add_mark, "many": add_and_subtract, "no_batch": total}
    save("add_one", 1, adding, signatures)

    def feature_x(inputs: Any) -> Any:
        return tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([], tf.float32)})["x"]

    @traced(spec([None], tf.string, "inputs"))
    def classify_examples(inputs: Any) -> Any:
        x = feature_x(inputs)
        return {"classes": tf.tile([["small", "large"]], [tf.shape(x)[0], 1]), "scores": tf.stack([1.0 - x, x], axis=1)}

    @traced(spec([None], tf.string, "inputs"))
    def regress_examples(inputs: Any) -> Any:
        return {"outputs": 2.0 * feature_x(inputs)}

    both = {"serving_default": classify_examples, "classify": classify_examples, "regress": regress_examples}
    save("examples", 1, tf.Module(), both)

    @traced(spec([None], tf.float32, "x"), spec([], tf.int32, "steps"))
    def work(x: Any, steps: Any) -> Any:
        matrix = tf.eye(400)
        for _ in tf.range(steps):
            matrix = tf.matmul(matrix, matrix)
        return {"y": x * matrix[0, 0]}

    save("slow", 1, tf.Module(), {"serving_default": work})

    @traced(spec([None], tf.float32, "x"), spec([], tf.int64, "size"))
    def allocate(x: Any, size: Any) -> Any:
        return {"y": x * tf.fill([size], 1.0)[0]}

    save("hungry", 1, tf.Module(), {"serving_default": allocate})


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
