"""The process as it is run: its subcommands, its settings, its start and stop."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from labelmesh.auth.v1 import sessions_pb2, sessions_pb2_grpc
from labelmesh_chassis.database import Database
from labelmesh_local.ports import free_port
from sqlalchemy import text

from tests.integration.auth.mesh import ENCRYPTION_KEY, until
from tests.support.databases import FreshDatabases

Environment = dict[str, str]


@pytest.fixture
def environment(fresh_database: FreshDatabases) -> Environment:
    """Everything that the process needs, with an empty database."""
    own = {
        "LABELMESH_DATABASE_URL": fresh_database(),
        "LABELMESH_LISTEN": f"127.0.0.1:{free_port()}",
        "LABELMESH_OPS_LISTEN": f"127.0.0.1:{free_port()}",
        "LABELMESH_KEY_ENCRYPTION_KEY": ENCRYPTION_KEY,
        "LABELMESH_DRAIN_LEAD_S": "0",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LABELMESH_")}
    return {**kept, **own}


@pytest.fixture
def database(environment: Environment) -> Iterator[Database]:
    opened = Database(environment["LABELMESH_DATABASE_URL"], application_name="test", pool_size=1)
    yield opened
    opened.close()


def run(environment: Environment, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "labelmesh_auth", *arguments]
    return subprocess.run(command, env=environment, input=given, capture_output=True, text=True, timeout=60, check=False)


def test_create_user_makes_an_account_once_and_says_so_the_second_time(environment: Environment, database: Database) -> None:
    command = ("create-user", "--name", "Ada", "--role", "admin", "--password-stdin")
    first = run(environment, *command, given="violet-harbour-92\n")
    assert (first.returncode, first.stdout) == (0, "made the account Ada (admin)\n"), first.stderr
    second = run(environment, *command, given="another-harbour-93\n")
    assert (second.returncode, second.stdout) == (0, "there is an account Ada already\n")
    with database.transaction() as db:
        assert db.execute(text("SELECT actor, action FROM audit_events")).all() == [("system", "user.create")]


def test_a_weak_password_needs_demo_and_demo_needs_a_local_mesh(environment: Environment, database: Database) -> None:
    command = ("create-user", "--name", "guest", "--role", "annotator", "--password-stdin")
    refused = run(environment, *command, given="123456\n")
    assert (refused.returncode, refused.stdout) == (1, "") and "10 to 256 characters" in refused.stderr
    refused = run(environment, *command, "--demo", given="123456\n")
    assert refused.returncode == 2 and "LABELMESH_LOCAL_DEMO" in refused.stderr
    made = run({**environment, "LABELMESH_LOCAL_DEMO": "true"}, *command, "--demo", given="123456\n")
    assert made.returncode == 0, made.stderr
    with database.transaction() as db:
        assert db.execute(text("SELECT name, shared FROM users")).all() == [("guest", True)]


def test_every_wrong_setting_is_listed_at_once(environment: Environment) -> None:
    wrong = {**environment, "LABELMESH_KEY_ENCRYPTION_KEY": "short", "LABELMESH_SESSION_IDLE_SECONDS": "0", "LABELMESH_DATABASE_URL": "x"}
    refused = run(wrong, "serve")
    assert refused.returncode == 2
    for name in ("LABELMESH_KEY_ENCRYPTION_KEY", "LABELMESH_SESSION_IDLE_SECONDS", "LABELMESH_DATABASE_URL"):
        assert name in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_process_serves_an_empty_database_and_stops_cleanly_at_sigterm(environment: Environment) -> None:
    serving = subprocess.Popen([sys.executable, "-m", "labelmesh_auth"], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        with grpc.insecure_channel(environment["LABELMESH_LISTEN"]) as channel:
            grpc.channel_ready_future(channel).result(timeout=30)
            made = run(environment, "create-user", "--name", "ada", "--role", "annotator", "--password-stdin", given="violet-harbour-92\n")
            assert made.returncode == 0, made.stderr
            stub = sessions_pb2_grpc.SessionServiceStub(channel)
            reply = stub.SignIn(sessions_pb2.SignInRequest(name="ada", password="violet-harbour-92"), timeout=10)
            assert reply.session.user.name == "ada" and reply.token
        serving.send_signal(signal.SIGTERM)
        _, errors = serving.communicate(timeout=30)
    finally:
        serving.kill()
        serving.wait(10)
    assert serving.returncode == 0
    assert "violet-harbour-92" not in errors and reply.token not in errors


def test_another_encryption_key_is_a_sentence_not_a_traceback(environment: Environment) -> None:
    serving = subprocess.Popen([sys.executable, "-m", "labelmesh_auth"], env=environment, stderr=subprocess.DEVNULL)
    try:
        with grpc.insecure_channel(environment["LABELMESH_LISTEN"]) as channel:
            grpc.channel_ready_future(channel).result(timeout=30)
    finally:
        serving.terminate()
        until(lambda: serving.poll() is not None, timeout_s=20)
    refused = run({**environment, "LABELMESH_KEY_ENCRYPTION_KEY": base64.b64encode(bytes(32)).decode()}, "serve")
    assert refused.returncode == 1, refused.stderr
    assert "LABELMESH_KEY_ENCRYPTION_KEY" in refused.stderr and "Traceback" not in refused.stderr


def test_a_process_that_shall_not_migrate_waits_for_somebody_who_does(environment: Environment, tmp_path: Path) -> None:
    secret = tmp_path / "labelmesh_database_url"
    secret.write_text(environment["LABELMESH_DATABASE_URL"])
    rest = {name: value for name, value in environment.items() if name != "LABELMESH_DATABASE_URL"}
    apart = {**rest, "LABELMESH_SECRETS_DIR": str(tmp_path), "LABELMESH_MIGRATE_AT_START": "false"}
    serving = subprocess.Popen([sys.executable, "-m", "labelmesh_auth"], env=apart, stderr=subprocess.PIPE, text=True)
    create = ("create-user", "--name", "ada", "--role", "annotator", "--password-stdin")
    creating = subprocess.Popen(
        [sys.executable, "-m", "labelmesh_auth", *create], env=apart, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert serving.stderr is not None
        assert "waiting for the database's schema" in serving.stderr.readline()
        assert creating.poll() is None
        assert run(apart, "migrate").returncode == 0
        made, _ = creating.communicate("violet-harbour-92\n", timeout=60)
        assert made == "made the account ada (annotator)\n"
        with grpc.insecure_channel(environment["LABELMESH_LISTEN"]) as channel:
            grpc.channel_ready_future(channel).result(timeout=60)
    finally:
        for process in (serving, creating):
            process.terminate()
            process.communicate(timeout=30)
