"""Settings say everything that is wrong with them at once."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = "from labelmesh_chassis.settings import ServiceSettings, load_settings; print(load_settings(ServiceSettings).worker_threads)"


def run(program: str = PROGRAM, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LABELMESH_")}
    return subprocess.run(
        [sys.executable, "-c", program], env={**environment, **variables}, capture_output=True, text=True, timeout=60, check=False
    )


def test_every_problem_is_listed_at_once_by_the_variables_name() -> None:
    done = run(LABELMESH_LISTEN="nowhere", LABELMESH_WORKER_THREADS="many", LABELMESH_DATABASE_URL="postgresql://u:sesame@h/d")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "sesame" not in done.stderr
    for name in ("LABELMESH_LISTEN", "LABELMESH_WORKER_THREADS", "LABELMESH_DATABASE_URL"):
        assert name in done.stderr


def test_good_settings_load() -> None:
    done = run(LABELMESH_DATABASE_URL="postgresql+psycopg2://u:p@h/d", LABELMESH_WORKER_THREADS="7")
    assert (done.returncode, done.stdout.strip()) == (0, "7")


def fetching(**variables: str) -> subprocess.CompletedProcess[str]:
    program = "from labelmesh_chassis.settings import FetchSettings, load_settings; s = load_settings(FetchSettings); "
    return run(program + "print([str(one) for one in s.fetch_networks], sorted(s.fetch_ports))", **variables)


def test_nothing_but_the_public_internet_is_fetched_from_unless_said() -> None:
    assert fetching().stdout.strip() == "[] [80, 443]"
    done = fetching(LABELMESH_FETCH_NETWORKS="10.1.0.0/16, fd00:1::/64", LABELMESH_FETCH_PORTS="80,8080")
    assert done.stdout.strip() == "['10.1.0.0/16', 'fd00:1::/64'] [80, 8080]"
    wrong = fetching(LABELMESH_FETCH_NETWORKS="10.1.0.1/16", LABELMESH_FETCH_PORTS="70000")
    assert wrong.returncode == 2
    assert "LABELMESH_FETCH_NETWORKS" in wrong.stderr
    assert "LABELMESH_FETCH_PORTS" in wrong.stderr
