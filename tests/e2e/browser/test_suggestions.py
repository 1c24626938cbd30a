"""What a model suggests while people label, and the order it gives to the queue."""

from __future__ import annotations

import base64
import hashlib
import io

import pytest
from PIL import Image
from playwright.sync_api import Browser, Route, expect

from tests.e2e.browser.axe import violations
from tests.e2e.browser.desk import SECONDS, Desk
from tests.e2e.browser.people import Office
from tests.e2e.models.digits import known_digits
from tests.support.mesh import LocalMesh, until

pytestmark = pytest.mark.timeout(300)
MODEL = "digits"
PREDICT = "**/labelmesh.inference.v1.PredictionService/Predict"


def digits_project(office: Office, count: int = 8, *, repeat_rate: float = 0.0) -> str:
    """A project of digits whose meaning is known, with a model that suggests."""
    project = office.project(0, repeat_rate=repeat_rate)
    office.suggest(project, MODEL)
    office.add_pictures(project, {f"{index:03}.png": known.png for index, known in enumerate(known_digits(count))})
    return project


def digit_on(desk: Desk) -> str:
    """The digit on screen, by its content."""
    return next(str(known.digit) for known in known_digits() if hashlib.sha256(known.png).hexdigest() == desk.image_hash)


def feedback_of(office: Office, content: str) -> list[dict[str, object]]:
    return [one["feedback"] for one in office.predictions(MODEL) if one["inputSha256"] == content and one.get("feedback")]


def test_a_suggestion_is_shown_accepted_by_enter_and_the_model_hears_of_it(models_desk: Desk, models_office: Office) -> None:
    project = digits_project(models_office)
    models_desk.label_in(models_office.account(), project)
    page, shown, digit = models_desk.page, models_desk.image, digit_on(models_desk)
    content = models_desk.image_hash
    suggested = page.locator(".class-button.suggested")
    expect(suggested).to_have_attribute("data-class", digit)
    expect(suggested).to_contain_text("%")
    assert models_office.annotations(project) == [], "nothing is labeled by showing it"
    page.keyboard.press("Enter")
    models_desk.wait_for_change(shown)
    models_desk.settle()
    assert [one["classId"] for one in models_office.annotations(project)] == [digit]
    until(lambda: any(one["correct"] and one["label"] == digit for one in feedback_of(models_office, content)), 10, "the feedback")


def test_another_label_corrects_the_model(models_desk: Desk, models_office: Office) -> None:
    project = digits_project(models_office)
    models_desk.label_in(models_office.account(), project)
    content, wrong = models_desk.image_hash, str((int(digit_on(models_desk)) + 1) % 10)
    expect(models_desk.page.locator(".class-button.suggested")).to_be_visible()
    models_desk.press(wrong)
    models_desk.settle()
    until(
        lambda: any(one["label"] == wrong and not one.get("correct") for one in feedback_of(models_office, content)), 10, "the correction"
    )


def test_enter_on_a_button_presses_the_button(models_desk: Desk, models_office: Office) -> None:
    project = digits_project(models_office)
    models_desk.label_in(models_office.account(), project)
    expect(models_desk.page.locator(".class-button.suggested")).to_be_visible()
    other = str((int(digit_on(models_desk)) + 5) % 10)
    shown = models_desk.image
    models_desk.page.locator(f'[data-class="{other}"]').focus()
    models_desk.page.keyboard.press("Enter")
    models_desk.wait_for_change(shown)
    models_desk.settle()
    assert [one["classId"] for one in models_office.annotations(project)] == [other]


def test_enter_after_a_click_takes_the_suggestion_and_not_the_button_again(models_desk: Desk, models_office: Office) -> None:
    project = digits_project(models_office)
    models_desk.label_in(models_office.account(), project)
    shown = models_desk.image
    models_desk.page.locator('[data-class="0"]').click()
    models_desk.wait_for_change(shown)
    models_desk.wait_for_image()
    digit, shown = digit_on(models_desk), models_desk.image
    expect(models_desk.page.locator(".class-button.suggested")).to_have_attribute("data-class", digit)
    models_desk.page.keyboard.press("Enter")
    models_desk.wait_for_change(shown)
    models_desk.settle()
    assert sorted(one["classId"] for one in models_office.annotations(project)) == sorted(["0", digit])


def test_the_model_is_hidden_by_a_key_and_stays_so_for_this_person(models_desk: Desk, models_office: Office) -> None:
    project = digits_project(models_office)
    models_desk.label_in(models_office.account(), project)
    page, suggested = models_desk.page, models_desk.page.locator(".class-button.suggested")
    expect(suggested).to_be_visible()
    page.keyboard.press("m")
    expect(suggested).to_have_count(0)
    page.reload()
    models_desk.wait_for_image()
    page.wait_for_timeout(1000)
    expect(suggested).to_have_count(0)
    shown = models_desk.image
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    assert models_desk.image == shown, "without a suggestion Enter labels nothing"
    page.get_by_role("button", name="Model").click()
    expect(suggested).to_be_visible()


def test_labeling_never_waits_for_the_model(models_desk: Desk, models_office: Office) -> None:
    project = digits_project(models_office)
    held: list[Route] = []
    models_desk.page.route(PREDICT, lambda route: held.append(route))
    models_desk.label_in(models_office.account(), project)
    for digit in "1234":
        models_desk.press(digit)
    models_desk.settle()
    assert len(models_office.annotations(project)) == 4
    assert held, "the model was asked"


def test_a_suggestion_moves_nothing(models_desk: Desk, models_office: Office) -> None:
    boxes = (
        "() => ['.stage', '.class-grid', '[data-class=\"3\"]', '.bench-foot']"
        ".map((part) => JSON.stringify(document.querySelector(part).getBoundingClientRect()))"
    )
    held: list[Route] = []
    models_desk.page.route(PREDICT, lambda route: held.append(route))
    models_desk.label_in(models_office.account(), digits_project(models_office))
    before = models_desk.page.evaluate(boxes)
    for _ in range(500):
        if held:
            break
        models_desk.page.wait_for_timeout(20)
    held[0].continue_()
    expect(models_desk.page.locator(".class-button.suggested")).to_be_visible()
    assert models_desk.page.evaluate(boxes) == before


def blend(one: bytes, other: bytes) -> bytes:
    """A picture between two digits."""
    content = io.BytesIO()
    Image.blend(Image.open(io.BytesIO(one)).convert("L"), Image.open(io.BytesIO(other)).convert("L"), 0.5).save(content, "PNG")
    return content.getvalue()


def doubt(office: Office, content: bytes) -> float:
    body = {"model": {"model": MODEL}, "input": {"image": base64.b64encode(content).decode()}, "settings": {"storage": "STORAGE_NONE"}}
    return float(office.call("POST", "/v1/predictions", body)["prediction"]["result"]["classification"].get("doubt", 0))


def test_ordering_by_doubt_brings_the_most_doubtful_image_next(models_desk: Desk, models_office: Office) -> None:
    project = digits_project(models_office)
    known = known_digits()
    doubtful = max(
        (blend(known[a].png, known[b].png) for a, b in ((3, 8), (1, 7), (4, 9), (0, 6))), key=lambda one: doubt(models_office, one)
    )
    assert doubt(models_office, doubtful) > max(doubt(models_office, one.png) for one in known[:8])
    models_office.add_pictures(project, {"zz-last.png": doubtful})
    manager = models_office.account("ROLE_MANAGER")
    page = models_desk.page
    models_desk.open_as(manager, f"#/projects/{project}/manage")
    page.get_by_role("button", name="Order the queue by the model's doubt").click()
    expect(page.get_by_test_id("scoring")).to_contain_text("Done: 9 images ordered.", timeout=30 * SECONDS)
    expect(page.get_by_test_id("scoring")).to_contain_text(f"{MODEL} version")
    page.get_by_role("link", name="Label", exact=True).click()
    models_desk.wait_for_image()
    assert models_desk.image_hash == hashlib.sha256(doubtful).hexdigest()


def test_suggestions_for_all_images_become_annotations_of_the_machine(models_desk: Desk, models_office: Office) -> None:
    project = digits_project(models_office)
    page = models_desk.page
    models_desk.open_as(models_office.account("ROLE_MANAGER"), f"#/projects/{project}/manage")
    page.get_by_role("button", name="Suggest for all awaiting images").click()
    expect(page.get_by_test_id("scoring")).to_contain_text("Done: 8 images looked at.", timeout=30 * SECONDS)
    assert sorted(one["classId"] for one in models_office.annotations(project)) == sorted(str(known.digit) for known in known_digits(8))


def test_the_model_that_suggests_is_chosen_in_the_settings(models_desk: Desk, models_office: Office) -> None:
    project = models_office.project(2, first=3000)
    page = models_desk.page
    models_desk.open_as(models_office.account("ROLE_MANAGER"), f"#/projects/{project}/manage")
    choice = page.get_by_label("A model suggests")
    expect(choice).to_have_value("")
    choice.select_option(MODEL)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved, 10 classes.")).to_be_visible()
    assert models_office.call("GET", f"/v1/projects/{project}")["project"]["suggestionModel"] == MODEL


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 320)])
def test_suggestions_break_no_rule_of_accessibility(
    browser: Browser, models_mesh: LocalMesh, models_office: Office, scheme: str, width: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 568}, color_scheme="dark" if scheme == "dark" else "light")
    try:
        desk = Desk(context.new_page(), models_mesh.address)
        project = digits_project(models_office)
        desk.label_in(models_office.account("ROLE_MANAGER"), project)
        expect(desk.page.locator(".class-button.suggested")).to_be_visible()
        found = violations(desk.page)
        assert desk.page.evaluate("() => document.documentElement.scrollWidth") == width
        for name in ("Skip", "Undo", "Model"):
            expect(desk.page.locator(".bench-foot button", has_text=name)).to_be_in_viewport(ratio=1)
        desk.open(f"#/projects/{project}/manage")
        expect(desk.page.get_by_role("button", name="Order the queue")).to_be_visible()
        found += violations(desk.page)
        assert found == []
    finally:
        context.close()
