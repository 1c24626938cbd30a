"""`./mesh up` and its companions, as a person uses them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from labelmesh_local.postgres import Postgres

from tests.support.mesh import GUEST, LocalMesh, alive, until

PARTS = ("postgres", "objects", "auth", "labeling", "inference", "augment", "gateway")
QUICK = ("--no-demo", "--no-models")


@pytest.fixture
def own_mesh(tmp_path: Path) -> Iterator[LocalMesh]:
    """A mesh of the test's own, without demo data, not started."""
    mesh = LocalMesh(tmp_path / "home")
    yield mesh
    mesh.end()


def _project_names(mesh: LocalMesh, token: str) -> list[str]:
    status, reply = mesh.call("GET", "/v1/projects", token=token)
    assert status == 200, reply
    return [project["displayName"] for project in reply.get("projects", [])]


def _make_project(mesh: LocalMesh, name: str) -> None:
    token = mesh.sign_in("admin", mesh.admin_password)
    body = {"requestId": "00000000-0000-4000-8000-000000000001", "displayName": name, "classes": [{"id": "yes"}, {"id": "no"}]}
    status, reply = mesh.call("POST", "/v1/projects", body, token=token)
    assert status == 200, reply


def test_the_guest_of_the_demo_finds_digits_to_label(mesh: LocalMesh) -> None:
    token = mesh.sign_in(*GUEST)
    status, reply = mesh.call("GET", "/v1/projects", token=token)
    assert status == 200, reply
    digits = next(project["id"] for project in reply["projects"] if project["displayName"] == "Handwritten digits")
    status, reply = mesh.call("GET", f"/v1/projects/{digits}/statistics", token=token)
    assert status == 200, reply
    assert "1797" in str(reply)


def test_the_page_is_served_at_the_address(mesh: LocalMesh) -> None:
    status, content = mesh.call("HEAD", "/")
    assert (status, content) == (200, None)


def test_a_restart_finds_everything_and_shows_the_password_only_once(own_mesh: LocalMesh) -> None:
    said = own_mesh.up(*QUICK)
    assert own_mesh.admin_password in said
    assert (own_mesh.home / "data" / "admin-password").stat().st_mode & 0o777 == 0o600
    assert own_mesh.admin_password not in (own_mesh.home / "data" / "logs" / "mesh.log").read_text()
    _make_project(own_mesh, "Kept")
    pids = own_mesh.pids()
    own_mesh.down()
    # The supervisor says that it has stopped a moment before its process is gone.
    until(lambda: not [pid for pid in pids if alive(pid)], what="the end of all processes")
    said = own_mesh.up(*QUICK)
    assert own_mesh.admin_password not in said
    assert _project_names(own_mesh, own_mesh.sign_in("admin", own_mesh.admin_password)) == ["Kept"]
    assert own_mesh.state()["start_seconds"] < 15


def test_the_demo_account_exists_in_the_demo_only(own_mesh: LocalMesh) -> None:
    own_mesh.up(*QUICK)
    status, reply = own_mesh.call("POST", "/v1/sessions", {"name": GUEST[0], "password": GUEST[1]})
    assert status == 401, reply


def test_every_part_that_is_killed_comes_back_and_the_mesh_serves_again(own_mesh: LocalMesh) -> None:
    own_mesh.up(*QUICK)
    _make_project(own_mesh, "Kept")
    # One session for all of it: sign-ins are limited, and a session outlives every part.
    token = own_mesh.sign_in("admin", own_mesh.admin_password)
    for name in PARTS:
        os.kill(own_mesh.part(name)["pid"], signal.SIGKILL)
        until(lambda: own_mesh.part(name)["restarts"] == 1 and own_mesh.part(name)["phase"] == "ready", what=name)  # noqa: B023
        until(lambda: own_mesh.call("GET", "/v1/projects", token=token)[0] == 200, what=f"an answer after {name} was killed")
        assert _project_names(own_mesh, token) == ["Kept"]
        own_mesh.sign_in("admin", own_mesh.admin_password)
    log = own_mesh.command("logs", "mesh").stdout
    assert log.count("was killed by SIGKILL while it was needed. It is started again in 0.5 s.") == len(PARTS)


def test_parts_that_hang_come_back_and_the_mesh_serves_again(own_mesh: LocalMesh) -> None:
    """One of each kind: a database, a service, a proxy."""
    own_mesh.environment["LABELMESH_HANG_SECONDS"] = "1.5"
    own_mesh.up(*QUICK)
    token = own_mesh.sign_in("admin", own_mesh.admin_password)
    hanging = ("postgres", "inference", "gateway")
    for name in hanging:
        os.kill(own_mesh.part(name)["pid"], signal.SIGSTOP)
        until(lambda: own_mesh.part(name)["restarts"] == 1 and own_mesh.part(name)["phase"] == "ready", seconds=40, what=name)  # noqa: B023
        until(lambda: own_mesh.call("GET", "/v1/projects", token=token)[0] == 200, what=f"an answer after {name} hung")
    restarted = {part["name"] for part in own_mesh.state()["parts"] if part["restarts"]}
    assert restarted == set(hanging), "who waits for a part that hangs does not hang itself"
    assert own_mesh.log("mesh").count("it is killed.") == len(hanging)


def test_without_models_everything_else_works_and_predictions_say_why_not(own_mesh: LocalMesh) -> None:
    own_mesh.up(*QUICK)
    names = [part["name"] for part in own_mesh.state()["parts"]]
    assert "modelserver" not in names
    key = own_mesh.api_key("inference.predict")
    status, reply = own_mesh.call("POST", "/predict", {"image": [[0] * 28] * 28}, key=key)
    assert status in (404, 503), reply
    assert {detail.get("reason") for detail in reply["details"]} & {"MODEL_SERVER_UNAVAILABLE", "MODEL_NOT_FOUND"}


def test_data_of_a_mesh_without_inference_and_augment_is_taken_over(own_mesh: LocalMesh) -> None:
    """As the first version left it: no role, database, secret or folder of theirs."""
    own_mesh.up(*QUICK)
    _make_project(own_mesh, "Kept")
    own_mesh.down()
    data = own_mesh.home / "data"
    secrets = json.loads((data / "secrets.json").read_text())
    newer = ("inference", "augment")
    for name in newer:
        del secrets[f"{name}_database"]
    (data / "secrets.json").write_text(json.dumps(secrets))
    shutil.rmtree(data / "models", ignore_errors=True)
    server = Postgres(data / "postgres")
    server.start()
    for name in newer:
        server.drop_database(name)
        with psycopg2.connect(server.admin_dsn) as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP ROLE {name}")
        connection.close()
    server.stop()
    own_mesh.up(*QUICK)
    assert _project_names(own_mesh, own_mesh.sign_in("admin", own_mesh.admin_password)) == ["Kept"]
    assert {own_mesh.part(name)["phase"] for name in newer} == {"ready"}


def test_a_mesh_that_was_killed_leaves_no_process_and_starts_again(own_mesh: LocalMesh) -> None:
    own_mesh.up(*QUICK)
    _make_project(own_mesh, "Kept")
    pids = own_mesh.pids()
    os.kill(pids[0], signal.SIGKILL)
    until(lambda: not [pid for pid in pids if alive(pid)], what="the end of all parts")
    status = own_mesh.command("status")
    assert status.returncode == 5
    assert "is not running. The last mesh ended without stopping." in status.stdout
    assert "its data is whole and is used again" in own_mesh.up(*QUICK)
    assert _project_names(own_mesh, own_mesh.sign_in("admin", own_mesh.admin_password)) == ["Kept"]


def test_ctrl_c_stops_everything_and_ends_well(own_mesh: LocalMesh) -> None:
    process = own_mesh.up_in_front(*QUICK)
    assert process.stdout is not None
    with process.stdout:
        until(lambda: own_mesh.state().get("phase") == "running", seconds=60, what="the start")
        pids = own_mesh.pids()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        said = process.stdout.read()
    assert f"Labelmesh runs at {own_mesh.address}" in said
    assert said.rstrip().endswith("Stopped. Everything is kept for the next start.")
    assert not [pid for pid in pids if alive(pid)]


def test_a_port_that_is_taken_is_a_sentence_with_a_way_out(own_mesh: LocalMesh) -> None:
    with socket.create_server(("127.0.0.1", own_mesh.port)):
        done = own_mesh.command("up", "--port", str(own_mesh.port))
    assert done.returncode == 3
    assert f"mesh: Port {own_mesh.port} is taken by " in done.stdout
    assert "Choose another: ./mesh up --port " in done.stdout
    assert "Traceback" not in done.stdout


def test_a_second_mesh_on_the_same_data_is_told_where_the_first_is(mesh: LocalMesh) -> None:
    other = LocalMesh(mesh.home)
    done = other.command("up", "--port", str(other.port))
    assert done.returncode == 4
    assert f"Labelmesh runs already at {mesh.address}" in done.stdout


def test_a_part_that_cannot_start_is_a_sentence_with_its_log(own_mesh: LocalMesh) -> None:
    own_mesh.environment["LABELMESH_SESSION_IDLE_SECONDS"] = "soon"
    done = own_mesh.command("up", *QUICK, "--port", str(own_mesh.port))
    assert done.returncode == 1
    assert "the auth service ended with exit code 2 before it was ready. Its log" in done.stdout
    assert "LABELMESH_SESSION_IDLE_SECONDS" in done.stdout
    assert "Traceback" not in done.stdout


def test_status_logs_and_the_client_know_the_running_mesh(mesh: LocalMesh) -> None:
    status = mesh.command("status")
    assert status.returncode == 0
    assert all(f"  {name} " in status.stdout for name in PARTS)
    assert "database system is ready to accept connections" in mesh.command("logs", "postgres").stdout
    assert "There is no log of 'nobody'" in mesh.command("logs", "nobody").stdout
    client = mesh.command("labelmesh", "projects", "list")
    assert client.returncode == 0, client.stdout


def test_reset_needs_a_yes_and_a_mesh_that_is_down(own_mesh: LocalMesh) -> None:
    own_mesh.up(*QUICK)
    assert own_mesh.command("reset", "--yes").returncode == 4
    own_mesh.down()
    assert own_mesh.command("reset").returncode == 1
    assert (own_mesh.home / "data").exists()
    assert own_mesh.command("reset", "--yes").returncode == 0
    assert not (own_mesh.home / "data").exists()
    assert own_mesh.command("down").stdout == "Labelmesh is not running.\n"


def test_a_home_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = LocalMesh(tmp_path / "file" / "home").command("up")
    assert done.returncode == 7
    assert "cannot be written to" in done.stdout
    assert "Traceback" not in done.stdout


_ON_A_SMALL_DISK = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
user = os.geteuid()
assert libc.unshare(0x00020000 | (0 if user == 0 else 0x10000000)) == 0, os.strerror(ctypes.get_errno())
if user != 0:
    for name, line in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {os.getegid()} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(line)
assert libc.mount(b"none", b"/", None, 0x40000 | 0x4000, None) == 0
assert libc.mount(b"none", sys.argv[1].encode(), b"tmpfs", 0, b"size=50m") == 0, os.strerror(ctypes.get_errno())
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    mesh = LocalMesh(tmp_path)
    command = [mesh.environment.get("PYTHON", "python3"), "-c", _ON_A_SMALL_DISK, str(tmp_path), "mesh", "up", "--port", str(mesh.port)]
    done = subprocess.run(command, env=mesh.environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 6, done.stderr
    assert "labelmesh needs 300 MB to start safely" in done.stderr
