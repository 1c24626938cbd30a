"""Makes the environment that labelmesh runs in. Needs nothing but Python's own library: it runs before anything is installed."""

from __future__ import annotations
