"""Means to operate a labelmesh: backup, verification and restore, models in object storage, first secrets. Knows no service's code."""

from __future__ import annotations
