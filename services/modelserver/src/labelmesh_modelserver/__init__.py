"""TensorFlow Serving's gRPC API over TensorFlow, where the real server is not installed."""
