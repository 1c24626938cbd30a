"""Reading and writing pictures."""

from __future__ import annotations
