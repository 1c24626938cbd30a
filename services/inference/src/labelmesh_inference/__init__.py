"""Models, predictions and trainings of labelmesh, in front of TensorFlow Serving."""
