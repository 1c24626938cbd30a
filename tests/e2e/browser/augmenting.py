"""The augment page as the tests use it: pictures to bring, results to look at."""

from __future__ import annotations

import io
import json
from typing import Any

from PIL import Image, ImageDraw
from playwright.sync_api import Locator, Page, expect

from tests.e2e.browser.desk import Desk
from tests.e2e.browser.people import Account

WIDTH, HEIGHT = 240, 160
BOX = (60, 40, 110, 90)
"""Left, top, right and bottom edge of what is painted red."""

_PIXELS = """(image) => {
  const canvas = document.createElement('canvas');
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const pencil = canvas.getContext('2d');
  pencil.drawImage(image, 0, 0);
  const {data} = pencil.getImageData(0, 0, canvas.width, canvas.height);
  let [left, top, right, bottom] = [canvas.width, canvas.height, 0, 0];
  let hash = 2166136261;
  for (let at = 0; at < data.length; at += 4) {
    hash = Math.imul(hash ^ data[at] ^ (data[at + 1] << 8) ^ (data[at + 2] << 16), 16777619) >>> 0;
    if (data[at] < 130 || data[at + 1] > 100) continue;
    const [x, y] = [(at / 4) % canvas.width, Math.floor(at / 4 / canvas.width)];
    [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x + 1), Math.max(bottom, y + 1)];
  }
  return {red: [left, top, right, bottom], hash, width: canvas.width, height: canvas.height};
}"""


def painted() -> bytes:
    """A PNG with a red box on blue ground."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (20, 30, 160))
    ImageDraw.Draw(image).rectangle((BOX[0], BOX[1], BOX[2] - 1, BOX[3] - 1), fill=(240, 10, 10))
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def pipeline(*steps: dict[str, Any], **rest: Any) -> str:
    """Parameters of the page's address that ask for this pipeline, in JSON as one types it."""
    return json.dumps({"steps": steps, **rest})


class Augmenting:
    """The augment page on a desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.page: Page = desk.page

    def open_as(self, account: Account, parameters: str = "") -> None:
        self.desk.open_as(account, f"#/augment{'?' if parameters else ''}{parameters}")
        expect(self.page.get_by_role("heading", name="Augment", level=1)).to_be_visible()

    @property
    def results(self) -> Locator:
        return self.page.get_by_test_id("result")

    def settle(self, count: int = 8) -> None:
        """Waits until so many results are there, every picture loaded, and nothing more is asked."""
        expect(self.results).to_have_count(count)
        expect(self.page.locator(".results")).to_have_attribute("aria-busy", "false")
        self.desk.until("() => [...document.querySelectorAll('.grid img')].every((image) => image.complete && image.naturalWidth > 0)")
        self.page.wait_for_timeout(300)  # for the change that is about to be asked
        expect(self.page.locator(".results")).to_have_attribute("aria-busy", "false")

    def pixels(self, copy: int) -> Any:
        """Of a result's picture: its size, the bounds of what is red, and a hash."""
        return self.results.nth(copy).locator("button img").evaluate(_PIXELS)

    def hashes(self) -> list[int]:
        return [self.pixels(copy)["hash"] for copy in range(self.results.count())]

    def use(self, json_text: str) -> None:
        """Pastes a pipeline."""
        self.page.get_by_role("button", name="JSON", exact=True).click()
        dialog = self.page.get_by_role("dialog", name="The pipeline as JSON")
        dialog.get_by_label("Pipeline as JSON").fill(json_text)
        dialog.get_by_role("button", name="Use this").click()
        expect(dialog).to_have_count(0)

    def json(self) -> Any:
        """The pipeline as the page writes it out."""
        self.page.get_by_role("button", name="JSON", exact=True).click()
        dialog = self.page.get_by_role("dialog", name="The pipeline as JSON")
        text = dialog.get_by_label("Pipeline as JSON").input_value()
        self.page.keyboard.press("Escape")
        return json.loads(text)

    def label(self, labels: dict[str, Any]) -> None:
        """Pastes labels."""
        self.page.get_by_test_id("labels").locator("summary").click()
        self.page.get_by_role("button", name="Paste JSON").click()
        self.page.get_by_label("Labels as JSON").fill(json.dumps(labels))
        self.page.get_by_role("button", name="Use these labels").click()
