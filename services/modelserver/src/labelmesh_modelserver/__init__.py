"""TensorFlow Serving's gRPC API over TensorFlow itself, for machines where the real server is not installed."""
