"""A person at the page: what they see and do, in a real Chromium."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from playwright.sync_api import APIResponse, Locator, Page, Request, Route, TimeoutError, expect

from tests.e2e.browser.people import Account

SECONDS = 1000.0


class Desk:
    """One page of one person."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text) if "Content Security Policy" in said.text else None)

    def open(self, place: str = "") -> None:
        self.page.goto(f"{self.address}/{place}")

    def sign_in(self, account: Account) -> None:
        self.page.get_by_label("Name", exact=True).fill(account.name)
        self.page.get_by_label("Password", exact=True).fill(account.password)
        self.page.get_by_role("button", name=re.compile("Sign in")).click()

    def open_as(self, account: Account, place: str = "") -> None:
        """Opens the page and signs in; `place` is what follows the address, e.g. "#/projects"."""
        self.open(place)
        self.sign_in(account)

    def label_in(self, account: Account, project_id: str) -> None:
        """Opens a project as this person and waits for its first image."""
        self.open_as(account, f"#/projects/{project_id}")
        self.wait_for_image()

    def wait_for_image(self) -> None:
        picture = self.page.locator('.stage[data-ready="true"] .picture')
        try:
            picture.wait_for(timeout=15 * SECONDS)
        except TimeoutError as error:
            raise AssertionError(f"no image to label; the page shows: {self.page.inner_text('body')!r}") from error

    def press(self, key: str) -> None:
        """Presses a key when there is an image to label."""
        self.wait_for_image()
        shown = self.image
        self.page.keyboard.press(key)
        if key in "0123456789s":
            self.wait_for_change(shown)

    def wait_for_change(self, shown: str, seconds: float = 10.0) -> None:
        """Waits until another image than `shown` (its address) is on screen, or the page says that there is none."""
        changed = "shown => document.querySelector('.stage .picture')?.src !== shown || document.querySelector('[data-reason]') !== null"
        self.until(changed, shown, seconds)

    def until(self, script: str, argument: str | None = None, seconds: float = 15.0) -> None:
        """Waits until a JavaScript function answers true. Asked from outside: the page's own policy forbids to evaluate texts."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(script, argument):
            assert time.monotonic() < end, f"not within {seconds} s: {script}"
            self.page.wait_for_timeout(15)

    @property
    def image(self) -> str:
        """The address of the image on screen."""
        return str(self.page.locator(".stage .picture").evaluate("picture => picture.src"))

    @property
    def image_hash(self) -> str:
        """The content's hash of the image on screen."""
        match = re.search(r"[0-9a-f]{64}", self.image)
        assert match, self.image
        return match[0]

    def expect_given(self, count: int) -> None:
        expect(self.page.get_by_test_id("given")).to_contain_text(str(count), timeout=10 * SECONDS)

    def settle(self) -> None:
        """Waits until every label is confirmed."""
        self.until("() => !Object.keys(sessionStorage).some((key) => key.startsWith('labelmesh.unsent.'))")

    def listen(self, methods: str, heard: Callable[[Request, APIResponse], None]) -> None:
        """Hears every call of methods that match the regular expression, with its whole answer."""

        def pass_on(route: Route) -> None:
            answer = route.fetch()
            heard(route.request, answer)
            route.fulfill(response=answer)

        self.page.route(re.compile(rf"/labelmesh\..*/({methods})$"), pass_on)

    def cut_off(self) -> None:
        """From now on no call reaches the mesh."""
        self.page.route(re.compile(r"/labelmesh\."), _refuse)

    def connect_again(self) -> None:
        self.page.unroute(re.compile(r"/labelmesh\."), _refuse)


def fill(within: Locator, **texts: str) -> None:
    """Fills fields by their labels; an underscore stands for a space."""
    for label, text in texts.items():
        within.get_by_label(label.replace("_", " "), exact=True).fill(text)


def _refuse(route: Route) -> None:
    route.abort("connectionrefused")
