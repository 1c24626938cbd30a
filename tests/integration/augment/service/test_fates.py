"""What becomes of a stream whose pictures are the death of workers, with workers that do what each picture says."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from labelmesh.augment.v1 import augmentations_pb2 as aug
from labelmesh_augment.access import Caller
from labelmesh_augment.augmenting.asking import Asking, Inline, Saved, Wanted
from labelmesh_augment.augmenting.sources import Sources, WebAddress
from labelmesh_augment.augmenting.streaming import Failed, Item, Stream, Streams
from labelmesh_augment.pipelines.pipeline import Pipeline
from labelmesh_chassis.errors import InvalidArgument, Unavailable, from_status
from labelmesh_chassis.identity import Identity, Role
from labelmesh_chassis.workers import PoolSettings, WorkerPool

from tests.integration.augment.service.people import new_id

Run = Callable[..., list[tuple[int, int, str]]]


def fetched(url: str, most: int) -> bytes:
    """An address is a time that it takes, and what is there."""
    takes, _, content = url.partition(" ")
    if content == "nothing":
        raise InvalidArgument("URL_FAILED", "nothing is there", field="url")
    time.sleep(float(takes))
    return content.encode()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a stream of messages of fates, and gives (index, copy, reason) of each result."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[4]))
    pool = WorkerPool(PoolSettings("tests.integration.augment.service.fates:make", 2, 100_000_000, 100_000_000))
    pool.start()
    nowhere: Any = None
    asking = Asking(pool, Sources(nowhere, nowhere, fetched), Saved(nowhere, nowhere), lambda content: 1000)
    me = new_id()

    def run(
        *messages: list[bytes | str], copies: tuple[int, ...] = (0,), seconds: float = 60, user: str = me
    ) -> list[tuple[int, int, str]]:
        caller = Caller.of(Identity(f"user:{user}", user, Role.ANNOTATOR))
        items = [[Item((Wanted(WebAddress(one) if isinstance(one, str) else one),), copies) for one in message] for message in messages]
        stream = Stream(asking.call(caller, seconds), Inline(Pipeline(), b""), 0, time.monotonic() + seconds)
        found = []
        for results in Streams(asking, most_streams=1).run(stream, iter(items)):
            for result in results:
                if isinstance(result, Failed):
                    found.append((result.index, result.copy, result.problem.reason))
                else:
                    message = aug.StreamResult.FromString(result)
                    found.append((message.index, message.copy, from_status(message.error).reason))
        return found

    yield run
    pool.close()


def test_a_picture_that_kills_workers_does_not_keep_its_neighbours_from_theirs(run: Run) -> None:
    assert run([b"0", b"0", b"die", b"0", b"0"]) == [
        (0, 0, "DONE"),
        (1, 0, "DONE"),
        (2, 0, "WORKER_LOST"),
        (3, 0, "DONE"),
        (4, 0, "DONE"),
    ]


def test_neither_does_one_that_shows_a_fault_of_ours(run: Run) -> None:
    results = run([b"0", b"fail", b"0"], copies=(3, 4))
    assert [reason for _, _, reason in results] == ["DONE"] * 2 + ["INTERNAL"] * 2 + ["DONE"] * 2
    assert [(index, copy) for index, copy, _ in results] == [(index, copy) for index in range(3) for copy in (3, 4)]


def test_order_is_kept_whatever_each_takes(run: Run) -> None:
    chance = random.Random(5)
    messages = [[f"{chance.choice([0, 0, 0.01, 0.03])}".encode() for _ in range(chance.randint(1, 6))] for _ in range(60)]
    results = run(*messages)
    assert [index for index, _, _ in results] == list(range(sum(map(len, messages))))
    assert {reason for _, _, reason in results} == {"DONE"}


def test_order_is_kept_whatever_each_takes_to_fetch(run: Run) -> None:
    chance = random.Random(6)
    fates: list[bytes | str] = [b"0", "0 0", "0.05 0", "0.01 0.02", "0 nothing"]
    messages = [[chance.choice(fates) for _ in range(chance.randint(1, 6))] for _ in range(25)]
    results = run(*messages)
    flat = [fate for message in messages for fate in message]
    assert results == [(index, 0, "URL_FAILED" if fate == "0 nothing" else "DONE") for index, fate in enumerate(flat)]


def test_what_was_not_answered_by_the_end_is_not_answered_wrongly(run: Run) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable, match="STREAM_RENEW"):
        run(*[[b"0.5"]] * 40, seconds=3)
    assert time.monotonic() - began < 4.5


def test_addresses_that_hang_hold_up_nobody_elses_streams(run: Run) -> None:
    hanging: list[bytes | str] = ["2 0"] * 8
    threads = [threading.Thread(target=run, args=(hanging,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    began = time.monotonic()
    assert run(["0 0"] * 8, user=new_id()) == [(index, 0, "DONE") for index in range(8)]
    assert time.monotonic() - began < 1.8
    for thread in threads:
        thread.join(timeout=30)
