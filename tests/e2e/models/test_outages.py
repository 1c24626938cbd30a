"""A model server that is killed, hangs, or restarts: typed errors in time, and recovery by itself."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

import grpc
import pytest

from tests.e2e.edge.test_tokens import reason_of
from tests.e2e.models.asking import MODEL, Asker, best, reason_in
from tests.e2e.models.digits import known_digits
from tests.support.mesh import GUEST, LocalMesh, until

RECOVERY_S = 90


def works(asker: Asker) -> bool:
    known = known_digits()[1]
    return asker.classic(known.image) == (200, {"prediction": known.digit})


@pytest.fixture
def healthy(asker: Asker) -> Iterator[Asker]:
    """The asker of a mesh whose models answer, before the test and after it."""
    until(lambda: works(asker), RECOVERY_S, "an answer of the model")
    yield asker
    until(lambda: works(asker), RECOVERY_S, "an answer of the model")


def labeling_works(mesh: LocalMesh, token: str) -> bool:
    return mesh.call("GET", "/v1/projects", token=token)[0] == 200


@contextmanager
def kept_down(mesh: LocalMesh) -> Iterator[None]:
    """Kills the model server, and whatever is started in its place, for as long as the block lasts."""
    ended = Event()

    def kill() -> None:
        while not ended.is_set():
            with suppress(ProcessLookupError, TypeError):  # gone already, or about to be started
                os.kill(mesh.part("modelserver")["pid"], signal.SIGKILL)
            ended.wait(0.2)

    os.kill(mesh.part("modelserver")["pid"], signal.SIGKILL)
    killer = Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        ended.set()
        killer.join()


def test_a_killed_model_server_is_a_typed_error_at_once_and_comes_back(healthy: Asker) -> None:
    mesh = healthy.mesh
    token = mesh.sign_in(*GUEST)
    before = mesh.part("modelserver")
    with kept_down(mesh):
        began = time.monotonic()
        status, reply = healthy.classic(known_digits()[0].image)
        assert (status, reason_in(reply)) == (503, "MODEL_SERVER_UNAVAILABLE")
        with pytest.raises(grpc.RpcError) as caught:
            healthy.predict(known_digits()[0].png)
        assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.UNAVAILABLE, "MODEL_SERVER_UNAVAILABLE")
        assert time.monotonic() - began < 12, "both were told in time"
        assert labeling_works(mesh, token)
    until(lambda: works(healthy), RECOVERY_S, "an answer after the model server was killed")
    assert mesh.part("modelserver")["restarts"] > before["restarts"]


def test_models_are_still_listed_while_the_model_server_is_away_and_it_is_said_why(healthy: Asker) -> None:
    def listed() -> tuple[str, str]:
        status, reply = healthy.mesh.call("GET", f"/v1/models/{MODEL}", key=healthy.key)
        assert status == 200, reply
        return reply["model"]["versions"][0]["state"], reply["modelServerProblem"]

    with kept_down(healthy.mesh):
        until(lambda: listed()[0] == "VERSION_STATE_UNKNOWN", 5, "a state that says that nobody knows")
        assert listed()[1]
    until(lambda: listed() == ("VERSION_STATE_AVAILABLE", ""), RECOVERY_S, "the state after the restart")


def test_a_model_server_that_stops_for_a_while_is_a_typed_error_in_time_and_then_goes_on(healthy: Asker) -> None:
    mesh = healthy.mesh
    token = mesh.sign_in(*GUEST)
    before = mesh.part("modelserver")
    os.kill(before["pid"], signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(grpc.RpcError) as caught:
            healthy.predict(known_digits()[0].png, timeout=4)
        assert time.monotonic() - began < 6
        assert caught.value.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
        assert labeling_works(mesh, token)
        status, reply = healthy.classic(known_digits()[0].image)
        assert (status, reason_in(reply)) in ((503, "MODEL_SERVER_UNAVAILABLE"), (504, "MODEL_TOO_SLOW"))
        assert time.monotonic() - began < 25
    finally:
        os.kill(before["pid"], signal.SIGCONT)
    until(lambda: works(healthy), 20, "an answer after it went on")
    assert mesh.part("modelserver")["restarts"] == before["restarts"], "a pause is no reason to kill it"


def test_a_model_server_that_hangs_for_good_is_started_again(healthy: Asker) -> None:
    before = healthy.mesh.part("modelserver")
    os.kill(before["pid"], signal.SIGSTOP)
    until(lambda: healthy.mesh.part("modelserver")["restarts"] == before["restarts"] + 1, 90, "a restart")
    until(lambda: works(healthy), RECOVERY_S, "an answer after the restart")
    assert "model server: has not answered for" in healthy.mesh.log("mesh")


def test_an_inference_service_that_is_killed_comes_back_and_asks_the_same_models(healthy: Asker) -> None:
    known = known_digits()[6]
    os.kill(healthy.mesh.part("inference")["pid"], signal.SIGKILL)
    until(lambda: works(healthy), RECOVERY_S, "an answer after inference was killed")
    assert best(healthy.predict(known.png)) == known.digit
