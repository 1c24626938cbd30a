"""The client of TensorFlow Serving, without TensorFlow."""
