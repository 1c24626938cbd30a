"""The predict page: draw or bring a picture, see what the model says, and say whether it was right."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, BrowserContext, Route, expect

from tests.e2e.browser.axe import violations
from tests.e2e.browser.desk import SECONDS, Desk
from tests.e2e.browser.people import Office, picture
from tests.e2e.browser.shades import THINGS
from tests.e2e.browser.sheet import SEVEN, draw, drop, paste
from tests.e2e.models.digits import known_digits
from tests.support.mesh import LocalMesh

pytestmark = pytest.mark.timeout(300)
PREDICT = re.compile(r"PredictionService/Predict$")


def test_a_seven_is_read_while_it_is_drawn_and_the_answer_says_by_whom_and_how_long(models_desk: Desk, models_office: Office) -> None:
    page = models_desk.page
    models_desk.open_as(models_office.account(), "#/predict")
    draw(page, SEVEN, lift=False)
    expect(page.get_by_test_id("verdict")).to_contain_text("7")
    expect(page.get_by_role("button", name="Yes")).to_have_count(0)  # What is not kept cannot be judged.
    page.mouse.up()
    expect(page.get_by_role("button", name="Yes")).to_be_visible()
    expect(page.get_by_test_id("answerer")).to_contain_text(re.compile(r"digits version \d+"))
    bars = page.get_by_role("list", name="How likely each class is").get_by_role("listitem")
    expect(bars).to_have_count(10)
    expect(bars.nth(7)).to_contain_text("%")
    times = page.get_by_role("region", name="Where the time went")
    for part in ("Preparing it", "Model", "On the way"):
        expect(times).to_contain_text(part)
    kept = page.locator(".history-list li")
    expect(kept).to_have_count(1)  # What was asked on the way is not kept.
    models_desk.until("() => document.querySelector('.history-list img')?.naturalWidth > 0")
    page.reload()
    expect(kept.first).to_contain_text("7")


def test_undo_and_clear_take_the_answer_with_them(models_desk: Desk, models_office: Office) -> None:
    page = models_desk.page
    models_desk.open_as(models_office.account(), "#/predict")
    draw(page)
    expect(page.get_by_test_id("verdict")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_test_id("verdict")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_test_id("verdict")).to_contain_text("7")


def test_everything_of_a_drawing_can_be_done_by_keyboard(models_desk: Desk, models_office: Office) -> None:
    page = models_desk.page
    models_desk.open_as(models_office.account(), "#/predict")
    sheet = page.get_by_role("application", name="Sheet to draw on")
    sheet.focus()
    for _ in range(3):
        page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Space")
    for _ in range(6):
        page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Space")
    expect(page.get_by_test_id("verdict")).to_contain_text("1")
    page.keyboard.press("Control+z")
    expect(page.get_by_test_id("verdict")).to_have_count(0)


@pytest.mark.parametrize("bring", [drop, paste], ids=["dropped", "pasted"])
def test_a_picture_that_is_brought_is_asked_about(models_desk: Desk, models_office: Office, bring: Callable[..., None]) -> None:
    page = models_desk.page
    models_desk.open_as(models_office.account(), "#/predict")
    expect(page.get_by_test_id("sheet")).to_be_visible()
    known = known_digits()[4]
    bring(page, known.png)
    expect(page.get_by_test_id("verdict")).to_contain_text(str(known.digit))
    expect(page.get_by_role("img", name="What the model was shown")).to_be_visible()
    page.get_by_role("button", name="Draw instead").click()
    expect(page.get_by_test_id("sheet")).to_be_visible()


def test_a_file_that_is_no_picture_is_told_before_and_one_that_is_broken_after_it_was_sent(
    models_desk: Desk, models_office: Office
) -> None:
    page = models_desk.page
    models_desk.open_as(models_office.account(), "#/predict")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if PREDICT.search(request.url) else None)
    choose = page.get_by_label("Choose a file")
    choose.set_input_files({"name": "letter.png", "mimeType": "image/png", "buffer": b"Dear all"})
    expect(page.get_by_role("alert").filter(has_text="“letter.png” is no JPEG or PNG file")).to_be_visible()
    assert asked == []
    choose.set_input_files({"name": "half.png", "mimeType": "image/png", "buffer": picture(77, side=200)[:150]})
    expect(page.locator(".answer .trouble")).to_be_visible()
    expect(page.locator(".answer .trouble")).not_to_contain_text("by itself")
    assert len(asked) == 1, "what cannot be read is not sent again"


def test_the_camera_takes_a_picture_and_a_refusal_says_what_to_do(
    models_desk: Desk, models_office: Office, context: BrowserContext
) -> None:
    page = models_desk.page
    models_desk.open_as(models_office.account(), "#/predict")
    page.get_by_role("button", name="Use the camera").click()
    dialog = page.get_by_role("dialog", name="Take a picture")
    expect(dialog.get_by_role("alert")).to_contain_text("Allow it in the browser's settings")
    context.grant_permissions(["camera"])
    dialog.get_by_role("button", name="Try again").click()
    dialog.get_by_role("button", name="Take it").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_test_id("verdict")).to_be_visible()
    expect(page.get_by_text("camera.jpg")).to_be_visible()


def test_an_address_inside_the_mesh_is_refused_with_a_reason(models_desk: Desk, models_office: Office) -> None:
    page = models_desk.page
    models_desk.open_as(models_office.account(), "#/predict")
    page.get_by_label("Address of a picture").fill("http://127.0.0.1:1/a.png")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator(".answer .trouble")).to_be_visible()


def test_a_wrong_answer_is_said_with_the_right_one_and_found_again(models_desk: Desk, models_office: Office) -> None:
    page = models_desk.page
    models_desk.open_as(models_office.account(), "#/predict")
    draw(page)
    page.get_by_role("button", name="No", exact=True).click()
    page.get_by_label("What would have been right?").fill("1")
    page.get_by_role("button", name="Say so").click()
    expect(page.get_by_text("Thank you: wrong, it is 1.")).to_be_visible()
    page.get_by_label("Only those found wrong").check()
    expect(page.locator(".history-list li")).to_have_count(1)
    expect(page.locator(".history-list")).to_contain_text("wrong: 1")
    page.get_by_role("button", name="Yes").click()
    expect(page.get_by_text("Thank you: right.")).to_be_visible()
    expect(page.get_by_text("None was found wrong.")).to_be_visible()


def test_boxes_lie_over_the_picture_and_the_slider_hides_the_doubtful(models_desk: Desk, models_office: Office) -> None:
    page = models_desk.page
    models_desk.open_as(models_office.account(), "#/predict")
    page.get_by_label("Model", exact=True).select_option(THINGS)
    drop(page, picture(1, side=200))
    boxes = page.locator(".asked .box")
    expect(boxes).to_have_count(2)
    expect(boxes.first).to_contain_text("animal 90 %")
    shown, box = page.locator(".asked img").bounding_box(), boxes.first.bounding_box()
    assert shown
    assert box
    assert abs(box["x"] - (shown["x"] + 0.2 * shown["width"])) < 2
    assert abs(box["height"] - 0.4 * shown["height"]) < 2
    page.get_by_role("slider").fill("0.95")
    expect(boxes).to_have_count(0)
    expect(page.get_by_test_id("verdict")).to_contain_text("0 things found")
    page.reload()
    expect(page.get_by_label("Model", exact=True)).to_have_value(THINGS)


def test_a_model_that_is_away_is_asked_again_by_itself(models_desk: Desk, models_office: Office) -> None:
    page = models_desk.page
    models_desk.open_as(models_office.account(), "#/predict")

    def refuse(route: Route) -> None:
        route.abort("connectionrefused")

    expect(page.get_by_test_id("sheet")).to_be_visible()
    page.route(PREDICT, refuse)
    drop(page, known_digits()[2].png)
    expect(page.locator(".answer .trouble")).to_contain_text("Asking again by itself")
    expect(page.locator(".banner-away")).to_have_count(0)  # The rest of the mesh is there.
    page.unroute(PREDICT, refuse)
    expect(page.get_by_test_id("verdict")).to_contain_text("2", timeout=15 * SECONDS)
    expect(page.locator(".answer .trouble")).to_have_count(0)


def test_without_a_model_the_page_says_what_to_do(desk: Desk, other_desk: Desk, office: Office) -> None:
    desk.open_as(office.account("ROLE_MANAGER"), "#/predict")
    expect(desk.page.get_by_text("labelmesh train digits")).to_be_visible()
    expect(desk.page.get_by_text("labelmesh model add DIR")).to_be_visible()
    other_desk.open_as(office.account(), "#/predict")
    expect(other_desk.page.get_by_role("heading", name="There is no model yet")).to_be_visible()
    expect(other_desk.page.get_by_text("labelmesh train digits")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_answer_breaks_no_rule_of_accessibility_and_fits_a_phone(
    browser: Browser, models_mesh: LocalMesh, models_office: Office, scheme: str
) -> None:
    context = browser.new_context(
        viewport={"width": 320, "height": 640}, has_touch=True, color_scheme="dark" if scheme == "dark" else "light"
    )
    try:
        desk = Desk(context.new_page(), models_mesh.address)
        desk.open_as(models_office.account("ROLE_MANAGER"), "#/predict")
        draw(desk.page)
        desk.page.get_by_role("button", name="No", exact=True).click()
        found = violations(desk.page)
        assert desk.page.evaluate("() => document.documentElement.scrollWidth") == 320
        drop(desk.page, picture(1, side=200))
        expect(desk.page.get_by_role("img", name="What the model was shown")).to_be_visible()
        found += violations(desk.page)
        assert found == []
        assert desk.complaints == []
    finally:
        context.close()
