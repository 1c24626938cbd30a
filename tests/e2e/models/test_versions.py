"""New versions come while the model is asked, and trainers that die leave nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest
from labelmesh.inference.v1 import models_pb2, trainings_pb2

from tests.e2e.models.asking import CALL_S, MODEL, Asker, asked_all_the_time, best
from tests.e2e.models.digits import known_digits
from tests.support.mesh import HOUSE, until

LEASE_S = 30


@pytest.fixture(autouse=True)
def _enough_time(request: pytest.FixtureRequest) -> None:
    request.node.add_marker(pytest.mark.timeout(300))


def test_a_new_version_appears_under_load_without_a_failed_call(asker: Asker) -> None:
    known = known_digits()[8]
    old = asker.alias("stable")

    def ask() -> int:
        prediction = asker.predict(known.png)
        assert best(prediction) == known.digit
        return prediction.version

    with asked_all_the_time(ask) as crowd:
        done = asker.mesh.command("labelmesh", "train", "digits", "--epochs", "1", "--promote", "always")
        assert done.returncode == 0, done.stdout
        new = asker.alias("stable")
        until(lambda: crowd.versions[-1] == new, 20, "answers of the new version")
    assert new > old
    assert crowd.failures == []
    assert set(crowd.versions) == {old, new}, "answers name the version that made them"
    assert len(crowd.versions) > 50
    last_old = len(crowd.versions) - crowd.versions[::-1].index(old)
    assert set(crowd.versions[last_old + 2 :]) == {new}, "once moved, an alias does not go back"


def test_rolling_back_is_one_command_and_no_call_fails(asker: Asker) -> None:
    new = asker.alias("stable")
    with asked_all_the_time(lambda: asker.predict(known_digits()[8].png).version) as crowd:
        done = asker.mesh.command("labelmesh", "model", "rollback", MODEL)
        assert done.returncode == 0, done.stdout
        old = asker.alias("stable")
        until(lambda: crowd.versions[-1] == old, 20, "answers of the old version")
    assert crowd.failures == []
    assert old < new


def test_a_trainer_that_is_killed_halfway_leaves_no_version_and_the_next_one_works(asker: Asker) -> None:
    repository = asker.mesh.home / "data" / "models"
    configured = (repository / "models.config").read_text()
    versions = asker.versions()
    command = [sys.executable, str(HOUSE / "mesh"), "labelmesh", "train", "digits", "--epochs", "50"]
    trainer = subprocess.Popen(
        command, env=asker.mesh.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        until(lambda: trainer.poll() is not None or asker.training_list()[0].progress.epoch >= 1, 120, "the first epoch")
        assert trainer.poll() is None, trainer.stdout.read() if trainer.stdout else ""
        lost = asker.training_list()[0]
        assert lost.state == trainings_pb2.TRAINING_STATE_RUNNING
    finally:
        os.killpg(trainer.pid, signal.SIGKILL)
        trainer.communicate()
    assert not (repository / MODEL / str(lost.version)).exists()
    assert (repository / "models.config").read_text() == configured
    assert asker.versions() == versions
    until(lambda: asker.training_list()[0].state == trainings_pb2.TRAINING_STATE_LOST, LEASE_S * 2, "the loss of the training")
    done = asker.mesh.command("labelmesh", "train", "digits", "--epochs", "1", "--promote", "never")
    assert done.returncode == 0, done.stdout
    assert max(asker.versions()) > lost.version, "nobody else gets its number"


def test_the_commands_show_what_is_served_and_move_what_is_asked(asker: Asker) -> None:
    def command(*arguments: str) -> str:
        done = asker.mesh.command("labelmesh", "model", *arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout

    newest, stable = max(asker.versions()), asker.alias("stable")
    assert re.search(rf"digits\s+{newest}\s+available", command("list"))
    assert "accuracy" in command("show", MODEL)
    command("alias", MODEL, "canary", str(newest))
    try:
        assert asker.predict(known_digits()[0].png, alias="canary").version == newest
        command("traffic", MODEL, "stable=0", "canary=1")
        until(lambda: asker.predict(known_digits()[0].png).version == newest, 10, "the canary's answers")
        command("rollback", MODEL)
        until(lambda: asker.predict(known_digits()[0].png).version == stable, 10, "the stable version's answers")
    finally:
        command("traffic", MODEL)
        command("alias", MODEL, "canary", "none")
    routing = asker.models.GetModel(models_pb2.GetModelRequest(model=MODEL), metadata=asker.metadata, timeout=CALL_S).model.routing
    assert [alias.name for alias in routing.aliases] == ["stable"]
