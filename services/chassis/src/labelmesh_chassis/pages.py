"""Page tokens: opaque to clients, good for the list and the filters they came from (https://google.aip.dev/158)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from labelmesh_chassis.errors import InvalidArgument

Item = TypeVar("Item")
Key = str | int


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items and the token of the page after them, empty at the end."""

    items: tuple[Item, ...]
    next_token: str


def page_size(asked: int, *, default: int, most: int) -> int:
    """The size that an asked one stands for: 0 means the default."""
    return min(asked or default, most)


def position(token: str, scope: str, *, length: int, field: str = "page_token") -> tuple[Key, ...] | None:
    """The keys of the last item of the page before, or None for the first page; InvalidArgument for a token from elsewhere."""
    if not token:
        return None
    try:
        keys = json.loads(base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4)))
        found, *rest = keys
        if found == scope and len(rest) == length and all(map(_is_key, rest)):
            return tuple(rest)
    except (ValueError, binascii.Error, UnicodeError, TypeError):
        pass
    raise _not_of_this_list(field)


def number_position(token: str, scope: str, *, field: str = "page_token") -> int | None:
    """The same for lists ordered by one number of 64 bits."""
    keys = position(token, scope, length=1, field=field)
    if keys is None:
        return None
    if not isinstance(keys[0], int) or abs(keys[0]) >= 2**63:
        raise _not_of_this_list(field)
    return keys[0]


def page_of(items: Sequence[Item], size: int, scope: str, keys_of: Callable[[Item], Sequence[Key]]) -> Page[Item]:
    """A page from up to size + 1 items, the last of which only tells that there is more."""
    shown = tuple(items[:size])
    if len(items) <= size or not shown:
        return Page(shown, "")
    return Page(shown, token_of(scope, keys_of(shown[-1])))


def token_of(scope: str, keys: Sequence[Key]) -> str:
    """The token of the place after the item with these keys."""
    raw = json.dumps([scope, *keys], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _is_key(found: object) -> bool:
    """UnicodeEncodeError for half a surrogate pair, which JSON can say and no database keeps. True and False are no numbers to one."""
    return (isinstance(found, int) and not isinstance(found, bool)) or (isinstance(found, str) and found.encode() is not None)


def _not_of_this_list(field: str) -> InvalidArgument:
    return InvalidArgument("PAGE_TOKEN_INVALID", f"the {field} is not one of this list", field=field)
