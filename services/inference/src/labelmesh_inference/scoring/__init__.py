"""Predictions that flow into labeling."""
