"""Page tokens."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelmesh_chassis.errors import InvalidArgument
from labelmesh_chassis.pages import number_position, page_of, page_size, position


@given(st.integers(0, 50), st.integers(1, 10))
def test_pages_hold_every_item_once_in_order(count: int, size: int) -> None:
    items = list(range(count))
    found: list[int] = []
    token = ""
    for _ in range(count + 1):
        after = number_position(token, "items")
        page = page_of([item for item in items if after is None or item > after][: size + 1], size, "items", lambda item: [item])
        found += page.items
        token = page.next_token
        if not token:
            break
    assert found == items


@given(st.text(max_size=100))
def test_a_token_from_elsewhere_is_refused_and_nothing_else_happens(token: str) -> None:
    if not token:
        assert position(token, "items", length=1) is None
        return
    with pytest.raises(InvalidArgument) as caught:
        position(token, "items", length=1)
    assert caught.value.violations[0].field == "page_token"


@pytest.mark.parametrize(
    "keys", [["items", 2**70], ["items", "x"], ["items"], ["other", 1], ["items", 1, 2], {"items": 1}, 5, ["items", None]]
)
def test_a_token_of_another_shape_is_refused(keys: object) -> None:
    token = base64.urlsafe_b64encode(json.dumps(keys).encode()).decode()
    with pytest.raises(InvalidArgument):
        number_position(token, "items")


def test_no_size_means_the_default_and_too_large_a_size_the_most() -> None:
    assert [page_size(asked, default=50, most=500) for asked in (0, 1, 500, 501)] == [50, 1, 500, 500]
