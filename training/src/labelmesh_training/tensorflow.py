"""TensorFlow, imported so that it says nothing but errors. Importing this module takes some seconds and some 500 MB."""

from __future__ import annotations

import os

# Read once, when TensorFlow is imported. oneDNN computes with other rounding on other machines, and says so on every start.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
# Another backend that somebody has set for Keras is not for what is written here.
os.environ["KERAS_BACKEND"] = "tensorflow"

import tensorflow as tf

tf.get_logger().setLevel("ERROR")

__all__ = ["tf"]
