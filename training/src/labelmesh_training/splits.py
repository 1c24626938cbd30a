"""Which pictures are learned from, and which are kept to measure with."""

from __future__ import annotations

#: Of all pictures.
HELD_OUT_SHARE = 0.2
#: 52 bits of the hash: what a float holds.
_DIGITS = 13


def is_held_out(sha256: str) -> bool:
    """Whether the picture of this content (hex) is measured with and never learned from.

    Decided by the content alone: the same picture is on the same side in every training, in every project and on every machine, so that a
    version is never measured on what an earlier one has learned.
    """
    return int(sha256[:_DIGITS], 16) / float(16**_DIGITS) < HELD_OUT_SHARE
