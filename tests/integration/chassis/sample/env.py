"""The migrations of a small sample schema."""

from __future__ import annotations

from labelmesh_chassis.database import run_migrations
from sqlalchemy import MetaData

run_migrations(MetaData())
