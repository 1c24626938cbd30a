"""Sessions at the page: secrets out of reach, the end for want of activity, and going on afterwards."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from playwright.sync_api import BrowserContext, expect

from tests.e2e.browser.conftest import IDLE_SECONDS
from tests.e2e.browser.desk import SECONDS, Desk
from tests.e2e.browser.people import Account, Office
from tests.support.mesh import LocalMesh, until

NOT_LONGER_THAN = (IDLE_SECONDS + 5) * SECONDS


def test_no_script_can_read_a_token(desk: Desk, context: BrowserContext, office: Office) -> None:
    bodies: list[bytes] = []
    desk.listen("SignIn|GetSession", lambda _, answer: bodies.append(answer.body()))
    desk.label_in(office.account(), office.project(2, first=700))
    cookies = [cookie for cookie in context.cookies() if cookie["name"] == "labelmesh_session"]
    assert len(cookies) == 1
    assert cookies[0]["httpOnly"]
    assert cookies[0]["sameSite"] == "Strict"
    token = cookies[0]["value"]
    assert desk.page.evaluate("document.cookie") == ""
    kept = str(desk.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])"))
    assert desk.page.evaluate("localStorage.length") == 0
    assert token not in kept
    assert "eyJ" not in kept
    assert bodies
    assert all(token.encode() not in body for body in bodies)


def test_a_wrong_password_is_told_plainly_and_the_name_stays(desk: Desk, office: Office) -> None:
    account = office.account()
    desk.open_as(Account(account.name, "not the password"))
    expect(desk.page.get_by_role("alert").filter(has_text="do not go together")).to_be_visible()
    expect(desk.page.get_by_label("Name", exact=True)).to_have_value(account.name)
    desk.sign_in(account)
    expect(desk.page.get_by_role("heading", name="Projects")).to_be_visible()


def test_too_many_wrong_passwords_show_how_long_to_wait(desk: Desk, office: Office) -> None:
    account = office.account()
    desk.open()
    wait = desk.page.get_by_role("button", name="Wait")
    for attempt in range(20):
        if wait.is_visible():
            break
        desk.page.get_by_label("Name", exact=True).fill(account.name)
        desk.page.get_by_label("Password", exact=True).fill(f"wrong number {attempt}")
        # The trouble of the attempt before still stands there: only the answer tells that this one is over.
        with desk.page.expect_response("**/SignIn"):
            desk.page.locator("button[type=submit]").click()
        expect(desk.page.locator("button[type=submit]")).to_have_text(re.compile("^(Sign in|Wait)"))
    expect(wait).to_be_disabled()
    expect(desk.page.locator(".trouble")).to_contain_text("You can try again in")


def test_a_session_without_activity_ends_after_a_warning_and_the_work_goes_on(
    desk_at: Callable[[LocalMesh], Desk], impatient_mesh: LocalMesh, impatient_office: Office
) -> None:
    office, desk = impatient_office, desk_at(impatient_mesh)
    account = office.account()
    project = office.project(9, first=800)
    desk.label_in(account, project)
    desk.press("7")
    desk.settle()
    began = time.monotonic()
    shown = desk.image_hash
    warning = desk.page.get_by_test_id("idle-warning")
    expect(warning).to_contain_text("You will be signed out in", timeout=NOT_LONGER_THAN)
    dialog = desk.page.get_by_role("dialog", name="Sign in to go on")
    expect(dialog).to_be_visible(timeout=NOT_LONGER_THAN)
    assert IDLE_SECONDS - 2 <= time.monotonic() - began <= IDLE_SECONDS + 3
    until(lambda: int(office.statistics(project)["imagesHeld"]) == 0, seconds=3, what="the return of the held images")
    status, _ = impatient_mesh.call("GET", "/v1/sessions/current", token="")
    assert status == 401
    expect(dialog).to_contain_text("nothing happened")
    expect(dialog.get_by_label("Name")).to_have_value(account.name)
    dialog.get_by_label("Password").fill(account.password)
    dialog.get_by_role("button", name="Sign in and go on").click()
    expect(dialog).to_be_hidden()
    desk.wait_for_image()
    assert desk.image_hash == shown
    desk.press("8")
    desk.settle()
    desk.expect_given(2)
    assert sorted(annotation["classId"] for annotation in office.annotations(project)) == ["7", "8"]


def test_input_keeps_the_person_signed_in_and_a_page_left_alone_does_not(
    desk_at: Callable[[LocalMesh], Desk], impatient_mesh: LocalMesh, impatient_office: Office
) -> None:
    desk = desk_at(impatient_mesh)
    desk.label_in(impatient_office.account(), impatient_office.project(4, first=820))
    shown = desk.image_hash
    end = time.monotonic() + IDLE_SECONDS * 1.7
    step = 0
    while time.monotonic() < end:
        step += 1
        desk.page.mouse.move(200 + step % 50, 300)
        desk.page.wait_for_timeout(500)
    expect(desk.page.get_by_role("dialog")).to_have_count(0)
    assert desk.image_hash == shown
    # The statistics page watches a stream: that is no activity.
    desk.page.get_by_role("link", name="Statistics").click()
    expect(desk.page.locator(".badge-live")).to_be_visible()
    expect(desk.page.get_by_role("dialog", name="Sign in to go on")).to_be_visible(timeout=NOT_LONGER_THAN)


def test_a_key_during_the_countdown_stops_it(
    desk_at: Callable[[LocalMesh], Desk], impatient_mesh: LocalMesh, impatient_office: Office
) -> None:
    desk = desk_at(impatient_mesh)
    desk.label_in(impatient_office.account(), impatient_office.project(4, first=840))
    warning = desk.page.get_by_test_id("idle-warning")
    expect(warning).to_be_visible(timeout=NOT_LONGER_THAN)
    desk.page.keyboard.press("Shift")
    expect(warning).to_be_hidden(timeout=3 * SECONDS)
    desk.page.wait_for_timeout(3000)
    expect(desk.page.get_by_role("dialog")).to_have_count(0)


def test_labels_that_the_end_of_the_session_cut_off_are_saved_after_signing_in(
    desk_at: Callable[[LocalMesh], Desk], impatient_mesh: LocalMesh, impatient_office: Office
) -> None:
    office, desk = impatient_office, desk_at(impatient_mesh)
    account = office.account()
    project = office.project(6, first=860)
    desk.label_in(account, project)
    desk.page.wait_for_load_state("networkidle")
    desk.cut_off()
    desk.press("2")
    dialog = desk.page.get_by_role("dialog", name="Sign in to go on")
    expect(dialog).to_be_visible(timeout=NOT_LONGER_THAN + 5 * SECONDS)
    desk.connect_again()
    dialog.get_by_label("Password").fill(account.password)
    dialog.get_by_role("button", name="Sign in and go on").click()
    desk.settle()
    assert [annotation["classId"] for annotation in office.annotations(project)] == ["2"]


def test_somebody_else_who_signs_in_finds_nothing_of_the_first_person(
    desk_at: Callable[[LocalMesh], Desk], impatient_mesh: LocalMesh, impatient_office: Office
) -> None:
    office, desk = impatient_office, desk_at(impatient_mesh)
    project = office.project(6, first=880)
    desk.label_in(office.account(), project)
    desk.page.wait_for_load_state("networkidle")
    desk.cut_off()
    desk.press("2")
    dialog = desk.page.get_by_role("dialog", name="Sign in to go on")
    expect(dialog).to_be_visible(timeout=NOT_LONGER_THAN + 5 * SECONDS)
    desk.connect_again()
    other = office.account()
    dialog.get_by_label("Name").fill(other.name)
    dialog.get_by_label("Password").fill(other.password)
    dialog.get_by_role("button", name="Sign in and go on").click()
    desk.wait_for_image()
    desk.expect_given(0)
    expect(desk.page.get_by_role("button", name="account menu")).to_contain_text(other.name)
    desk.settle()
    assert office.annotations(project) == []


def test_signing_out_in_one_tab_signs_out_the_others_and_gives_all_images_back(
    desk_at: Callable[[LocalMesh], Desk], mesh: LocalMesh, office: Office
) -> None:
    project = office.project(12, first=900)
    first, second = desk_at(mesh), desk_at(mesh)
    first.label_in(office.account(), project)
    second.open(f"#/projects/{project}")
    second.wait_for_image()
    first.page.get_by_role("button", name="account menu").click()
    first.page.get_by_role("button", name="Sign out", exact=True).click()
    expect(first.page.get_by_role("heading", name="labelmesh")).to_be_visible()
    expect(second.page.get_by_role("dialog", name="Sign in to go on")).to_contain_text("You signed out in another tab")
    assert int(office.statistics(project)["imagesHeld"]) == 0


def test_activity_in_one_tab_keeps_the_others_signed_in(
    desk_at: Callable[[LocalMesh], Desk], impatient_mesh: LocalMesh, impatient_office: Office
) -> None:
    project = impatient_office.project(9, first=920)
    idle, busy = desk_at(impatient_mesh), desk_at(impatient_mesh)
    idle.label_in(impatient_office.account(), project)
    busy.open(f"#/projects/{project}/statistics")
    expect(busy.page.get_by_test_id("labels-given")).to_have_text("0")
    end = time.monotonic() + IDLE_SECONDS * 1.5
    step = 0
    while time.monotonic() < end:
        step += 1
        busy.page.mouse.move(200 + step % 50, 300)
        busy.page.wait_for_timeout(500)
    expect(idle.page.get_by_role("dialog")).to_have_count(0)
    expect(idle.page.get_by_test_id("idle-warning")).to_have_count(0)


def test_a_session_revoked_elsewhere_is_told_at_the_next_call(desk: Desk, mesh: LocalMesh, office: Office) -> None:
    account = office.account()
    project = office.project(6, first=940)
    desk.label_in(account, project)
    status, _ = mesh.call("POST", "/v1/sessions:signOutEverywhere", {}, token=mesh.sign_in(account.name, account.password))
    assert status == 200
    desk.press("5")
    dialog = desk.page.get_by_role("dialog", name="Sign in to go on")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Password").fill(account.password)
    dialog.get_by_role("button", name="Sign in and go on").click()
    desk.settle()
    assert [annotation["classId"] for annotation in office.annotations(project)] == ["5"]
