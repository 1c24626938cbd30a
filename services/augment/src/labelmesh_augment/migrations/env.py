"""Runs the migrations on the connection that the caller opened and locked."""

from __future__ import annotations

from labelmesh_chassis.upgrade import run_migrations

from labelmesh_augment.tables import METADATA

run_migrations(METADATA)
