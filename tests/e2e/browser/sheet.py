"""Drawing on the sheet, and bringing pictures in every way a person can."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from playwright.sync_api import JSHandle, Page

SEVEN = ((80, 70), (200, 70), (120, 230))
"""Corners of a stroke, in the sheet's units of 280 a side."""
_SIDE = 280
_STEPS = 12
_FILE = """({content, name, type}) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const brought = new DataTransfer();
  brought.items.add(new File([bytes], name, {type}));
  return brought;
}"""


def draw(page: Page, corners: Sequence[tuple[int, int]] = SEVEN, *, lift: bool = True) -> None:
    """Draws one stroke with the mouse."""
    box = page.get_by_test_id("sheet").bounding_box()
    assert box
    points = [(box["x"] + x / _SIDE * box["width"], box["y"] + y / _SIDE * box["height"]) for x, y in corners]
    page.mouse.move(*points[0])
    page.mouse.down()
    for x, y in points[1:]:
        page.mouse.move(x, y, steps=_STEPS)
    if lift:
        page.mouse.up()


def drop(page: Page, content: bytes, name: str = "digit.png", kind: str = "image/png") -> None:
    """Drops a file somewhere on the page."""
    page.locator("main").dispatch_event("drop", {"dataTransfer": _brought(page, content, name, kind)})


def paste(page: Page, content: bytes, name: str = "image.png", kind: str = "image/png") -> None:
    """Pastes a file."""
    event = "(brought) => dispatchEvent(new ClipboardEvent('paste', {clipboardData: brought, bubbles: true}))"
    _brought(page, content, name, kind).evaluate(event)


def _brought(page: Page, content: bytes, name: str, kind: str) -> JSHandle:
    return page.evaluate_handle(_FILE, {"content": base64.b64encode(content).decode(), "name": name, "type": kind})
