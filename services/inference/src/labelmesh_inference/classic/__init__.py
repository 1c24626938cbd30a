"""The interface of the first digit server."""
