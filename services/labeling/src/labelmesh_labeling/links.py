"""Addresses of images: readable without further credentials for a while, through the gateway."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

from labelmesh_labeling.pictures import object_key

# Addresses are signed as of the start of a window, so that an image asked for twice has one address and a browser need not load it twice.
_WINDOW_S = 300
_LIFETIME_S = 900 + _WINDOW_S


class Signer(Protocol):
    """What signs addresses."""

    def presign_get(self, key: str, *, lifetime_s: int = 900, at: datetime | None = None) -> str: ...


class ImageLinks:
    """Signs addresses that work for 15 to 20 minutes. The same image and moment give the same address."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._signed = lru_cache(maxsize=4096)(self._sign)

    def address(self, sha256: str, media_type: str, at: datetime | None = None) -> str:
        """The address of an image's file as of `at`, by default now. `sha256` in hex."""
        seconds = int((at or datetime.now(UTC)).timestamp())
        return self._signed(sha256, media_type, seconds - seconds % _WINDOW_S)

    def _sign(self, sha256: str, media_type: str, start: int) -> str:
        moment = datetime.fromtimestamp(start, UTC)
        return self._signer.presign_get(object_key(sha256, media_type), lifetime_s=_LIFETIME_S, at=moment)
