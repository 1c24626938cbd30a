"""The migrations of a small sample schema."""

from __future__ import annotations

from labelmesh_chassis.upgrade import run_migrations
from sqlalchemy import MetaData

run_migrations(MetaData())
