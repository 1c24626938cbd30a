"""What managers and admins do at the page: accounts, passwords and keys."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid

from playwright.sync_api import Locator, expect

from tests.e2e.browser.desk import Desk, fill
from tests.e2e.browser.people import PASSWORD, Account, Office
from tests.support.mesh import LocalMesh

NEW_PASSWORD = "velvet-tunnel-forty-two"


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
    done = desk.page.get_by_role("dialog", name="Password changed")
    expect(done.get_by_role("heading", name="Password changed")).to_be_focused()
    done.get_by_role("button", name="Done").click()
    expect(desk.page.get_by_role("button", name="account menu")).to_be_focused()
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
    known = office.call("GET", f"/v1/users?query={name}")["users"][0]
    office.call("PATCH", f"/v1/users/{known['id']}", {"displayName": "Ada Renamed", "updateMask": "displayName"})
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Somebody else changed this")
    dialog.get_by_role("button", name="Cancel").click()
    expect(row).to_contain_text("Ada Renamed")
    edit.click()
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
