"""Signals end a training, but not in the midst of what cannot bear it."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from labelmesh_training.stopping import Stop


def test_a_signal_stops_where_the_program_is() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        stop = Stop()
        with pytest.raises(KeyboardInterrupt), stop.by_signals():
            os.kill(os.getpid(), number)
        assert stop.asked()


def test_a_signal_within_what_cannot_bear_it_stops_at_its_end() -> None:
    stop, reached = Stop(), list[str]()
    with stop.by_signals(), pytest.raises(KeyboardInterrupt):
        with stop.deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            reached.append("on" if stop.asked() else "not asked")
        reached.append("after")
    assert reached == ["on"]


def test_a_second_signal_is_not_put_off() -> None:
    stop, reached = Stop(), list[str]()
    with stop.by_signals(), pytest.raises(KeyboardInterrupt), stop.deferred():
        os.kill(os.getpid(), signal.SIGINT)
        reached.append("once")
        os.kill(os.getpid(), signal.SIGINT)
        reached.append("twice")
    assert reached == ["once"]


def test_signals_mean_afterwards_what_they_meant_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Stop().by_signals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_another_thread_does_without_signals() -> None:
    problems: list[BaseException] = []

    def run() -> None:
        try:
            with Stop().by_signals():
                pass
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(5)
    assert problems == []
