"""Asking models: from a picture to a stored answer."""
