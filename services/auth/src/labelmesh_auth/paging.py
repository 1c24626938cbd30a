"""Pages of a list by keyset: a token says where the last page ended (https://google.aip.dev/158).

A token is bound to the filter that it was made with. It is not signed: changing it moves the place in a list that its holder may read.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from labelmesh_chassis.errors import InvalidArgument

DEFAULT_SIZE = 50
MAX_SIZE = 500

Item = TypeVar("Item")


@dataclass(frozen=True)
class Page(Generic[Item]):
    """Some items of a list and the token of the next page, empty at the end."""

    items: tuple[Item, ...]
    next_token: str


def page_size(asked: int) -> int:
    """How many items a page has: 50 when 0 is asked, never more than 500."""
    return min(asked, MAX_SIZE) if asked > 0 else DEFAULT_SIZE


def encode_token(filters: Sequence[str], place: Sequence[str]) -> str:
    """A token for the page after `place`, the sort key of the last item shown."""
    return base64.urlsafe_b64encode(json.dumps([_digest(filters), *place]).encode()).decode().rstrip("=")


def decode_token(token: str, filters: Sequence[str], parts: int) -> list[str] | None:
    """The place that a token names, None for an empty token; InvalidArgument when it is none of ours or was made with other filters."""
    if not token:
        return None
    try:
        values = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, ValueError) as problem:
        raise invalid_token() from problem
    if not isinstance(values, list) or len(values) != parts + 1 or not all(isinstance(value, str) for value in values):
        raise invalid_token()
    if values[0] != _digest(filters):
        raise invalid_token()
    return values[1:]


def invalid_token() -> InvalidArgument:
    """The error for a token that cannot be used."""
    return InvalidArgument("PAGE_TOKEN_INVALID", "the page token is not one of this list; start again without it", field="page_token")


def _digest(filters: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(filters)).encode()).hexdigest()[:16]
