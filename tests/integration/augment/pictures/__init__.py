"""Reading and writing pictures: what takes longer."""

from __future__ import annotations
