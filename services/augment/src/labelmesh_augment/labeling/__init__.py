"""Labeling, as this service calls it."""
