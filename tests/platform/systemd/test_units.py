"""The units are right in systemd's own eyes, and say what the mesh needs."""

from __future__ import annotations

import argparse
import re
import subprocess
from pathlib import Path

import pytest
from labelmesh_local import __main__ as local_command
from labelmesh_local.commands import _STOP_SECONDS as DOWN_SECONDS

from tests.platform.systemd.units import HOUSE, INSTALLED, UNITS, analyze, command, environment, settings

SERVICES = sorted(UNITS.rglob("*.service"))
SYSTEM = [unit for unit in SERVICES if unit.parent == UNITS]
_NEEDED = {
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "RestrictNamespaces": "yes",
    "UMask": "0077",
    "StateDirectoryMode": "0700",
}


def _verify(unit: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """systemd-analyze on a copy whose paths exist here."""
    program, environment = analyze()
    for one in [*UNITS.glob("*.service"), *UNITS.glob("*.timer")]:
        (folder / one.name).write_text(one.read_text().replace(INSTALLED, str(HOUSE)).replace("%h/labelmesh", str(HOUSE)))
    if unit.parent != UNITS:  # systemd reads no user's units without a user's manager; the syntax is the same.
        (folder / unit.name).write_text(unit.read_text().replace("%h/labelmesh", str(HOUSE)))
    arguments = [program, "verify", "--recursive-errors=no", "--man=no", str(folder / unit.name)]
    return subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("unit", [*SERVICES, *sorted(UNITS.glob("*.timer"))], ids=lambda unit: str(unit.relative_to(UNITS)))
def test_systemd_finds_nothing_wrong(unit: Path, tmp_path: Path) -> None:
    done = _verify(unit, tmp_path)
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "labelmesh" in line]
    assert done.returncode == 0 and not ours, ours


def test_a_wrong_unit_would_be_noticed(tmp_path: Path) -> None:
    wrong = tmp_path / "units" / "wrong.service"
    wrong.parent.mkdir()
    wrong.write_text("[Service]\nType=notifying\nExecStart=/nowhere/python\n")
    program, environment = analyze()
    done = subprocess.run([program, "verify", str(wrong)], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0 or "notifying" in done.stderr


@pytest.mark.parametrize("unit", SYSTEM, ids=lambda unit: unit.name)
def test_the_mesh_may_do_little_on_its_machine(unit: Path) -> None:
    program, environment = analyze()
    arguments = [program, "security", "--offline=true", "--threshold=15", str(unit)]  # of 100
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    service = settings(unit)["Service"]
    assert {name: service.get(name, ["missing"])[-1] for name in _NEEDED} == _NEEDED
    assert "@system-service" in service["SystemCallFilter"]


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: str(unit.relative_to(UNITS)))
def test_each_command_is_one_that_there_is(unit: Path) -> None:
    words = command(unit, environment(unit))
    program, module = words[0], words[1:3]
    assert program.endswith("/.labelmesh/venv/bin/python") and module == ["-m", "labelmesh_local"]
    parser = local_command._parser()
    parser.exit_on_error = False
    try:
        parser.parse_args(words[3:])
    except (argparse.ArgumentError, SystemExit) as error:
        raise AssertionError(f"{unit.name}: {words[3:]}") from error


def test_the_mesh_gets_the_time_that_it_needs_to_stop() -> None:
    for unit in SERVICES:
        service = settings(unit)["Service"]
        if service["Type"] == ["notify"]:
            assert _seconds(service["TimeoutStopSec"][0]) > DOWN_SECONDS, "longer than ./mesh down waits"
            assert service["KillMode"] == ["mixed"], "SIGTERM for all would stop PostgreSQL before the services"
            assert service["NotifyAccess"] == ["main"] and _seconds(service["WatchdogSec"][0]) >= 30


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)(s|min|h)", text)
    assert found, text
    return int(found[1]) * {"s": 1, "min": 60, "h": 3600}[found[2]]


def test_the_service_at_boot_has_no_account_with_a_known_password() -> None:
    unit = UNITS / "labelmesh-local.service"
    assert "--no-demo" in command(unit, environment(unit))


def test_the_page_says_what_the_units_do() -> None:
    page = (HOUSE / "docs" / "systemd.md").read_text()
    for unit in UNITS.rglob("*.*"):
        if unit.is_file():
            assert unit.name in page, unit.name
    for name in (
        "/etc/labelmesh/local.env",
        "/etc/labelmesh/backup.env",
        "LABELMESH_UP",
        "LABELMESH_BACKUP",
        INSTALLED,
        "/var/lib/labelmesh",
    ):
        assert name in page, name
