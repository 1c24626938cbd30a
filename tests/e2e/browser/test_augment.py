"""The augment page: bring a picture, choose what may happen to it, see it happen with its labels, and take it along."""

from __future__ import annotations

import io
import json
import re
import urllib.parse
import zipfile

import pytest
from PIL import Image
from playwright.sync_api import Browser, Route, expect

from tests.e2e.browser.augmenting import BOX, HEIGHT, WIDTH, Augmenting, painted, pipeline
from tests.e2e.browser.axe import violations
from tests.e2e.browser.desk import Desk
from tests.e2e.browser.people import Office, picture
from tests.e2e.browser.sheet import drop, paste
from tests.support.mesh import LocalMesh

pytestmark = pytest.mark.timeout(180)
PREVIEW = re.compile(r"AugmentationService/Preview$")
FLIP = pipeline({"transform": "horizontal_flip"})
MOVES = pipeline(
    {"transform": "horizontal_flip", "probability": 0.5},
    {"transform": "rotate", "parameters": {"angle": [-30, 30]}},
    {"transform": "zoom", "parameters": {"factor": [0.8, 1.1]}},
)
LABELS = {"boxes": [{"label": "red", "x": BOX[0], "y": BOX[1], "width": BOX[2] - BOX[0], "height": BOX[3] - BOX[1]}]}


@pytest.fixture
def augmenting(desk: Desk) -> Augmenting:
    return Augmenting(desk)


def test_the_page_is_alive_at_once_and_tells_how_it_is_used(augmenting: Augmenting, office: Office) -> None:
    page = augmenting.page
    augmenting.open_as(office.account())
    augmenting.settle()
    how = page.get_by_role("region", name="How to use this page")
    expect(how).to_contain_text("Paste its address")
    expect(page.get_by_test_id("source")).to_contain_text("sample picture")
    expect(page.get_by_test_id("original")).to_be_visible()
    assert len(set(augmenting.hashes())) > 4, "results differ from each other"
    how.get_by_role("button", name="I know how").click()
    page.reload()
    augmenting.settle()
    expect(how).to_have_count(0)


def test_the_same_seed_gives_the_same_pictures_after_a_reload_and_another_one_others(augmenting: Augmenting, office: Office) -> None:
    page = augmenting.page
    augmenting.open_as(office.account(), "seed=7")
    augmenting.settle()
    first = augmenting.hashes()
    page.reload()
    augmenting.settle()
    assert augmenting.hashes() == first
    expect(page.get_by_label("Seed")).to_have_value("7")
    page.locator("h1").click()
    page.keyboard.press("r")
    expect(page.get_by_label("Seed")).not_to_have_value("7")
    augmenting.settle()
    assert augmenting.hashes() != first
    page.get_by_label("Seed").fill("7")
    augmenting.settle()
    assert augmenting.hashes() == first


def test_a_file_of_ones_own_is_dropped_or_pasted_and_survives_a_reload(augmenting: Augmenting, office: Office) -> None:
    page = augmenting.page
    augmenting.open_as(office.account(), f"pipeline={urllib.parse.quote(FLIP)}&count=4")
    augmenting.settle(4)
    paste(page, picture(5300, side=64), "pasted.png")
    expect(page.get_by_test_id("source")).to_contain_text("pasted.png")
    augmenting.settle(4)
    assert augmenting.pixels(0)["width"] == 64
    drop(page, painted(), "painted.png")
    expect(page.get_by_test_id("source")).to_contain_text("painted.png")
    augmenting.settle(4)
    flipped = [WIDTH - BOX[2], BOX[1], WIDTH - BOX[0], BOX[3]]
    assert augmenting.pixels(0)["red"] == flipped
    page.reload()
    augmenting.settle(4)
    assert augmenting.pixels(0)["red"] == flipped


def test_an_image_of_a_project_is_taken_by_its_picture_and_linked_to(augmenting: Augmenting, office: Office) -> None:
    page = augmenting.page
    project = office.project(3, first=5100)
    augmenting.open_as(office.account("ROLE_MANAGER"), f"pipeline={urllib.parse.quote(FLIP)}&count=4")
    page.get_by_role("button", name="From a project").click()
    dialog = page.get_by_role("dialog", name="An image of a project")
    dialog.get_by_label("Project").select_option(project)
    dialog.get_by_role("button", name="Take 5101.png").click()
    expect(page.get_by_test_id("source")).to_contain_text("5101.png")
    augmenting.settle(4)
    mirrored = Image.open(io.BytesIO(picture(5101))).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert [augmenting.pixels(0)["width"], augmenting.pixels(0)["height"]] == [*mirrored.size]
    before = augmenting.hashes()
    augmenting.desk.until("() => location.hash.includes('project=')")
    page.reload()
    augmenting.settle(4)
    assert augmenting.hashes() == before
    expect(page.get_by_test_id("source")).to_contain_text("5101.png")


def test_a_bad_address_says_why_and_what_to_do_and_the_rest_stays(augmenting: Augmenting, office: Office) -> None:
    page = augmenting.page
    augmenting.open_as(office.account())
    augmenting.settle()
    before = augmenting.hashes()
    address = page.get_by_label("Address of a picture")
    address.fill("not an address")
    address.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="begins with https://")).to_be_visible()
    address.fill("http://127.0.0.1/a.png")
    with page.expect_request(PREVIEW) as asked:
        address.press("Enter")
    assert b"http://127.0.0.1/a.png" in (asked.value.post_data_buffer or b"")
    setback = page.get_by_test_id("setback")
    expect(setback).to_have_attribute("data-reason", "URL_REFUSED")
    expect(setback).to_contain_text("Save the picture and drop the file here")
    expect(setback).to_contain_text("still the sample picture")
    assert augmenting.hashes() == before
    page.get_by_role("button", name="Sample picture").click()
    augmenting.settle()
    expect(setback).to_have_count(0)


def test_a_file_that_is_no_picture_is_told_before_and_one_that_is_broken_after_it_was_sent(augmenting: Augmenting, office: Office) -> None:
    page = augmenting.page
    augmenting.open_as(office.account())
    augmenting.settle()
    choose = page.get_by_label("Choose a file")
    choose.set_input_files({"name": "letter.png", "mimeType": "image/png", "buffer": b"Dear all, here is it"})
    expect(page.get_by_role("alert").filter(has_text="“letter.png” is no JPEG, PNG")).to_be_visible()
    choose.set_input_files({"name": "half.png", "mimeType": "image/png", "buffer": painted()[:200]})
    setback = page.get_by_test_id("setback")
    expect(setback).to_contain_text("This picture cannot be shown")
    expect(setback).not_to_contain_text("by itself")


def test_labels_move_with_the_pixels_they_are_of(augmenting: Augmenting, office: Office) -> None:
    page = augmenting.page
    augmenting.open_as(office.account(), f"pipeline={urllib.parse.quote(MOVES)}&seed=3&count=6")
    drop(page, painted(), "painted.png")
    augmenting.settle(6)
    drop(page, json.dumps(LABELS).encode(), "labels.json", "application/json")
    expect(page.locator("[data-testid=result] [data-box=red]").first).to_be_attached()
    augmenting.settle(6)
    for copy in range(6):
        seen = augmenting.pixels(copy)
        result = augmenting.results.nth(copy)
        points = [tuple(map(float, one.split(","))) for one in str(result.locator("[data-box=red]").get_attribute("points")).split()]
        xs, ys = [x for x, _ in points], [y for _, y in points]
        shown = [min(xs), min(ys), max(xs), max(ys)]
        # A pixel that is less than half red is not counted: a corner that stands at an angle is up to two pixels shorter.
        assert shown == pytest.approx(seen["red"], abs=2.5), copy
        # On screen the outline lies where the picture has the box.
        outline = result.locator("[data-box=red]").evaluate(
            "one => { const b = one.getBoundingClientRect(); return [b.x, b.y, b.width, b.height] }"
        )
        image = result.locator("button img").bounding_box()
        assert image
        scale = image["width"] / seen["width"]
        assert outline[0] == pytest.approx(image["x"] + shown[0] * scale, abs=2)
        assert outline[1] == pytest.approx(image["y"] + shown[1] * scale, abs=2)
        assert outline[2] == pytest.approx((shown[2] - shown[0]) * scale, abs=3)
    page.get_by_label("Show labels").uncheck()
    expect(page.locator("[data-testid=result] [data-box]")).to_have_count(0)


def test_labels_are_drawn_on_the_original_with_the_mouse(augmenting: Augmenting, office: Office) -> None:
    page = augmenting.page
    augmenting.open_as(office.account(), f"pipeline={urllib.parse.quote(FLIP)}&count=4")
    drop(page, painted(), "painted.png")
    augmenting.settle(4)
    page.get_by_test_id("labels").locator("summary").click()
    page.get_by_role("button", name="Box", exact=True).click()
    page.get_by_label("Name of new labels").fill("mine")
    pen = page.get_by_test_id("pen").bounding_box()
    assert pen
    scale = pen["width"] / WIDTH
    page.mouse.move(pen["x"] + BOX[0] * scale, pen["y"] + BOX[1] * scale)
    page.mouse.down()
    page.mouse.move(pen["x"] + BOX[2] * scale, pen["y"] + BOX[3] * scale, steps=4)
    page.mouse.up()
    drawn = page.locator("[data-testid=result] [data-box=mine]").first
    expect(drawn).to_be_attached()
    left = min(float(one.split(",")[0]) for one in str(drawn.get_attribute("points")).split())
    assert left == pytest.approx(WIDTH - BOX[2], abs=2)
    page.get_by_role("button", name="Point", exact=True).click()
    page.mouse.click(pen["x"] + 5 * scale, pen["y"] + 5 * scale)
    expect(page.locator("[data-testid=result] [data-point=mine]")).to_have_count(4)


def test_sliders_change_results_and_every_change_is_taken_back(augmenting: Augmenting, office: Office) -> None:
    page = augmenting.page
    start = pipeline({"transform": "rotate", "parameters": {"angle": [5, 10]}})
    augmenting.open_as(office.account(), f"pipeline={urllib.parse.quote(start)}&count=4&seed=1")
    augmenting.settle(4)
    before = augmenting.hashes()
    page.get_by_role("list", name="Steps").get_by_role("button", name="Rotate", expanded=False).click()
    highest = page.get_by_role("slider", name=re.compile("^Angle of Rotate: highest$"))
    highest.focus()
    for _ in range(3):
        page.keyboard.press("PageUp")
    augmenting.settle(4)
    changed = augmenting.hashes()
    assert changed != before
    assert augmenting.json()["steps"][0]["parameters"]["angle"][1] > 10
    page.keyboard.press("Control+z")
    augmenting.settle(4)
    assert augmenting.hashes() == before
    page.keyboard.press("Control+Shift+z")
    augmenting.settle(4)
    assert augmenting.hashes() == changed


def test_a_step_that_is_switched_off_leaves_the_draws_of_the_others(augmenting: Augmenting, office: Office) -> None:
    page = augmenting.page
    start = pipeline({"transform": "invert"}, {"transform": "rotate", "parameters": {"angle": [-40, 40]}})
    augmenting.open_as(office.account(), f"pipeline={urllib.parse.quote(start)}&count=4&seed=1")
    augmenting.settle(4)
    angles = [augmenting.results.nth(copy).locator(".chip", has_text="Rotate").inner_text() for copy in range(4)]
    page.get_by_role("switch", name="Invert is on").click()
    expect(page.locator("[data-testid=result] .chip", has_text="Invert")).to_have_count(0)
    augmenting.settle(4)
    assert [augmenting.results.nth(copy).locator(".chip", has_text="Rotate").inner_text() for copy in range(4)] == angles


def test_a_pipeline_that_was_copied_and_pasted_is_the_same(augmenting: Augmenting, office: Office) -> None:
    page = augmenting.page
    augmenting.open_as(office.account(), "seed=5")
    augmenting.settle()
    page.get_by_role("button", name="Strong").click()
    augmenting.settle()
    text, hashes = augmenting.json(), augmenting.hashes()
    assert [step["transform"] for step in text["steps"]][:2] == ["horizontal_flip", "rotate"]
    page.get_by_role("button", name="Clear", exact=True).click()
    augmenting.settle()
    assert len(set(augmenting.hashes())) == 1, "nothing is done to any of them"
    augmenting.use(json.dumps(text))
    augmenting.settle()
    assert augmenting.hashes() == hashes
    assert augmenting.json() == text


def test_what_is_wrong_stands_at_its_step_and_parameter_while_old_results_stay(augmenting: Augmenting, office: Office) -> None:
    page = augmenting.page
    augmenting.open_as(office.account(), "count=4")
    augmenting.settle(4)
    augmenting.use(pipeline({"transform": "invert"}, {"transform": "rotate", "parameters": {"angle": [500, 600]}}, {"transform": "rotato"}))
    expect(page.locator('[data-transform="rotate"] .remark.wrong').first).to_be_visible()
    expect(page.locator('[data-transform="rotato"] .remark.wrong').first).to_be_visible()
    expect(page.locator('[data-transform="invert"] .remark')).to_have_count(0)
    page.locator('[data-transform="rotate"] .step-title').click()
    expect(page.locator('[data-parameter="angle"] .remark.wrong').first).to_be_visible()
    expect(augmenting.results).to_have_count(4)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".remark.wrong")).to_have_count(0)


def test_a_pipeline_is_saved_in_a_project_and_loaded_again_and_a_conflict_is_told(augmenting: Augmenting, office: Office) -> None:
    page = augmenting.page
    project = office.project(0)
    augmenting.open_as(office.account("ROLE_ADMIN"), f"pipeline={urllib.parse.quote(FLIP)}&count=4")
    augmenting.settle(4)
    open_dialog = page.get_by_role("button", name="Save, load")
    dialog = page.get_by_role("dialog", name="Pipelines of projects")
    open_dialog.click()
    dialog.get_by_label("Project").select_option(project)
    dialog.get_by_label("Name").fill("night-camera")
    dialog.get_by_label("Note").fill("only a mirror")
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(dialog.get_by_text("Saved as night-camera, version 1.")).to_be_visible()
    expect(dialog.locator(".kept-pipeline")).to_contain_text("only a mirror")
    page.keyboard.press("Escape")
    # Somebody else saves version 2 meanwhile.
    body = {"requestId": "5f0c1b1e-6b0a-4c52-9d58-0d4f1f6f2a11", "name": "night-camera", "pipeline": {"steps": [{"transform": "invert"}]}}
    office.call("POST", f"/v1/projects/{project}/pipelines", body)
    open_dialog.click()
    expect(dialog.get_by_label("Name")).to_have_value("night-camera")
    dialog.get_by_role("button", name="Save", exact=True).click()
    conflict = dialog.get_by_role("alert").filter(has_text="version 2 in the meantime")
    expect(conflict).to_be_visible()
    conflict.get_by_role("button", name="Look at theirs").click()
    expect(page.get_by_test_id("saved-as")).to_contain_text("night-camera, version 2")
    assert augmenting.json()["steps"] == [{"transform": "invert"}]
    open_dialog.click()
    dialog.get_by_role("button", name="1 older version of night-camera").click()
    dialog.get_by_role("button", name="Load night-camera, version 1").click()
    assert augmenting.json()["steps"] == [{"transform": "horizontal_flip"}]


def test_one_result_and_all_are_downloaded_in_full_with_labels_and_recipes(augmenting: Augmenting, office: Office) -> None:
    page = augmenting.page
    augmenting.open_as(office.account(), f"pipeline={urllib.parse.quote(FLIP)}&count=4&seed=9")
    drop(page, painted(), "painted.png")
    augmenting.settle(4)
    augmenting.label(LABELS)
    augmenting.settle(4)
    with page.expect_download() as one:
        page.get_by_role("button", name="Download copy 2 in full").click()
    assert one.value.suggested_filename == "painted-9-2.png"
    flipped = Image.open(io.BytesIO(painted())).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert Image.open(one.value.path()).convert("RGB").tobytes() == flipped.tobytes()
    with page.expect_download() as everything:
        page.get_by_role("button", name="Download all").click()
    assert everything.value.suggested_filename == "painted-9.zip"
    with zipfile.ZipFile(everything.value.path()) as archive:
        assert sorted(archive.namelist()) == sorted(
            [*(f"images/painted-9-{copy}.png" for copy in range(4)), "coco.json", "labels.json", "pipeline.json", "recipes.json"]
        )
        coco = json.loads(archive.read("coco.json"))
        recipes = json.loads(archive.read("recipes.json"))
        assert json.loads(archive.read("pipeline.json"))["steps"] == [{"transform": "horizontal_flip"}]
    assert [one["bbox"] for one in coco["annotations"]] == [[WIDTH - BOX[2], BOX[1], BOX[2] - BOX[0], BOX[3] - BOX[1]]] * 4
    assert [(one["width"], one["height"]) for one in coco["images"]] == [(WIDTH, HEIGHT)] * 4
    assert recipes["painted-9-3.png"]["steps"][0]["transform"] == "horizontal_flip"


def test_a_pipeline_is_made_and_looked_at_by_keyboard_alone(augmenting: Augmenting, office: Office) -> None:
    page = augmenting.page
    augmenting.open_as(office.account(), f"pipeline={urllib.parse.quote(pipeline())}&count=4")
    augmenting.settle(4)

    def tab_to(name: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if (
                page.evaluate("() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent.trim()")
                == name
            ):
                return
        raise AssertionError(f"{name} is not reached")

    for wanted, title in (("invert", "Invert"), ("rotate", "Rotate")):
        tab_to("+ Add a step")
        page.keyboard.press("Enter")
        expect(page.get_by_role("searchbox", name="Search transforms")).to_be_focused()
        page.keyboard.type(wanted)
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page.get_by_role("button", name=re.compile(f"^Move {title}, step"))).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("button", name="Move Rotate, step 1 of 2")).to_be_focused()
    assert [step["transform"] for step in augmenting.json()["steps"]] == ["rotate", "invert"]
    page.get_by_role("button", name="Move Rotate, step 1 of 2").focus()
    page.keyboard.press("Delete")
    expect(page.get_by_role("button", name="Move Invert, step 1 of 1")).to_be_focused()
    augmenting.settle(4)
    augmenting.results.nth(0).locator("button.shot").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name=re.compile("^Copy 0"))).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("dialog", name=re.compile("^Copy 1"))).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(augmenting.results.nth(0).locator("button.shot")).to_be_focused()


def test_a_busy_mesh_is_asked_again_when_it_says_so_while_old_results_stay(augmenting: Augmenting, office: Office) -> None:
    page = augmenting.page
    augmenting.open_as(office.account(), "count=4")
    augmenting.settle(4)
    turned_away: list[str] = []

    def turn_away(route: Route) -> None:
        if turned_away:
            route.continue_()
        else:
            turned_away.append(route.request.url)
            route.abort("connectionrefused")

    page.route(PREVIEW, turn_away)
    page.locator("h1").click()
    page.keyboard.press("r")
    expect(page.get_by_test_id("setback")).to_contain_text("Asking again by itself")
    expect(augmenting.results).to_have_count(4)
    expect(page.get_by_test_id("setback")).to_have_count(0)
    augmenting.settle(4)
    assert len(turned_away) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_and_its_dialogs_keep_the_rules_of_accessibility(browser: Browser, mesh: LocalMesh, office: Office, scheme: str) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light", viewport={"width": 1280, "height": 800})
    try:
        augmenting = Augmenting(Desk(context.new_page(), mesh.address))
        page = augmenting.page
        augmenting.open_as(office.account("ROLE_MANAGER"), "count=4")
        augmenting.settle(4)
        page.locator(".step-title").nth(1).click()
        page.get_by_role("button", name="Explain every parameter").click()
        page.get_by_test_id("labels").locator("summary").click()
        page.get_by_role("button", name="Box", exact=True).click()
        page.locator(".drawn summary").first.click()
        for details in page.locator(".whole summary").all():
            details.click()
        assert violations(page) == []
        for name in ("Add a step", "JSON", "Save, load", "From a project"):
            if scheme == "light":  # In the dark, dialogs have the same colours as the page.
                page.get_by_role("button", name=name, exact=True).click()
                expect(page.get_by_role("dialog")).to_be_visible()
                assert violations(page) == [], name
                page.keyboard.press("Escape")
        augmenting.results.first.locator("button.shot").click()
        assert violations(page) == []
        assert augmenting.desk.complaints == []
    finally:
        context.close()


def test_the_page_fits_a_phone_and_shows_results_while_a_slider_moves(browser: Browser, mesh: LocalMesh, office: Office) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
    try:
        augmenting = Augmenting(Desk(context.new_page(), mesh.address))
        page = augmenting.page
        augmenting.open_as(office.account(), "count=4")
        augmenting.settle(4)
        page.locator(".step-title").nth(1).tap()
        page.get_by_test_id("labels").locator("summary").tap()
        for width in (360, 320):
            page.set_viewport_size({"width": width, "height": 640})
            assert page.evaluate("() => document.documentElement.scrollWidth") == width
        page.get_by_role("slider", name=re.compile("^Angle of ")).first.scroll_into_view_if_needed()
        expect(page.locator(".peek img").first).to_be_visible()
    finally:
        context.close()
