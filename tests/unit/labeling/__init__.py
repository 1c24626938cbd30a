"""Labeling without any part outside of it."""
