"""The command against the real mesh."""

from __future__ import annotations

import csv
import io
import json
import stat
from pathlib import Path

from labelmesh_client import Client, Project, classes_from_names
from labelmesh_client.importing import ImageFile
from labelmesh_client.sources.png import grey_png

from tests.integration.client.mesh import ADMIN, ADMIN_PASSWORD, Mesh


def project_with_images(client: Client, name: str, count: int) -> Project:
    project = client.create_project(name, classes_from_names(["a", "b"]), repeat_rate=0.0)
    pictures = [grey_png(1 + number, 1, bytes(1 + number)) for number in range(count)]
    list(project.import_images([ImageFile(f"{number}.png", len(png), lambda png=png: png) for number, png in enumerate(pictures)]))  # type: ignore[misc]
    return project


def test_signing_in_keeps_a_session_for_the_owner_only_until_signing_out(mesh: Mesh, tmp_path: Path) -> None:
    environment = {"LABELMESH_ADDRESS": mesh.address, "XDG_STATE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    wrong = mesh.labelmesh("sign-in", "--user", ADMIN, "--password-stdin", stdin="wrong\n", environment=environment)
    assert (wrong.code, "Traceback" in wrong.err) == (1, False)
    ran = mesh.labelmesh("sign-in", "--user", ADMIN, "--password-stdin", stdin=ADMIN_PASSWORD + "\n", environment=environment)
    assert ran.code == 0, ran.err
    assert f"Signed in as {ADMIN} at {mesh.address}. The session ends after 120 s without activity." in ran.err
    path = tmp_path / "labelmesh" / "sessions.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    token = json.loads(path.read_text())[mesh.address]["token"]
    assert mesh.labelmesh("projects", "list", environment=environment).code == 0
    assert mesh.labelmesh("sign-out", environment=environment).code == 0
    gone = mesh.labelmesh("projects", "list", environment=environment)
    assert "You are not signed in" in gone.err
    path.write_text(json.dumps({mesh.address: {"user": ADMIN, "token": token}}))
    ended = mesh.labelmesh("projects", "list", environment=environment)
    assert ended.code == 1
    assert "Sign in again with `labelmesh sign-in`" in ended.err


def test_projects_are_made_listed_closed_and_opened(mesh: Mesh, name: str) -> None:
    made = mesh.labelmesh(
        *("projects", "create", name, "--classes", "fox,Red deer", "--repeat-rate", "0.1", "--lease-seconds", "60", "--json"),
        *("--suggestion-model", "animals"),
    )
    assert made.code == 0, made.err
    facts = json.loads(made.out)
    assert facts["suggestion_model"] == "animals"
    assert (facts["repeat_rate"], facts["lease_duration_s"], facts["classes"][1]["id"]) == (0.1, 60.0, "red-deer")
    assert mesh.labelmesh("projects", "close", name).code == 0
    listed = [json.loads(line) for line in mesh.labelmesh("projects", "list", "--json").out.splitlines()]
    assert [one["state"] for one in listed if one["display_name"] == name] == ["closed"]
    assert mesh.labelmesh("projects", "open", facts["id"]).code == 0
    table = mesh.labelmesh("projects", "list").out
    assert any(line.startswith(name) and " open " in line for line in table.splitlines())


def test_images_priorities_labels_and_numbers_go_round(mesh: Mesh, client: Client, name: str, tmp_path: Path) -> None:
    project = project_with_images(client, name, 12)
    images = [json.loads(line) for line in mesh.labelmesh("images", "list", "--project", name, "--json").out.splitlines()]
    assert [image["name"] for image in images] == [f"{number}.png" for number in range(12)]
    assert len(mesh.labelmesh("images", "list", "--project", name, "--limit", "5").out.splitlines()) == 6
    lines = f"image,priority\n7.png,3\n{images[5]['sha256']},2\n{images[9]['id']},1\n"
    ran = mesh.labelmesh("priorities", "set", "-", "--project", name, stdin=lines)
    assert (ran.code, ran.err) == (0, f"3 priorities set in “{name}”.\n")
    widths = []
    for lease in project.leases():
        widths.append(lease.width)
        lease.submit("b", lead_time_s=1.5)
        if len(widths) == 3:
            break
    assert widths == [8, 6, 10]
    exported = mesh.labelmesh("annotations", "export", "--project", name)
    records = [json.loads(line) for line in exported.out.splitlines()]
    assert [(one["image_id"], one["class_id"], one["lead_time_s"]) for one in records] == [
        (images[place]["id"], "b", 1.5) for place in (7, 5, 9)
    ]
    path = tmp_path / "labels.csv"
    assert mesh.labelmesh("annotations", "export", "--project", name, "--format", "csv", "-o", str(path)).code == 0
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert [(row["image_id"], row["class_id"]) for row in rows] == [(one["image_id"], "b") for one in records]
    assert list(tmp_path.iterdir()) == [path]
    stats = mesh.labelmesh("stats", "--project", name)
    assert f"{name}: 3 of 12 images labeled (25%), 9 awaiting, 0 held; 3 labels by people, 0 by machines" in stats.out
    assert len(mesh.labelmesh("stats", "--project", name, "--annotators", "--json").out.splitlines()) == 1


def test_keys_are_made_shown_once_listed_and_revoked(mesh: Mesh) -> None:
    made = mesh.labelmesh("keys", "create", "trainer", "--scope", "labeling.read", "--expires", "2h")
    assert made.code == 0, made.err
    secret = made.out.strip()
    assert secret.startswith("lmk_")
    as_key = {"LABELMESH_ADDRESS": mesh.address, "LABELMESH_API_KEY": secret, "HOME": "/nonexistent"}
    assert mesh.labelmesh("projects", "list", environment=as_key).code == 0
    listed = [json.loads(line) for line in mesh.labelmesh("keys", "list", "--json").out.splitlines()]
    key = next(one for one in listed if secret.startswith(one["prefix"]) and one["display_name"] == "trainer")
    assert secret not in json.dumps(listed)
    assert mesh.labelmesh("keys", "revoke", key["id"]).code == 0
    refused = mesh.labelmesh("projects", "list", environment=as_key)
    assert refused.code == 1
    assert "revoked" in mesh.labelmesh("keys", "list").out
    denied = mesh.labelmesh("keys", "list", environment=as_key)
    assert denied.code == 1


def test_accounts_are_made_changed_and_disabled(mesh: Mesh) -> None:
    made = mesh.labelmesh("users", "create", "grace", "--display-name", "Grace H.", "--password-stdin", stdin="copper-lantern-41\n")
    assert (made.code, made.err) == (0, "Made the account “grace” (annotator).\n")
    again = mesh.labelmesh("users", "create", "Grace", "--password-stdin", stdin="copper-lantern-41\n")
    assert again.code == 1
    weak = mesh.labelmesh("users", "create", "weak", "--password-stdin", stdin="123456\n")
    assert weak.code == 1
    assert "password" in weak.err
    assert mesh.labelmesh("users", "set-role", "grace", "manager").code == 0
    assert mesh.labelmesh("users", "set-password", "grace", "--password-stdin", stdin="copper-lantern-42\n").code == 0
    as_grace = {
        "LABELMESH_ADDRESS": mesh.address,
        "LABELMESH_USER": "grace",
        "LABELMESH_PASSWORD": "copper-lantern-42",
        "HOME": "/nonexistent",
    }
    assert mesh.labelmesh("projects", "list", environment=as_grace).code == 0
    assert mesh.labelmesh("users", "disable", "grace").code == 0
    assert mesh.labelmesh("projects", "list", environment=as_grace).code == 1
    users = [json.loads(line) for line in mesh.labelmesh("users", "list", "--query", "grace", "--json").out.splitlines()]
    assert [(one["name"], one["role"], one["disabled"]) for one in users] == [("grace", "manager", True)]
    assert mesh.labelmesh("users", "enable", "grace").code == 0
    assert mesh.labelmesh("users", "disable", "nobody").err == "labelmesh: There is no account named “nobody”.\n"
