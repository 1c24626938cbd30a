"""The page for everybody: on a phone, by keyboard, with a screen reader, in light and dark."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browser.axe import violations
from tests.e2e.browser.desk import Desk
from tests.e2e.browser.people import Office
from tests.support.mesh import LocalMesh


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_breaks_a_rule_of_accessibility(browser: Browser, mesh: LocalMesh, office: Office, scheme: str) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    try:
        desk = Desk(context.new_page(), mesh.address)
        project = office.project(12, first=1200)
        admin = office.account("ROLE_ADMIN")
        desk.open()
        expect(desk.page.get_by_role("button", name="Sign in")).to_be_visible()
        found = violations(desk.page)
        desk.label_in(admin, project)
        desk.press("3")
        desk.press("z")
        desk.settle()
        desk.wait_for_image()
        found += violations(desk.page)
        desk.page.keyboard.press("?")
        expect(desk.page.get_by_role("dialog", name="Keys")).to_be_visible()
        found += violations(desk.page)
        desk.page.keyboard.press("Escape")
        places = ("#/projects", "#/new-project", f"#/projects/{project}/statistics", f"#/projects/{project}/manage")
        for place in (*places, "#/predict", "#/models", "#/admin/users", "#/admin/keys", "#/admin/audit", "#/admin/signing"):
            desk.open(place)
            expect(desk.page.get_by_role("heading", level=1)).to_be_visible()
            expect(desk.page.locator(".waiting")).to_have_count(0)
            found += [f"{place}: {one}" for one in violations(desk.page)]
        assert found == []
        assert desk.complaints == []
    finally:
        context.close()


@pytest.mark.parametrize(("width", "height"), [(360, 640), (640, 360), (320, 568)], ids=["phone", "phone on its side", "small phone"])
def test_a_phone_shows_the_image_and_every_class_without_scrolling(
    browser: Browser, mesh: LocalMesh, office: Office, width: int, height: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=True, is_mobile=True)
    try:
        desk = Desk(context.new_page(), mesh.address)
        desk.label_in(office.account(), office.project(12, first=1300))
        for digit in "0123456789":
            expect(desk.page.locator(f'[data-class="{digit}"]')).to_be_in_viewport(ratio=1)
        for name in ("Skip", "Undo"):
            expect(desk.page.locator(".bench-foot button", has_text=name)).to_be_in_viewport(ratio=1)
        picture = desk.page.locator(".picture").bounding_box()
        assert picture
        assert min(picture["width"], picture["height"]) >= 100
        sizes = desk.page.evaluate("() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        assert sizes == [width, height]
        box = desk.page.locator('[data-class="5"]').bounding_box()
        assert box
        assert box["width"] >= 44
        assert box["height"] >= 40
        shown = desk.image
        desk.page.locator('[data-class="5"]').tap()
        desk.wait_for_change(shown)
        desk.expect_given(1)
    finally:
        context.close()


@pytest.mark.parametrize(
    "place",
    [
        "#/projects",
        "#/projects/{}/statistics",
        "#/projects/{}/manage",
        "#/predict",
        "#/models",
        "#/admin/users",
        "#/admin/keys",
        "#/admin/audit",
    ],
)
def test_no_page_is_wider_than_a_phone(browser: Browser, mesh: LocalMesh, office: Office, place: str) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
    try:
        desk = Desk(context.new_page(), mesh.address)
        if place == "#/admin/keys":  # An empty list is never too wide.
            office.call("POST", "/v1/api-keys", {"request_id": str(uuid.uuid4()), "display_name": "A key", "scopes": ["labeling.read"]})
        desk.open_as(office.account("ROLE_ADMIN"), place.format(office.project(1, first=1400)))
        expect(desk.page.get_by_role("heading", level=1)).to_be_visible()
        expect(desk.page.locator(".waiting")).to_have_count(0)
        if place == "#/admin/keys":
            expect(desk.page.get_by_role("button", name="Revoke").first).to_be_attached()
        assert desk.page.evaluate("() => document.documentElement.scrollWidth") == 360
    finally:
        context.close()


def test_everything_of_a_label_can_be_done_by_tabbing(desk: Desk, office: Office) -> None:
    desk.label_in(office.account(), office.project(5, first=1410))
    for _ in range(40):
        desk.page.keyboard.press("Tab")
        if desk.page.evaluate("() => document.activeElement?.dataset.class") == "4":
            break
    shown = desk.image
    desk.page.keyboard.press("Enter")
    desk.wait_for_change(shown)
    desk.expect_given(1)
    assert desk.page.evaluate("() => document.activeElement?.dataset.class") == "4"


def test_nothing_moves_when_labels_are_given(desk: Desk, office: Office) -> None:
    desk.label_in(office.account(), office.project(12, first=1420))
    boxes = (
        "() => ['.stage', '.class-grid', '.bench-foot'].map((part) => JSON.stringify(document.querySelector(part).getBoundingClientRect()))"
    )
    before = desk.page.evaluate(boxes)
    for digit in "123":
        desk.press(digit)
        assert desk.page.evaluate(boxes) == before
    desk.press("z")
    desk.expect_given(2)
    assert desk.page.evaluate(boxes) == before


def test_the_chosen_colours_stay_through_a_reload(desk: Desk, office: Office) -> None:
    desk.open()
    desk.page.get_by_role("button", name="Dark colours").click()
    desk.page.reload()
    expect(desk.page.locator("html")).to_have_attribute("data-scheme", "dark")
