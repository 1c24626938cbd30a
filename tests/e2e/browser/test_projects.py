"""What managers do at the page: projects with their classes, images and settings."""

from __future__ import annotations

import re
import uuid

from playwright.sync_api import FilePayload, expect

from tests.e2e.browser.desk import Desk, fill
from tests.e2e.browser.people import Office, picture


def png(name: str, content: bytes) -> FilePayload:
    return FilePayload(name=name, mimeType="image/png", buffer=content)


def test_a_manager_makes_a_project_fills_it_and_closes_it(desk: Desk, other_desk: Desk, office: Office) -> None:
    name = f"Leaves {uuid.uuid4().hex[:6]}"
    desk.open_as(office.account("ROLE_MANAGER"), "#/new-project")
    expect(desk.page.get_by_role("heading", level=1)).to_have_text("New project")
    fill(desk.page.locator("main"), Name=name, Description="Leaves and what grows beside them", Name_of_class_1="Oak leaf")
    desk.page.get_by_role("button", name="Make the project").click()
    expect(desk.page.get_by_role("alert").filter(has_text="Every class needs a name.")).to_be_visible()
    fill(desk.page.locator("main"), Name_of_class_2="Moss")
    desk.page.get_by_role("button", name="Make the project").click()
    expect(desk.page.get_by_role("heading", level=1)).to_have_text(name)

    files = [png("good.png", picture(1520)), png("broken.png", b"\x89PNG\r\n\x1a\nnot a picture")]
    desk.page.get_by_label("Choose files").set_input_files(files)
    expect(desk.page.get_by_text("1 image added, 1 file refused.")).to_be_visible()
    refused = desk.page.locator(".refused li")
    expect(refused).to_have_count(1)
    expect(refused).to_have_text(re.compile(r"^broken\.png: \S.{8,}"))
    expect(desk.page.get_by_text("1 image in this project.")).to_be_visible()

    annotator = office.account()
    project = desk.page.url.split("/")[-2]
    desk.page.get_by_role("button", name="Close the project").click()
    expect(desk.page.get_by_role("button", name="Open the project")).to_be_visible()
    other_desk.open_as(annotator, f"#/projects/{project}")
    expect(other_desk.page.locator("[data-reason]")).to_contain_text(re.compile("closed", re.IGNORECASE))
    desk.page.get_by_role("button", name="Open the project").click()
    expect(desk.page.get_by_role("button", name="Close the project")).to_be_visible()
    other_desk.page.reload()
    other_desk.press("1")
    other_desk.settle()
    assert [annotation["classId"] for annotation in office.annotations(project)] == ["oak-leaf"]


def test_settings_never_undo_what_somebody_else_changed_meanwhile(desk: Desk, office: Office) -> None:
    project = office.project(1, first=1530)
    desk.open_as(office.account("ROLE_MANAGER"), f"#/projects/{project}/manage")
    form = desk.page.locator("form")
    desk.page.get_by_role("button", name="Close the project").click()
    expect(desk.page.get_by_role("button", name="Open the project")).to_be_visible()
    fill(form, Description="written after closing")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_text("Saved, 10 classes.")).to_be_visible()

    office.call("PATCH", f"/v1/projects/{project}", {"displayName": "Renamed elsewhere", "updateMask": "displayName"})
    desk.page.get_by_label("Choose files").set_input_files([png("another.png", picture(1531))])
    expect(desk.page.get_by_text("2 images in this project.")).to_be_visible()
    expect(desk.page.get_by_role("heading", level=1)).to_have_text("Renamed elsewhere")
    fill(form, Description="mine")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("alert")).to_contain_text("Somebody else changed this")
    form.get_by_role("button", name="Load the current state").click()
    expect(form.get_by_label("Name", exact=True)).to_have_value("Renamed elsewhere")
    expect(form.get_by_label("Description")).to_have_value("written after closing")
    fill(form, Description="mine")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_text("Saved, 10 classes.")).to_be_visible()
    saved = office.call("GET", f"/v1/projects/{project}")["project"]
    assert (saved["displayName"], saved["description"]) == ("Renamed elsewhere", "mine")
