"""The labeling page: a key, a label, and the next image at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Request, Route, expect

from tests.e2e.browser.desk import Desk
from tests.e2e.browser.people import Account, Office
from tests.support.mesh import GUEST, LocalMesh, until


def test_a_newcomer_labels_twenty_digits_by_keyboard_and_the_statistics_agree(desk: Desk, office: Office) -> None:
    desk.open_as(Account(*GUEST), "#/projects")
    desk.page.get_by_role("link", name="Handwritten digits").click()
    desk.wait_for_image()
    expect(desk.page.get_by_role("heading", level=1)).to_have_text("Handwritten digits")
    for number in range(20):
        desk.press(str(number % 10))
    desk.expect_given(20)
    desk.press("z")
    desk.expect_given(19)
    expect(desk.page.locator(".class-button.before")).to_have_attribute("data-class", "9")
    desk.press("9")
    desk.press("s")
    desk.expect_given(20)
    desk.settle()
    desk.page.get_by_role("link", name="Statistics").click()
    expect(desk.page.get_by_test_id("labels-given")).to_have_text("20")
    distinct = int(desk.page.get_by_test_id("distinct-images").inner_text())
    # At 20 labels ten of them could be repeats at most: an image comes back after ten others at the earliest.
    assert 10 <= distinct <= 20
    expect(desk.page.get_by_test_id("images-awaiting")).to_have_text(f"{1797 - distinct:,}")
    consistency = desk.page.get_by_test_id("consistency").inner_text()
    assert (consistency == "–") == (distinct == 20)


def test_the_next_image_appears_without_waiting_for_the_server(desk: Desk, office: Office) -> None:
    project = office.project(8, first=100)
    desk.label_in(office.account(), project)
    expect(desk.page.locator(".stage")).to_have_attribute("data-ready", "true")
    desk.page.wait_for_load_state("networkidle")

    held: list[Route] = []
    desk.page.route("**/labelmesh.labeling.v1.AnnotationService/SubmitAnnotation", lambda route: held.append(route))
    desk.press("3")
    desk.press("4")
    assert len(held) == 1, "labels are sent one after the other"
    assert office.annotations(project) == []
    desk.expect_given(2)
    held[0].continue_()
    for _ in range(250):
        if len(held) > 1:
            break
        desk.page.wait_for_timeout(20)
    held[1].continue_()
    desk.settle()
    assert [annotation["classId"] for annotation in office.annotations(project)] == ["3", "4"]


def test_labels_given_while_the_server_is_away_arrive_once_when_it_is_back(desk: Desk, office: Office) -> None:
    project = office.project(6, first=200)
    desk.label_in(office.account(), project)
    desk.page.wait_for_load_state("networkidle")
    desk.cut_off()
    desk.press("1")
    desk.press("2")
    expect(desk.page.locator(".banner-away")).to_contain_text("The server is away")
    assert office.annotations(project) == []
    desk.connect_again()
    expect(desk.page.locator(".banner-away")).to_have_count(0, timeout=20_000)
    desk.settle()
    desk.expect_given(2)
    assert sorted(annotation["classId"] for annotation in office.annotations(project)) == ["1", "2"]


def test_a_reload_loses_neither_a_label_on_its_way_nor_the_place(desk: Desk, office: Office) -> None:
    project = office.project(5, first=300)
    desk.label_in(office.account(), project)
    desk.page.wait_for_load_state("networkidle")
    desk.page.on("dialog", lambda dialog: dialog.accept())
    desk.cut_off()
    desk.press("4")
    expect(desk.page.locator(".banner-away")).to_be_visible()
    desk.connect_again()
    desk.page.reload()
    desk.wait_for_image()
    desk.settle()
    desk.expect_given(1)
    assert [annotation["classId"] for annotation in office.annotations(project)] == ["4"]


def test_a_reload_shows_the_same_image_again(desk: Desk, office: Office) -> None:
    desk.label_in(office.account(), office.project(5, first=330))
    before = desk.image_hash
    desk.page.reload()
    desk.wait_for_image()
    assert desk.image_hash == before


def test_a_closed_page_gives_its_images_back(desk: Desk, office: Office) -> None:
    project = office.project(5, first=400)
    desk.label_in(office.account(), project)
    until(lambda: int(office.statistics(project)["imagesHeld"]) > 0, what="a held image")
    desk.page.close(run_before_unload=True)
    until(lambda: int(office.statistics(project)["imagesHeld"]) == 0, seconds=10, what="the return of the images")


@pytest.mark.parametrize(
    ("prepare", "reason", "says"),
    [
        (lambda office: office.project(0), "NO_IMAGES", "There are no images yet"),
        (lambda office: closed(office), "PROJECT_CLOSED", "This project is closed"),
        (lambda office: held_by_another(office), "ALL_HELD", "Others have the rest"),
    ],
    ids=["no images", "closed", "all held"],
)
def test_a_page_with_nothing_to_label_says_why(
    desk: Desk, office: Office, prepare: Callable[[Office], str], reason: str, says: str
) -> None:
    project = prepare(office)
    desk.open_as(office.account(), f"#/projects/{project}")
    message = desk.page.locator(f'[data-reason="{reason}"]')
    expect(message).to_contain_text(says)


def closed(office: Office) -> str:
    project = office.project(2, first=500)
    office.call("PATCH", f"/v1/projects/{project}", {"state": "PROJECT_STATE_CLOSED", "updateMask": "state"})
    return project


def held_by_another(office: Office) -> str:
    project = office.project(1, first=510)
    body = {"requestId": "00000000-0000-4000-8000-0000000000aa", "clientId": "another"}
    assert "lease" in office.call("POST", f"/v1/projects/{project}/leases", body)["next"]
    return project


def test_the_last_label_ends_on_the_page_that_says_so_and_can_be_undone(desk: Desk, office: Office) -> None:
    project = office.project(2, first=520)
    desk.label_in(office.account(), project)
    desk.press("5")
    desk.press("6")
    expect(desk.page.locator('[data-reason="ALL_LABELED"]')).to_contain_text("All images are labeled")
    desk.page.get_by_role("button", name="Undo my last label").click()
    desk.wait_for_image()
    desk.expect_given(1)


def test_images_that_come_while_the_page_waits_appear_by_themselves(desk: Desk, office: Office) -> None:
    project = office.project(0)
    desk.open_as(office.account(), f"#/projects/{project}")
    expect(desk.page.locator('[data-reason="NO_IMAGES"]')).to_be_visible()
    office.add_images(project, range(530, 532))
    desk.wait_for_image()


def test_a_label_that_is_refused_comes_back_onto_the_screen(desk: Desk, office: Office) -> None:
    project = office.project(4, first=540)
    desk.label_in(office.account(), project)
    desk.page.wait_for_load_state("networkidle")
    classes = [{"id": digit, "displayName": digit, "hotkey": digit} for digit in "0123456"]
    office.call("PATCH", f"/v1/projects/{project}", {"classes": classes, "updateMask": "classes"})
    shown = desk.image_hash
    desk.page.keyboard.press("9")
    expect(desk.page.locator(".notice-problem")).to_contain_text("The label was not saved")
    desk.wait_for_image()
    assert desk.image_hash == shown
    expect(desk.page.locator('[data-class="9"]')).to_have_count(0)
    desk.press("6")
    desk.settle()
    assert [annotation["classId"] for annotation in office.annotations(project)] == ["6"]


def test_two_tabs_of_one_person_never_show_the_same_image(context: BrowserContext, mesh: LocalMesh, desk: Desk, office: Office) -> None:
    project = office.project(12, first=560)
    desk.label_in(office.account(), project)
    second = Desk(context.new_page(), mesh.address)
    second.open(f"#/projects/{project}")
    second.wait_for_image()
    assert desk.image_hash != second.image_hash


def test_a_project_manager_drops_files_and_sees_which_were_refused(desk: Desk, office: Office) -> None:
    from tests.e2e.browser.people import picture

    project = office.project(0)
    desk.open_as(office.account("ROLE_MANAGER"), f"#/projects/{project}/manage")
    files = [
        {"name": "one.png", "mimeType": "image/png", "buffer": picture(601)},
        {"name": "two.png", "mimeType": "image/png", "buffer": picture(602)},
        {"name": "again.png", "mimeType": "image/png", "buffer": picture(601)},
        {"name": "letter.png", "mimeType": "image/png", "buffer": b"Dear Sir or Madam"},
    ]
    desk.page.locator("input[type=file]").first.set_input_files(files)  # type: ignore[arg-type]
    report = desk.page.locator(".upload-slot")
    expect(report).to_contain_text("2 images added, 1 was here already, 1 file refused")
    expect(report.locator(".refused")).to_contain_text("letter.png")
    assert int(office.statistics(project)["images"]) == 2


def test_every_request_of_the_page_goes_to_its_own_origin(desk: Desk, office: Office) -> None:
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    desk.page.on("request", note)
    desk.label_in(office.account(), office.project(3, first=610))
    desk.press("1")
    desk.settle()
    assert asked
    assert [url for url in asked if not url.startswith(desk.address)] == []
