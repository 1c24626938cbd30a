"""Page tokens."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelmesh_auth.paging import decode_token, encode_token, page_size
from labelmesh_chassis.errors import InvalidArgument

PARTS = st.lists(st.text(max_size=20), min_size=1, max_size=3)


@settings(max_examples=50)
@given(filters=PARTS, place=PARTS)
def test_a_token_says_the_place_it_was_made_for(filters: list[str], place: list[str]) -> None:
    assert decode_token(encode_token(filters, place), filters, len(place)) == place


@given(token=st.text(min_size=1, max_size=200))
def test_any_other_text_is_refused_as_a_wrong_page_token(token: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        decode_token(token, ["users", ""], 1)
    assert [violation.field for violation in raised.value.violations] == ["page_token"]


def test_a_token_of_another_filter_or_list_is_refused() -> None:
    token = encode_token(["users", ""], ["ada"])
    for filters, parts in ((["users", "a"], 1), (["users", ""], 2), (["api_keys", ""], 1)):
        with pytest.raises(InvalidArgument):
            decode_token(token, filters, parts)


def test_no_token_is_the_first_page_and_pages_have_a_default_and_a_limit() -> None:
    assert decode_token("", ["users"], 1) is None
    assert [page_size(asked) for asked in (0, 1, 500, 501)] == [50, 1, 500, 500]
