from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelmesh.labeling.v1 import images_pb2
from labelmesh_client import Cancelled, ImageFile, ImportedFile, Outcome, PermissionDenied, SourceError
from labelmesh_client.batches import by_weight, in_batches
from labelmesh_client.images import MAX_FILE_BYTES
from labelmesh_client.importing import MAX_BATCH_BYTES, MAX_BATCH_FILES, Pace, import_images

from tests.unit.client.server import ScriptedServer, Serve, client_of, refuse
from tests.unit.client.shelf import Shelf

PROJECT = "00000000-0000-0000-0000-000000000001"


def file(name: str, content: bytes) -> ImageFile:
    return ImageFile(name, len(content), lambda: content)


def unreadable() -> bytes:
    raise PermissionError(13, "Permission denied")


def run(server: ScriptedServer, files: list[ImageFile], **options: Any) -> list[ImportedFile]:
    with client_of(server) as client:
        return list(import_images(client.services, PROJECT, files, **options))


def settled(count: Callable[[], int]) -> int:
    """The count once batches that were on their way have landed: when it has not changed for half a second."""
    last, since = count(), time.monotonic()
    while time.monotonic() - since < 0.5:
        time.sleep(0.02)
        if count() != last:
            last, since = count(), time.monotonic()
    return last


def test_every_file_is_answered_for_in_order_and_bad_ones_do_not_keep_the_others_out(serve: Serve) -> None:
    shelf = Shelf()
    files = [file(f"{n:04}.png", b"bad" if n % 100 == 7 else b"content %d" % n) for n in range(1200)]
    files += [file("copy.png", b"content 1"), file("bad copy.png", b"bad"), file("empty.png", b"")]
    files += [ImageFile("closed.png", 5, unreadable), ImageFile("huge.png", MAX_FILE_BYTES + 1, unreadable)]
    results = run(shelf.serve(serve), files)
    assert [result.name for result in results] == [each.name for each in files]
    refused = {result.name: result.problem_reason for result in results if result.outcome is Outcome.REFUSED}
    assert refused == {
        **{f"{n:04}.png": "NOT_AN_IMAGE" for n in range(1200) if n % 100 == 7},
        "bad copy.png": "NOT_AN_IMAGE",
        "empty.png": "EMPTY",
        "closed.png": "UNREADABLE",
        "huge.png": "TOO_LARGE",
    }
    assert sum(result.outcome is Outcome.ADDED for result in results) == 1188 == len(shelf.contents)
    by_name = {result.name: result for result in results}
    # Which of the two came first is up to the workers.
    assert {by_name["copy.png"].outcome, by_name["0001.png"].outcome} == {Outcome.ADDED, Outcome.PRESENT}
    assert by_name["copy.png"].image_id == by_name["0001.png"].image_id


def test_an_import_that_was_stopped_sends_nothing_twice_when_it_is_started_again(serve: Serve) -> None:
    shelf = Shelf()
    server = shelf.serve(serve)
    files = [file(f"{n}.png", b"content %d" % n) for n in range(3000)]
    with client_of(server) as client:
        results = import_images(client.services, PROJECT, files, workers=2)
        seen = [next(results) for _ in range(600)]
        results.close()  # type: ignore[attr-defined]  # a generator
    assert all(one.outcome is Outcome.ADDED for one in seen)
    sent_before = settled(lambda: sum(len(batch.images) for batch in shelf.batches))
    assert 600 <= sent_before < 3000
    again = run(server, files)
    assert sum(len(batch.images) for batch in shelf.batches) == 3000
    assert sum(one.outcome is Outcome.ADDED for one in again) == 3000 - sent_before
    assert {one.image_id for one in again} == set(shelf.contents.values())


def test_no_batch_is_larger_than_one_call_takes(serve: Serve) -> None:
    shelf = Shelf()
    server = shelf.serve(serve)
    sizes = [10_000_000, 9_000_000, 8_000_000, 5, 16_777_216, 16_777_216, 1] + [1] * 1100
    run(server, [file(f"{n:05}" * 20, bytes([n % 251 + 1]) * size + b"%d" % n) for n, size in enumerate(sizes) if size < MAX_FILE_BYTES])
    assert all(len(batch.images) <= 500 for batch in shelf.batches)
    assert all(batch.ByteSize() <= 24 * 1024 * 1024 for batch in shelf.batches)


def test_a_batch_that_a_slow_line_cannot_carry_in_time_goes_again_in_halves(serve: Serve) -> None:
    shelf = Shelf()

    def slow(request: images_pb2.AddImagesRequest, context: grpc.ServicerContext) -> Any:
        if len(request.images) > 3:
            return refuse(context, grpc.StatusCode.DEADLINE_EXCEEDED, "too slow")
        return shelf.add(request, context)

    server = serve({"ImageService.FindImages": shelf.find, "ImageService.AddImages": slow})
    results = run(server, [file(f"{n}.png", b"content %d" % n) for n in range(10)])
    assert all(result.outcome is Outcome.ADDED for result in results)
    assert max(len(batch.images) for batch in shelf.batches) <= 3


def test_a_refusal_of_the_whole_call_ends_the_import(serve: Serve) -> None:
    def refused(_: object, context: grpc.ServicerContext) -> Any:
        return refuse(context, grpc.StatusCode.PERMISSION_DENIED, "The key may not import.", reason="SCOPE_MISSING")

    with pytest.raises(PermissionDenied) as error:
        run(serve({"ImageService.FindImages": refused}), [file("a.png", b"x")])
    assert error.value.reason == "SCOPE_MISSING"


def test_closing_the_client_ends_an_import_whose_server_hangs(serve: Serve) -> None:
    reached, let_go = threading.Event(), threading.Event()

    def hang(_: object, context: grpc.ServicerContext) -> images_pb2.AddImagesResponse:
        reached.set()
        let_go.wait(20)
        return images_pb2.AddImagesResponse()

    server = serve({"ImageService.FindImages": Shelf().find, "ImageService.AddImages": hang})
    client = client_of(server)

    def close_when_reached() -> None:
        reached.wait(10)
        client.close()

    closing = threading.Thread(target=close_when_reached)
    closing.start()
    try:
        with pytest.raises(Cancelled):
            list(import_images(client.services, PROJECT, [file("a.png", b"x")]))
    finally:
        let_go.set()
        closing.join()


def test_a_source_that_breaks_is_one_refused_file(serve: Serve) -> None:
    def broken() -> bytes:
        raise SourceError("the archive is damaged")

    results = run(Shelf().serve(serve), [ImageFile("a.png", 1, broken), file("b.png", b"x")])
    assert [(one.outcome, one.problem) for one in results] == [
        (Outcome.REFUSED, "the file cannot be read: the archive is damaged"),
        (Outcome.ADDED, ""),
    ]


def test_names_are_cut_to_what_the_contract_takes(serve: Serve) -> None:
    shelf = Shelf()
    run(shelf.serve(serve), [file("folder/" * 300 + "\udce9.png", b"x")])
    assert len(shelf.batches[0].images[0].name) == 1024
    assert shelf.batches[0].images[0].name.endswith("/?.png")


@given(st.lists(st.integers(0, 120), max_size=200), st.integers(1, 100), st.integers(1, 20))
def test_batches_keep_order_and_bounds_and_lose_nothing(weights: list[int], limit: int, items: int) -> None:
    batches = list(by_weight(weights, lambda weight: weight, lambda: limit, items))
    assert [weight for batch in batches for weight in batch] == weights
    assert all(batch and len(batch) <= items and (sum(batch) <= limit or len(batch) == 1) for batch in batches)
    assert [one for batch in in_batches(weights, items) for one in batch] == weights


@given(st.lists(st.tuples(st.integers(0, MAX_BATCH_BYTES), st.floats(0, 100)), max_size=50))
def test_the_size_of_batches_stays_within_its_bounds_however_the_line_behaves(sent: list[tuple[int, float]]) -> None:
    pace = Pace()
    for size, seconds in sent:
        pace.sent(size, seconds)
        assert 256 * 1024 <= pace.batch_bytes() <= MAX_BATCH_BYTES


def test_batches_shrink_on_a_slow_line_and_grow_on_a_fast_one() -> None:
    slow, fast = Pace(), Pace()
    for _ in range(10):
        slow.sent(slow.batch_bytes(), 60.0)
        fast.sent(fast.batch_bytes(), 0.2)
    assert slow.batch_bytes() < 1_000_000
    assert fast.batch_bytes() == MAX_BATCH_BYTES
    assert MAX_BATCH_FILES == 500
