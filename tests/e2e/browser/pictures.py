"""Takes the README's pictures of a running mesh with the demo digits, into docs/images.

Usage: python -m tests.e2e.browser.pictures ADDRESS [ADMIN_PASSWORD]

With the administrator's password it takes those of the administration, of the models and of augmenting too. A mesh whose sessions end early
(LABELMESH_SESSION_IDLE_SECONDS=40) saves waiting for the warning.
"""

from __future__ import annotations

import shutil
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from sklearn.datasets import load_digits

from tests.e2e.browser.conftest import CHROMIUM_NAMES, FLAGS
from tests.e2e.browser.desk import Desk
from tests.e2e.browser.people import Account
from tests.e2e.browser.sheet import draw
from tests.support.mesh import GUEST, HOUSE

FOLDER = HOUSE / "docs" / "images"
LABELS = 60
LEGIBLE = "36"
"""Digits that one recognises at a glance."""
_PIXELS = """() => {
  const picture = document.querySelector('.stage .picture');
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 8;
  const pencil = canvas.getContext('2d');
  pencil.drawImage(picture, 0, 0, 8, 8);
  return [...pencil.getImageData(0, 0, 8, 8).data].filter((_, index) => index % 4 === 0);
}"""


class Reader:
    """Reads digits like a person who is nearly always right: by the most similar of the originals."""

    def __init__(self) -> None:
        digits: Any = load_digits()
        self._pixels: NDArray[np.float64] = digits.data * (255 / 16)
        self._labels: NDArray[np.int64] = digits.target

    def read(self, page: Page) -> str:
        dark = 255 - np.asarray(page.evaluate(_PIXELS), dtype=np.float64)
        return str(self._labels[int(((self._pixels - dark) ** 2).sum(axis=1).argmin())])


def _keep(page: Page, name: str) -> None:
    path = FOLDER / f"{name}.png"
    page.wait_for_timeout(600)
    page.screenshot(path=path)
    Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)
    print(path.relative_to(HOUSE), path.stat().st_size // 1024, "KiB")


def take(browser: Browser, address: str) -> None:
    """Labels some digits and takes a picture of every page on the way."""
    reader = Reader()
    for scheme in ("light", "dark"):
        chosen: Any = scheme
        context = browser.new_context(viewport={"width": 1200, "height": 750}, color_scheme=chosen, locale="en-GB")
        desk = Desk(context.new_page(), address)
        desk.open_as(Account(*GUEST))
        desk.wait_for_image()
        for _ in range(LABELS):
            desk.wait_for_image()
            desk.press(reader.read(desk.page))
        for _ in range(LABELS):
            desk.wait_for_image()
            if reader.read(desk.page) in LEGIBLE:
                break
            desk.press(reader.read(desk.page))
        desk.settle()
        _keep(desk.page, f"label-{scheme}")
        desk.page.get_by_role("link", name="Statistics").click()
        desk.page.get_by_test_id("labels-given").wait_for()
        _keep(desk.page, f"statistics-{scheme}")
        context.close()
    context = browser.new_context(
        viewport={"width": 360, "height": 700}, device_scale_factor=2, has_touch=True, is_mobile=True, color_scheme="light"
    )
    desk = Desk(context.new_page(), address)
    desk.open_as(Account(*GUEST))
    desk.wait_for_image()
    _keep(desk.page, "label-phone")
    context.close()


def take_the_models(browser: Browser, address: str, password: str) -> None:
    """Predicting, the models, and what a model suggests; "digits" is served, best in several versions."""
    phone: Any = {"viewport": {"width": 360, "height": 700}, "device_scale_factor": 2, "has_touch": True, "color_scheme": "light"}
    wide: Any = {"viewport": {"width": 1200, "height": 900}}
    for name, options in (("light", wide | {"color_scheme": "light"}), ("dark", wide | {"color_scheme": "dark"}), ("phone", phone)):
        context = browser.new_context(**options, locale="en-GB")
        desk = Desk(context.new_page(), address)
        desk.open_as(Account("admin", password), "#/predict")
        draw(desk.page)
        desk.page.get_by_role("button", name="Yes").wait_for()
        _keep(desk.page, f"predict-{name}")
        if name != "phone":
            desk.page.goto(f"{address}/#/models/digits")
            desk.page.get_by_test_id("training-state").first.wait_for()
            _keep(desk.page, f"models-{name}")
        context.close()
    context = browser.new_context(viewport={"width": 1200, "height": 750}, color_scheme="light", locale="en-GB")
    desk = Desk(context.new_page(), address)
    desk.open_as(Account("admin", password), "#/projects")
    desk.page.get_by_role("link", name="Handwritten digits").first.click()
    desk.wait_for_image()
    desk.page.locator(".class-button.suggested").wait_for()
    _keep(desk.page, "label-suggestion")
    context.close()


def take_augmenting(browser: Browser, address: str, password: str) -> None:
    """The augment page with its sample picture: whole, a result enlarged, and sliders on a phone."""
    phone: Any = {"viewport": {"width": 360, "height": 700}, "device_scale_factor": 2, "has_touch": True, "color_scheme": "light"}
    wide: Any = {"viewport": {"width": 1440, "height": 950}}
    for name, options in (("light", wide | {"color_scheme": "light"}), ("dark", wide | {"color_scheme": "dark"}), ("phone", phone)):
        context = browser.new_context(**options, locale="en-GB")
        desk = Desk(context.new_page(), address)
        desk.open_as(Account("admin", password), "#/augment?seed=12")
        page = desk.page
        page.get_by_role("button", name="I know how").click()
        page.get_by_role("button", name="Strong").click()
        page.locator("[data-testid=result] .chip", has_text="Elastic").first.wait_for()
        page.locator(".step-title").nth(1).click()
        if name == "dark":
            page.locator("button.shot").nth(1).click()
            page.wait_for_timeout(1000)
        elif name == "phone":
            page.locator(".step-title").nth(1).evaluate("one => scrollTo(0, one.getBoundingClientRect().top + scrollY - 90)")
        else:
            page.mouse.move(2, 2)
        _keep(page, f"augment-{name}")
        context.close()


def take_the_end_of_a_session(browser: Browser, address: str) -> None:
    """Waits without activity until the page warns."""
    context = browser.new_context(viewport={"width": 1000, "height": 640}, color_scheme="light", locale="en-GB")
    desk = Desk(context.new_page(), address)
    desk.open_as(Account(*GUEST))
    desk.wait_for_image()
    desk.page.get_by_text("Still there?").wait_for(timeout=130_000)
    _keep(desk.page, "session-warning")
    context.close()


def take_the_administration(browser: Browser, address: str, password: str) -> None:
    """The pages of those who run it."""
    context = browser.new_context(viewport={"width": 1000, "height": 560}, color_scheme="light", locale="en-GB")
    desk = Desk(context.new_page(), address)
    desk.open_as(Account("admin", password))
    desk.wait_for_image()
    for place, name in (("#/projects", "projects"), ("#/admin/audit", "audit-log")):
        desk.page.goto(f"{address}/{place}")
        _keep(desk.page, name)
    context.close()


def main() -> None:
    """Starts Chromium and takes the pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    program = next(found for name in CHROMIUM_NAMES if (found := shutil.which(name)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        address = sys.argv[1].rstrip("/")
        take(browser, address)
        take_the_end_of_a_session(browser, address)
        if len(sys.argv) > 2:
            take_the_administration(browser, address, sys.argv[2])
            take_the_models(browser, address, sys.argv[2])
            take_augmenting(browser, address, sys.argv[2])
        browser.close()


if __name__ == "__main__":
    main()
