"""Fetching for callers: bounded, and an address that hangs holds up nobody else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from labelmesh_augment.augmenting.sources import MAX_BYTES, MAX_URL_BYTES, ObjectAddress, ProjectImage, Sources, WebAddress
from labelmesh_chassis.errors import InvalidArgument, OutOfRange, ResourceExhausted


class Elsewhere:
    """Images, objects and the internet; an address "hang" does not answer until `released`."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.asked: list[tuple[str, int]] = []
        self.begun = threading.Semaphore(0)

    def address(self, project_id: UUID, image_id: UUID) -> str:
        return f"/objects/{image_id}"

    def get_public(self, address: str, *, max_bytes: int, field: str = "") -> bytes:
        self.asked.append((address, max_bytes))
        if address == "large":
            raise OutOfRange("OBJECT_TOO_LARGE", "large")
        return field.encode()

    def fetch(self, url: str, most: int) -> bytes:
        self.asked.append((url, most))
        self.begun.release()
        if url == "hang":
            self.released.wait(20)
        return url.encode()


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    made = Elsewhere()
    yield made
    made.released.set()


@pytest.fixture
def sources(elsewhere: Elsewhere) -> Sources:
    return Sources(elsewhere, elsewhere, elsewhere.fetch, most_fetches=3, most_of_caller=2)


def hang(sources: Sources, elsewhere: Elsewhere, caller: str) -> threading.Thread:
    thread = threading.Thread(target=sources.content, args=(WebAddress("hang"), caller), kwargs={"field": "sample"})
    thread.start()
    elsewhere.begun.acquire()
    return thread


def test_each_source_has_its_way_and_its_limit(sources: Sources, elsewhere: Elsewhere) -> None:
    image = uuid4()
    assert sources.content(b"itself", "ada", field="sample") == b"itself"
    assert sources.content(ProjectImage(uuid4(), image), "ada", field="further[1]") == b"further[1].source.project_image"
    assert sources.content(ObjectAddress("/objects/x"), "ada", field="sample") == b"sample.source.object_url"
    assert sources.content(WebAddress("http://x"), "ada", field="sample") == b"http://x"
    assert elsewhere.asked == [(f"/objects/{image}", MAX_BYTES), ("/objects/x", MAX_BYTES), ("http://x", MAX_URL_BYTES)]


def test_a_file_that_is_too_large_is_told_by_its_place(sources: Sources) -> None:
    with pytest.raises(InvalidArgument) as refused:
        sources.content(ObjectAddress("large"), "ada", field="further[0]")
    assert (refused.value.reason, refused.value.violations[0].field) == ("TOO_LARGE", "further[0].source")


def test_one_caller_whose_addresses_hang_leaves_places_to_others(sources: Sources, elsewhere: Elsewhere) -> None:
    threads = [hang(sources, elsewhere, "ada") for _ in range(2)]
    with pytest.raises(ResourceExhausted) as busy:
        sources.content(WebAddress("http://x"), "ada", field="sample")
    assert busy.value.reason == "WORKERS_BUSY"
    assert sources.content(WebAddress("http://x"), "bob", field="sample") == b"http://x"
    threads.append(hang(sources, elsewhere, "bob"))
    with pytest.raises(ResourceExhausted):
        sources.content(WebAddress("http://x"), "eve", field="sample")
    assert sources.content(b"sent along", "eve", field="sample") == b"sent along"
    elsewhere.released.set()
    for thread in threads:
        thread.join()
    assert sources.content(WebAddress("http://x"), "ada", field="sample") == b"http://x"


def test_who_is_patient_gets_the_next_place(sources: Sources, elsewhere: Elsewhere) -> None:
    threads = [hang(sources, elsewhere, "ada") for _ in range(2)]
    got: list[Any] = []

    def ask() -> None:
        got.append(sources.content(WebAddress("http://x"), "ada", field="sample", patient=True))

    patient = threading.Thread(target=ask)
    patient.start()
    patient.join(timeout=0.1)
    assert got == []
    elsewhere.released.set()
    for thread in (*threads, patient):
        thread.join(timeout=5)
    assert got == [b"http://x"]
