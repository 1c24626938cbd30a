"""Weighted rendezvous hashing: each key has its place among weighted names, the same on every replica, and a changed weight moves no more
keys than it must.

Each name gets the score -weight / ln(u), where u is a hash of key and name spread evenly over 0 to 1; the highest wins. The chance of a
name is its share of all weights, and where one weight grows, keys move to that name alone, and where it shrinks, from it alone.
Source: Schindelhauer and Schomaker, "Weighted distributed hash tables", SPAA 2005, https://doi.org/10.1145/1073970.1074008.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from hashlib import blake2b


def place(key: str, weights: Mapping[str, float], *, scope: str = "") -> str | None:
    """The name that a key belongs to, or None where no weight is above 0. Keys are spread anew in each scope."""
    best: tuple[float, str] | None = None
    for name, weight in weights.items():
        if weight > 0:
            best = max(best or (0.0, ""), (weight / -math.log(_spread(scope, name, key)), name))
    return best[1] if best is not None else None


def _spread(*texts: str) -> float:
    """Between 0 and 1, both exclusive, evenly over all texts."""
    digest = blake2b(digest_size=8)
    for text in texts:
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    # 53 bits are what a float holds.
    return ((int.from_bytes(digest.digest(), "little") >> 11) + 0.5) / 2**53
