"""What managers and admins do at the page: accounts, passwords, keys, and projects with their images."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, FilePayload, Locator, expect

from tests.e2e.browser.desk import Desk
from tests.e2e.browser.people import PASSWORD, Account, Office, picture
from tests.support.mesh import LocalMesh

NEW_PASSWORD = "velvet-tunnel-forty-two"


@pytest.fixture
def other_desk(browser: Browser, mesh: LocalMesh) -> Iterator[Desk]:
    """The page in the browser of another person."""
    context = browser.new_context(locale="en-GB", timezone_id="UTC")
    desk = Desk(context.new_page(), mesh.address)
    yield desk
    context.close()
    assert desk.complaints == []


def fill(within: Locator, **texts: str) -> None:
    """Fills fields by their labels; an underscore stands for a space."""
    for label, text in texts.items():
        within.get_by_label(label.replace("_", " "), exact=True).fill(text)


def open_account_menu(desk: Desk, item: str) -> Locator:
    """Chooses from the account menu; returns the dialog that opens."""
    desk.page.get_by_role("button", name="account menu").click()
    desk.page.get_by_role("button", name=item, exact=True).click()
    return desk.page.get_by_role("dialog")


def with_key(mesh: LocalMesh, secret: str, method: str = "GET", path: str = "/v1/projects") -> tuple[int, str]:
    """A call of a program that has a key: status and, of a refusal, its reason."""
    data = b"{}" if method == "POST" else None
    headers = {"x-api-key": secret, "content-type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(mesh.address + path, data, headers, method=method), timeout=15) as reply:
            assert "projects" in json.load(reply)
            return int(reply.status), ""
    except urllib.error.HTTPError as error:
        with error:
            details = json.load(error)["details"]
        return error.code, next(str(one["reason"]) for one in details if "reason" in one)


def test_a_changed_password_is_the_only_one_from_then_on(desk: Desk, mesh: LocalMesh, office: Office) -> None:
    account = office.account()
    elsewhere = mesh.sign_in(account.name, account.password)
    desk.open_as(account, "#/projects")
    dialog = open_account_menu(desk, "Change password")
    fill(dialog, Current_password="not my password", New_password=NEW_PASSWORD, New_password_again="another one")
    expect(dialog.get_by_text("The two are not the same.")).to_be_visible()
    expect(dialog.get_by_role("button", name="Change password")).to_be_disabled()
    fill(dialog, New_password_again=NEW_PASSWORD)
    dialog.get_by_role("button", name="Change password").click()
    expect(dialog.get_by_text("This is not the account's password.")).to_be_visible()
    fill(dialog, Current_password=account.password, New_password="password12", New_password_again="password12")
    dialog.get_by_role("button", name="Change password").click()
    expect(dialog.get_by_label("New password", exact=True)).to_have_attribute("aria-invalid", "true")
    fill(dialog, New_password=NEW_PASSWORD, New_password_again=NEW_PASSWORD)
    dialog.get_by_role("button", name="Change password").click()
    expect(desk.page.get_by_role("dialog", name="Password changed")).to_be_visible()
    desk.page.get_by_role("button", name="Done").click()
    assert mesh.call("GET", "/v1/projects", token=elsewhere)[0] == 401
    desk.page.reload()
    expect(desk.page.get_by_role("heading", name="Projects")).to_be_visible()
    desk.page.get_by_role("button", name="account menu").click()
    desk.page.get_by_role("button", name="Sign out", exact=True).click()
    desk.sign_in(account)
    expect(desk.page.get_by_role("alert").filter(has_text="do not go together")).to_be_visible()
    desk.sign_in(Account(account.name, NEW_PASSWORD))
    expect(desk.page.get_by_role("heading", name="Projects")).to_be_visible()


def test_an_admin_makes_an_account_changes_its_role_and_disables_it(desk: Desk, other_desk: Desk, office: Office) -> None:
    name = f"new-{uuid.uuid4().hex[:8]}"
    desk.open_as(office.account("ROLE_ADMIN"), "#/admin/users")
    desk.page.get_by_role("button", name="New account").click()
    dialog = desk.page.get_by_role("dialog", name="New account")
    fill(dialog, Name=name, Full_name="Ada Newcomer", Password="short")
    dialog.get_by_role("button", name="Make the account").click()
    expect(dialog.get_by_label("Password")).to_have_attribute("aria-invalid", "true")
    fill(dialog, Password=PASSWORD)
    dialog.get_by_role("button", name="Make the account").click()
    expect(dialog).to_be_hidden()
    fill(desk.page.locator("main"), Search=name)
    row = desk.page.get_by_role("row").filter(has_text=name)
    expect(row).to_contain_text("Ada Newcomer")
    expect(row).to_contain_text("Annotator")

    project = office.project(6, first=1500)
    other_desk.label_in(Account(name), project)
    edit = desk.page.get_by_role("button", name=f"Edit {name}")
    edit.click()
    dialog = desk.page.get_by_role("dialog", name=name)
    dialog.get_by_label("Role").select_option("Manager")
    dialog.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("Manager")
    other_desk.page.reload()
    expect(other_desk.page.get_by_role("link", name="Manage", exact=True)).to_be_visible()
    other_desk.wait_for_image()
    edit.click()
    dialog.get_by_label("Disabled:").check()
    dialog.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("disabled")
    other_desk.press("4")
    again = other_desk.page.get_by_role("dialog", name="Sign in to go on")
    expect(again).to_be_visible()
    again.get_by_label("Password").fill(PASSWORD)
    again.get_by_role("button", name="Sign in and go on").click()
    expect(again).to_contain_text("do not go together")
    assert office.annotations(project) == []


def test_an_api_key_does_what_its_scopes_say_until_it_is_revoked(desk: Desk, mesh: LocalMesh, office: Office) -> None:
    name = f"importer {uuid.uuid4().hex[:8]}"
    desk.open_as(office.account("ROLE_MANAGER"), "#/admin/keys")
    desk.page.get_by_role("button", name="New key").click()
    dialog = desk.page.get_by_role("dialog", name="New API key")
    fill(dialog, Name=name)
    dialog.get_by_label("Read projects").uncheck()
    expect(dialog.get_by_role("button", name="Make the key")).to_be_disabled()
    dialog.get_by_label("Read projects").check()
    dialog.get_by_label("It ends after").select_option("30 days")
    dialog.get_by_role("button", name="Make the key").click()
    shown = desk.page.get_by_role("dialog", name="Your new key")
    secret = shown.locator("code").inner_text()
    assert secret.startswith("lmk_")
    for _ in range(2):
        desk.page.keyboard.press("Escape")
        expect(shown).to_be_visible()
    shown.get_by_role("button", name="I have kept it").click()
    expect(shown).to_be_hidden()
    row = desk.page.get_by_role("row").filter(has_text=name)
    expect(row).to_contain_text("active")
    assert secret not in desk.page.content()
    assert with_key(mesh, secret) == (200, "")
    assert with_key(mesh, secret, "POST") == (403, "SCOPE_MISSING")
    desk.page.get_by_role("button", name=f"Revoke {name}").click()
    desk.page.get_by_role("dialog").get_by_role("button", name="Revoke", exact=True).click()
    expect(row).to_contain_text("revoked")
    expect(row.get_by_role("button")).to_have_count(0)
    assert with_key(mesh, secret) == (401, "API_KEY_REVOKED")


def test_new_signing_keys_sign_nobody_out(desk: Desk, mesh: LocalMesh, office: Office) -> None:
    admin = office.account("ROLE_ADMIN")
    desk.open_as(admin, "#/admin/signing")
    rows = desk.page.locator("tbody tr")
    expect(rows.first).to_be_visible()
    before = rows.count()
    desk.page.get_by_role("button", name="Rotate").click()
    desk.page.get_by_role("dialog").get_by_role("button", name="Make it").click()
    expect(rows).to_have_count(before + 1)
    expect(rows.filter(has_text="published, signs soon")).to_have_count(1)
    desk.page.reload()
    expect(rows).to_have_count(before + 1)
    assert mesh.sign_in(admin.name, admin.password)


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

    good = FilePayload(name="good.png", mimeType="image/png", buffer=picture(1520))
    broken = FilePayload(name="broken.png", mimeType="image/png", buffer=b"\x89PNG\r\n\x1a\nnot a picture")
    desk.page.get_by_label("Choose files").set_input_files([good, broken])
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
