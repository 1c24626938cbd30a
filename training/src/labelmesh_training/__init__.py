"""Trains models from the labels in labelmesh, and makes SavedModels of older files."""
