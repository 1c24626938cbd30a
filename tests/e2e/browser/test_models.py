"""The models page: versions and how good they are, who answers, and the way back."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser.axe import violations
from tests.e2e.browser.desk import Desk
from tests.e2e.browser.people import Office
from tests.e2e.browser.shades import SHADES
from tests.support.mesh import LocalMesh

pytestmark = pytest.mark.timeout(300)


def routing(office: Office) -> dict[str, Any]:
    found: dict[str, Any] = office.call("GET", f"/v1/models/{SHADES}")["model"]["routing"]
    return found


def aliases(office: Office) -> dict[str, str]:
    found = office.call("GET", f"/v1/models/{SHADES}")["model"]["routing"]["aliases"]
    return {one["name"]: one["version"] for one in found}


@pytest.fixture(autouse=True)
def _only_stable(models_office: Office) -> None:
    """Everything goes to stable, and there is no other alias."""
    models_office.call("POST", f"/v1/models/{SHADES}/traffic", {"requestId": str(uuid.uuid4())})
    for name in aliases(models_office).keys() - {"stable"}:
        models_office.call("POST", f"/v1/models/{SHADES}/aliases/{name}", {"requestId": str(uuid.uuid4()), "version": "0"})


def set_slider(page: Page, label: str, value: int) -> None:
    page.get_by_label(re.compile(rf"^{label}:")).fill(str(value))


def test_moving_an_alias_is_confirmed_rolled_back_and_undone(models_desk: Desk, models_office: Office) -> None:
    page = models_desk.page
    before = aliases(models_office)["stable"]
    other = {"1": "2", "2": "1"}[before]
    models_desk.open_as(models_office.account("ROLE_MANAGER"), f"#/models/{SHADES}")
    page.get_by_label("Version of stable").select_option(other)
    dialog = page.get_by_role("dialog", name=f"Move stable to version {other}?")
    expect(dialog).to_contain_text(f"stable moves from version {before} to version {other}.")
    expect(dialog).to_contain_text("100 % of the calls")
    dialog.get_by_role("button", name="Cancel").click()
    assert aliases(models_office)["stable"] == before
    expect(page.get_by_label("Version of stable")).to_have_value(before)
    page.get_by_label("Version of stable").select_option(other)
    dialog.get_by_role("button", name="Move it").click()
    expect(dialog).to_have_count(0)
    expect(page.locator(f'tr[data-version="{other}"]')).to_contain_text("stable")
    assert aliases(models_office)["stable"] == other
    page.get_by_role("button", name="Roll back to revision").first.click()
    expect(page.get_by_test_id("rolled-back")).to_contain_text("Rolled back to revision")
    expect(page.locator(f'tr[data-version="{before}"]')).to_contain_text("stable")
    assert aliases(models_office)["stable"] == before
    page.get_by_test_id("rolled-back").get_by_role("button", name="Undo").click()
    expect(page.locator(f'tr[data-version="{other}"]')).to_contain_text("stable")
    assert aliases(models_office)["stable"] == other


def test_shares_always_add_up_and_are_applied_with_the_shadow(models_desk: Desk, models_office: Office) -> None:
    page = models_desk.page
    models_desk.open_as(models_office.account("ROLE_MANAGER"), f"#/models/{SHADES}")
    page.get_by_label("Version of canary").select_option("2")
    page.get_by_role("dialog").get_by_role("button", name="Move it").click()
    traffic = page.get_by_role("form", name="Traffic")
    expect(traffic.get_by_text("canary: 0 %")).to_be_visible()
    expect(traffic.get_by_role("button", name="Apply")).to_be_disabled()
    set_slider(page, "canary", 15)
    expect(traffic.get_by_text("stable: 85 %")).to_be_visible()
    traffic.get_by_label("Shadow").select_option("canary")
    traffic.get_by_role("button", name="Apply").click()
    expect(page.locator("tr[data-revision]").first).to_contain_text("85 %")
    now = routing(models_office)
    assert {one["alias"]: one["weight"] for one in now["splits"]} == {"stable": 85, "canary": 15}
    assert now["shadow"] == {"alias": "canary", "share": 0.1}


def test_a_change_that_somebody_else_made_meanwhile_is_not_overwritten(models_desk: Desk, models_office: Office) -> None:
    page = models_desk.page
    before = aliases(models_office)["stable"]
    other = {"1": "2", "2": "1"}[before]
    models_desk.open_as(models_office.account("ROLE_MANAGER"), f"#/models/{SHADES}")
    page.get_by_label("Version of stable").select_option(other)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    body = {"requestId": str(uuid.uuid4()), "version": other}
    models_office.call("POST", f"/v1/models/{SHADES}/aliases/next", body)
    dialog.get_by_role("button", name="Move it").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Somebody else changed the routing")
    assert aliases(models_office)["stable"] == before


def test_everybody_may_look_and_only_managers_change(models_desk: Desk, models_office: Office) -> None:
    page = models_desk.page
    models_desk.open_as(models_office.account(), "#/models")
    page.get_by_role("link", name="Handwritten digits").click()
    expect(page.locator("tr[data-version]").first).to_contain_text("available")
    expect(page.get_by_role("heading", name="Who answers")).to_be_visible()
    expect(page.get_by_text(re.compile("of the calls go to"))).to_be_visible()
    for name in ("Apply", "Roll back", "Remove"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)


def test_how_a_training_went_is_drawn_and_stands_in_a_table(models_desk: Desk, models_office: Office) -> None:
    page = models_desk.page
    models_desk.open_as(models_office.account(), "#/models/digits")
    expect(page.get_by_test_id("training-state").first).to_contain_text("succeeded")
    plot = page.get_by_role("figure", name="Accuracy").last
    expect(plot.get_by_role("img", name=re.compile("Accuracy: .*from .* at epoch 1 to"))).to_be_visible()
    plot.get_by_text("As a table").click()
    expect(plot.get_by_role("columnheader", name="Validation accuracy")).to_be_visible()
    page.get_by_text(re.compile(r"All \d+ metrics")).click()
    expect(page.get_by_role("rowheader", name="Accuracy", exact=True)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_breaks_no_rule_of_accessibility_and_fits_a_phone(
    browser: Browser, models_mesh: LocalMesh, models_office: Office, scheme: str
) -> None:
    context = browser.new_context(
        viewport={"width": 320, "height": 640}, has_touch=True, color_scheme="dark" if scheme == "dark" else "light"
    )
    try:
        desk = Desk(context.new_page(), models_mesh.address)
        desk.open_as(models_office.account("ROLE_MANAGER"), "#/models")
        expect(desk.page.get_by_role("link", name="Shades")).to_be_visible()
        found = violations(desk.page)
        for name in (SHADES, "digits"):
            desk.open(f"#/models/{name}")
            expect(desk.page.locator("tr[data-revision]").first).to_be_visible()
            found += violations(desk.page)
            assert desk.page.evaluate("() => document.documentElement.scrollWidth") == 320
        desk.page.get_by_label("Version of canary").select_option("1")
        expect(desk.page.get_by_role("dialog")).to_be_visible()
        found += violations(desk.page)
        assert found == []
        assert desk.complaints == []
    finally:
        context.close()
