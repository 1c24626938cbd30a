"""The page: nothing of what was asked becomes part of it."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st
from labelmesh_augment.classic.page import Outcome, Shown, error_page, result_page
from labelmesh_augment.classic.words import Told

SHOWN = Shown(b"x", "image/png", 1, 2, 3, 4)
HOSTILE = st.one_of(
    st.text(max_size=40), st.sampled_from(['"><script>alert(1)</script>', "' onerror='x", "&quot;<b>", "]]>--!><svg/onload=x>"])
)


class Shape(HTMLParser):
    """Tags and names of attributes, which is all that could do anything."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))


@settings(derandomize=True, max_examples=60, deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE)
def test_whatever_is_asked_the_page_has_the_same_shape(url: str, first: str, second: str) -> None:
    def shape(one: str, two: str, three: str) -> list[tuple[str, tuple[str, ...]]]:
        return Shape(result_page(Outcome(one, 1, 2, SHOWN, SHOWN, [Told(two, three, ((two, three),))]))).found

    assert shape(url, first, second) == shape("https://example.org", "a", "b")


@settings(derandomize=True, max_examples=60, deadline=None)
@given(HOSTILE.filter(bool), HOSTILE, HOSTILE)
def test_whatever_went_wrong_the_page_has_the_same_shape(url: str, reason: str, message: str) -> None:
    assert Shape(error_page(url, 400, reason, message)).found == Shape(error_page("https://example.org", 400, "R", "m")).found


def test_a_page_without_steps_says_so() -> None:
    assert "Another seed" in result_page(Outcome("u", 1, 2, SHOWN, SHOWN, []))


def test_trying_again_is_offered_where_it_helps() -> None:
    assert "Try again" in error_page("u", 429, "WORKERS_BUSY", "busy", 0.5)
    assert "Try again" not in error_page("u", 400, "NOT_AN_IMAGE", "no", None)
