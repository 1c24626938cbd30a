"""Augmentation: pipelines of transforms over pictures and their labels."""
