"""Random numbers that can be had again: a counter-based generator, keyed by what a step belongs to and by nothing else.

Philox4x64-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), with the same numbers as
`numpy.random.Philox(key=...)`. A step needs few of them, for which it is quicker here than making one of numpy's generators.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

_WORD = 0xFFFFFFFFFFFFFFFF
_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_ROUNDS = 10


def noise(key: str) -> np.random.Generator:
    """Any amount of noise out of a key that `StepDraws.key` gave: the same for the same key."""
    return np.random.Generator(np.random.Philox(key=int(key, 16) & ((1 << 128) - 1)))


@dataclass(frozen=True, slots=True)
class Origin:
    """What all numbers of one result depend on: seed, SHA-256 of the file (hex), and the number of the copy."""

    seed: int
    content_sha256: str
    copy: int = 0

    def draws(self, path: Sequence[int]) -> StepDraws:
        """The numbers of the step at this place of the pipeline, whatever was drawn for the others."""
        told = struct.pack(f"<qqH{len(path)}H", self.seed, self.copy, len(path), *path) + bytes.fromhex(self.content_sha256)
        return StepDraws(hashlib.blake2b(told, digest_size=16, person=b"labelmesh-draws").digest())


class StepDraws:
    """The numbers of one step, in the order in which they are asked for: `transforms.transform.Draws`."""

    __slots__ = ("_numbers",)

    def __init__(self, key: bytes) -> None:
        self._numbers = _philox(*struct.unpack("<QQ", key))

    def uniform(self, low: float, high: float) -> float:
        # Rounding must not lead past the end.
        return min(low + (high - low) * self._share(), high)

    def integer(self, low: int, high: int) -> int:
        # The next 64 bits as a fraction; no number comes up more often than another by more than one in 2^64 / (high - low).
        return low + (next(self._numbers) * (high - low + 1) >> 64)

    def chance(self, probability: float) -> bool:
        return self._share() < probability

    def pick(self, weights: Sequence[float]) -> int:
        total = float(sum(weights))
        if total <= 0:
            raise ValueError("None of the weights is above 0.")
        point = self._share() * total
        chosen = 0
        for index, weight in enumerate(weights):
            if weight <= 0:
                continue
            chosen = index
            if point < weight:
                break
            point -= weight
        return chosen

    def key(self) -> str:
        return f"{next(self._numbers):016x}{next(self._numbers):016x}"

    def _share(self) -> float:
        """From 0 to just below 1, in 2^53 steps."""
        return (next(self._numbers) >> 11) * 2.0**-53


def _philox(key0: int, key1: int) -> Iterator[int]:
    """64-bit numbers, four for each count from 1 on."""
    first, second = _MULTIPLIERS
    counter = 0
    while True:
        counter += 1
        a, b, c, d = counter & _WORD, 0, 0, 0
        k0, k1 = key0, key1
        for _ in range(_ROUNDS):
            left, right = first * a, second * c
            a, b, c, d = (right >> 64) ^ b ^ k0, right & _WORD, (left >> 64) ^ d ^ k1, left & _WORD
            k0, k1 = (k0 + _WEYL[0]) & _WORD, (k1 + _WEYL[1]) & _WORD
        yield from (a, b, c, d)
