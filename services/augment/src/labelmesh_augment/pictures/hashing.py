"""What names a file's content."""

from __future__ import annotations

import hashlib


def content_hash(content: bytes) -> str:
    """SHA-256 of the file, hex, lower case."""
    return hashlib.sha256(content).hexdigest()
