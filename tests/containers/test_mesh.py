"""docker-compose.yml as a whole: one label through it, restarts, data that stay, and what containers may do."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from labelmesh_client import Classification, Pipeline, Step, connect
from PIL import Image

from tests.containers.composed import ComposedMesh
from tests.containers.engine import HOUSE, Engine

pytestmark = pytest.mark.timeout(3600)

SERVICES = ("auth", "labeling", "inference", "augment")
SERVERS = (*SERVICES, "modelserver", "postgres", "objects", "gateway", "gateway-tend")
DEMO_IMAGES = 1797


def one_label(address: str) -> str:
    """Gives one label as the guest, with the JSON API, through the gateway."""
    done = subprocess.run(
        [sys.executable, str(HOUSE / ".github" / "one_label.py"), address, "300"], capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def picture(kind: str) -> bytes:
    """A file of that kind with noise in it."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(5).integers(0, 255, (64, 80, 3), np.uint8)).save(file, kind)
    return file.getvalue()


def labels(text: str) -> int:
    return int(text.rpartition(":")[2].split()[0])


def test_one_label_goes_through_the_whole_mesh(mesh: ComposedMesh) -> None:
    mesh.wait_until_done("demo-digits")

    assert labels(one_label(mesh.address)) >= 1


def test_the_demo_s_model_is_trained_and_answers(mesh: ComposedMesh) -> None:
    mesh.wait_until_done("demo-training", seconds=1200)

    with connect(mesh.address, user="admin", password=mesh.admin_password()) as client:
        result = client.predict("digits", picture("PNG")).result

    assert isinstance(result, Classification)
    assert result.best is not None
    assert result.best.label in set("0123456789")


def test_every_server_is_healthy(mesh: ComposedMesh) -> None:
    for service in SERVERS:
        if service != "gateway":  # it has no program to ask with; gateway-tend asks for it
            mesh.wait_until_healthy(service)


def test_containers_have_no_more_than_they_need(mesh: ComposedMesh) -> None:
    for service in SERVERS:
        about = mesh.state(service)
        confined = about["HostConfig"]
        assert confined["ReadonlyRootfs"], service
        assert confined["CapDrop"] == ["ALL"], service
        assert not confined["CapAdd"], service
        assert "no-new-privileges:true" in confined["SecurityOpt"], service
        assert confined["Memory"] > 0, service
        assert confined["PidsLimit"] > 0, service
        assert about["Config"]["User"] not in ("", "0", "0:0", "root"), service
        published = {port for port, hosts in (about["NetworkSettings"]["Ports"] or {}).items() if hosts}
        assert published == ({"8080/tcp"} if service == "gateway" else set()), service


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_writes_nowhere_but_to_tmp(mesh: ComposedMesh, service: str) -> None:
    program = (
        "import os\n"
        "def may(path):\n"
        "    try:\n        open(path, 'w').close()\n        return True\n"
        "    except OSError:\n        return False\n"
        "folders = ('/', '/opt/labelmesh/', '/etc/', '/run/secrets/labelmesh/', '/var/', '/tmp/')\n"
        "print([folder for folder in folders if may(folder + 'x')], os.getuid())"
    )

    assert mesh.compose("exec", "-T", service, "python", "-c", program).strip() == "['/tmp/'] 10001"


def test_a_service_sees_only_its_own_secrets_and_none_in_its_environment(mesh: ComposedMesh) -> None:
    for service in SERVICES:
        files = mesh.compose(
            "exec", "-T", service, "python", "-c", "import os; print(*sorted(os.listdir('/run/secrets/labelmesh')))"
        ).split()
        assert "labelmesh_database_url" in files
        assert ("labelmesh_key_encryption_key" in files) == (service == "auth")
        told = mesh.state(service)["Config"]["Env"]
        assert not [line for line in told if "PASSWORD" in line or "SECRET_KEY" in line or "DATABASE_URL" in line]


def test_names_resolve_only_where_calls_are_to_go(mesh: ComposedMesh) -> None:
    program = (
        "import socket, sys\n"
        "def known(name):\n"
        "    try:\n        socket.getaddrinfo(name, 1)\n        return True\n"
        "    except OSError:\n        return False\n"
        "print(*[name for name in sys.argv[1:] if known(name)])"
    )

    def seen_by(service: str) -> set[str]:
        names = ("auth", "labeling", "postgres", "objects", "modelserver")
        return set(mesh.compose("exec", "-T", service, "python", "-c", program, *names).split())

    assert seen_by("auth") == {"auth", "labeling", "postgres"}
    assert seen_by("inference") == {"auth", "labeling", "postgres", "objects", "modelserver"}
    assert seen_by("gateway-tend") == {"auth", "labeling", "objects"}


def test_every_transform_works_without_what_was_taken_out_of_opencv(mesh: ComposedMesh) -> None:
    with connect(mesh.address, user="admin", password=mesh.admin_password()) as client:
        transforms = [transform for transform in client.pipelines.transforms() if not transform.holds_steps]
        assert len(transforms) > 40
        for transform in transforms:
            for kind in ("JPEG", "PNG", "WEBP", "GIF"):
                further = [picture("PNG")] * transform.further_pictures
                assert client.augmentations.apply(picture(kind), Pipeline((Step(transform.name),)), seed=7, further=further).image


def test_the_mesh_is_backed_up_and_the_backup_is_whole(mesh: ComposedMesh) -> None:
    mesh.compose("run", "--rm", "--no-deps", "-T", "operations", "backup", "--to", "/backups", "--models", "/models")

    assert "Whole: " in mesh.compose("run", "--rm", "--no-deps", "-T", "operations", "verify", "/backups")


def test_the_labelmesh_command_is_signed_in_as_the_administrator(mesh: ComposedMesh) -> None:
    assert "Handwritten digits" in mesh.compose("run", "--rm", "--no-deps", "-T", "labelmesh", "projects", "list")


def test_a_service_that_is_restarted_is_back(mesh: ComposedMesh, engine: Engine) -> None:
    before = labels(one_label(mesh.address))

    mesh.compose("restart", "labeling")
    mesh.wait_until_healthy("labeling")

    assert labels(one_label(mesh.address)) == before + 1


def test_a_service_that_dies_is_started_again(mesh: ComposedMesh, engine: Engine) -> None:
    before = mesh.state("auth")
    Path(f"/proc/{before['State']['Pid']}").stat()

    subprocess.run(["kill", "-KILL", str(before["State"]["Pid"])], check=True)
    mesh.wait_until_healthy("auth")

    assert mesh.state("auth")["RestartCount"] == before["RestartCount"] + 1
    one_label(mesh.address)


def test_data_survive_down_and_up(mesh: ComposedMesh) -> None:
    before, password = labels(one_label(mesh.address)), mesh.admin_password()

    mesh.down()
    mesh.up()

    assert mesh.admin_password() == password
    assert labels(one_label(mesh.address)) == before + 1
