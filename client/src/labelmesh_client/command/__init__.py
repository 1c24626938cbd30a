"""The command `labelmesh`."""

from __future__ import annotations
