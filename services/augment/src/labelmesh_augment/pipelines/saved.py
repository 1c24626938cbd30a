"""Pipelines that projects keep, as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class SavedPipeline:
    """A version. `definition` is the contract's Pipeline with everything filled in, as bytes."""

    project_id: UUID
    name: str
    version: int
    definition: bytes
    note: str
    author_id: UUID
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be saved. `previous_version` is what it was made from, 0 for no matter."""

    project_id: UUID
    name: str
    definition: bytes
    note: str = ""
    previous_version: int = 0
