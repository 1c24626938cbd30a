"""Augmenting for callers: one picture, small ones, or a stream of them."""
