"""A running training is reported, and its loss is noticed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from labelmesh_client import Aborted, Training, TrainingProgress, Unavailable
from labelmesh_client.trainings import TrainingState
from labelmesh_training.keeping import Keeper, TrainingLost


class Mesh:
    """Hears reports, and answers as a test says."""

    def __init__(self, lease_duration_s: float = 30.0) -> None:
        self.lease_duration_s = lease_duration_s
        self.heard: list[TrainingProgress] = []
        self.problem: Exception | None = None
        self._lock = threading.Lock()

    def report(self, progress: TrainingProgress | None = None) -> Training:
        with self._lock:
            if self.problem is not None:
                raise self.problem
            assert progress is not None
            self.heard.append(progress)
            return Training("id", "digits", TrainingState.RUNNING, 1, progress, "", "me", None, None, ())


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def lost() -> Aborted:
    return Aborted("this training is not yours any more", reason="TRAINING_LOST")


def test_every_epoch_is_reported_in_order_and_at_once() -> None:
    mesh, shown = Mesh(), list[TrainingProgress]()
    with Keeper(mesh, shown.append) as keeper:
        for epoch in range(1, 6):
            keeper.say(TrainingProgress("training", epoch, 5, epoch / 5, {"loss": 1 / epoch}))
        until(lambda: len(mesh.heard) == 5, 2.0)
    assert [one.epoch for one in mesh.heard] == [1, 2, 3, 4, 5]
    assert shown == mesh.heard


def test_a_training_that_has_nothing_new_is_kept_alive() -> None:
    mesh = Mesh(lease_duration_s=0.2)
    with Keeper(mesh, lambda _: None) as keeper:
        keeper.say(TrainingProgress("training", done=0.2))
        keeper.note(0.4)
        until(lambda: len(mesh.heard) >= 4)
    assert mesh.heard[-1].done == 0.4


def test_what_is_done_never_goes_back() -> None:
    mesh = Mesh()
    with Keeper(mesh, lambda _: None) as keeper:
        keeper.say(TrainingProgress("training", done=0.5))
        keeper.note(0.3)
        keeper.say(TrainingProgress("evaluating", done=0.1))
        keeper.note(1.7)
        keeper.confirm()
    assert mesh.heard[-1] == TrainingProgress("evaluating", done=1.0)


def test_a_lost_training_is_noticed_while_it_learns() -> None:
    mesh = Mesh(lease_duration_s=0.1)
    mesh.problem = lost()
    with Keeper(mesh, lambda _: None) as keeper, pytest.raises(TrainingLost):
        for _ in range(1000):
            keeper.note(0.1)
            time.sleep(0.005)


def test_a_lost_training_is_noticed_before_its_version_is_published() -> None:
    mesh = Mesh()
    with Keeper(mesh, lambda _: None) as keeper:
        mesh.problem = lost()
        with pytest.raises(TrainingLost):
            keeper.confirm()
        with pytest.raises(TrainingLost):
            keeper.say(TrainingProgress("writing"))


def test_a_mesh_that_is_away_for_a_while_hears_every_epoch_later() -> None:
    mesh = Mesh(lease_duration_s=0.4)
    mesh.problem = Unavailable("away")
    with Keeper(mesh, lambda _: None) as keeper:
        for epoch in (1, 2, 3):
            keeper.say(TrainingProgress("training", epoch, 3))
        with pytest.raises(Unavailable):
            keeper.confirm()
        mesh.problem = None
        keeper.confirm()
    assert [one.epoch for one in mesh.heard][:3] == [1, 2, 3]


def test_a_stop_that_nobody_raised_is_noticed_after_the_next_batch() -> None:
    stopped = threading.Event()
    with Keeper(Mesh(), lambda _: None, stopped=stopped.is_set) as keeper:
        keeper.note(0.1)
        stopped.set()
        with pytest.raises(KeyboardInterrupt):
            keeper.note(0.2)


def test_it_ends_at_once() -> None:
    began = time.monotonic()
    with Keeper(Mesh(), lambda _: None):
        pass
    assert time.monotonic() - began < 1
