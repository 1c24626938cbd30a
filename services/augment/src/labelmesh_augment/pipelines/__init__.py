"""Pipelines: checked, drawn, carried out, kept."""
