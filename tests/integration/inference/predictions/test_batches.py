"""Many inputs in one call or stream: each by itself, in order, stored in one go."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from google.rpc import error_details_pb2
from labelmesh.inference.v1 import predictions_pb2 as pre
from labelmesh_chassis.errors import InvalidArgument, MeshError, NotFound, ResourceExhausted, Unavailable
from labelmesh_chassis.identity import IDENTITY_HEADER

from tests.integration.inference.people import Person
from tests.integration.inference.predictions.questions import (
    NONE,
    best,
    choice,
    digit,
    jpeg,
    picture,
    png,
    predict_batch,
    stored,
    tensor,
)
from tests.integration.inference.service import until
from tests.support.identities import Signer

pytestmark = pytest.mark.usefixtures("digits")


def reason_in(item: pre.BatchItem) -> str:
    """The reason of a failed item, which has the details of an error of Predict."""
    assert item.WhichOneof("item") == "error", item
    info = error_details_pb2.ErrorInfo()
    assert item.error.details[0].Unpack(info) and info.domain == "labelmesh"
    return str(info.reason)


def stream(
    person: Person, messages: Iterator[pre.PredictStreamRequest] | list[pre.PredictStreamRequest]
) -> list[pre.PredictStreamResponse]:
    return list(person.predictions.PredictStream(iter(messages), metadata=person.metadata, timeout=60))


def first(*inputs: pre.Input, storage: pre.Storage.ValueType = NONE) -> pre.PredictStreamRequest:
    return pre.PredictStreamRequest(model=choice(), settings=pre.AnswerSettings(storage=storage, top_k=1), inputs=inputs)


# --- batches ---


def test_bad_images_in_a_batch_fail_alone_with_their_reasons(ada: Person) -> None:
    inputs = [
        picture(0.1),
        pre.Input(image=b"GIF89a not taken"),
        digit(0.3),
        pre.Input(tensor=tensor(np.zeros((5, 5, 1)))),
        pre.Input(image=jpeg()[:300]),
        pre.Input(object_url="/objects/elsewhere/x"),
        pre.Input(url="http://127.0.0.1/x.png"),
        picture(0.9),
    ]
    items = predict_batch(ada, inputs)
    reasons = [reason_in(items[place]) for place in (1, 3, 4, 5, 6)]
    assert reasons == ["FORMAT_NOT_ALLOWED", "WRONG_SHAPE", "TRUNCATED", "OBJECT_URL_REFUSED", "URL_REFUSED"]
    assert [best(items[place].prediction) for place in (0, 2, 7)] == ["1", "3", "9"]
    assert len(stored(ada)) == 3


def test_a_batch_of_nothing_but_bad_images_is_an_answer(ada: Person) -> None:
    assert {reason_in(item) for item in predict_batch(ada, [pre.Input(image=b"x")] * 3)} == {"NOT_AN_IMAGE"}


def test_answers_come_in_the_order_of_the_inputs_and_share_calls(ada: Person) -> None:
    marks = [number % 10 for number in range(300)]
    items = predict_batch(ada, [digit(mark / 10 + 0.05) for mark in marks])
    assert [int(best(item.prediction)) for item in items] == marks
    assert {item.prediction.batch_size for item in items} == {32, 300 % 32}


def test_what_is_wrong_with_all_fails_the_call(ada: Person) -> None:
    with pytest.raises(NotFound):
        predict_batch(ada, [digit(0.1)], "nobodys")
    with pytest.raises(NotFound):
        predict_batch(ada, [digit(0.1)], version=9)


def test_inputs_of_more_than_24_mebibytes_are_refused(ada: Person) -> None:
    with pytest.raises(InvalidArgument) as caught:
        predict_batch(ada, [pre.Input(image=bytes(13 * 1024 * 1024))] * 2)
    assert caught.value.reason == "TOO_LARGE"


def test_pictures_of_different_sizes_go_together(ada: Person) -> None:
    items = predict_batch(ada, [pre.Input(image=png(0.05 + number / 10, (20 + number, 50 - number))) for number in range(10)])
    assert [best(item.prediction) for item in items] == [str(number) for number in range(10)]


# --- streams ---


def test_a_stream_is_answered_in_order_with_the_places_of_its_items(ada: Person) -> None:
    groups = [[number % 10 for number in range(start, start + size)] for start, size in ((0, 5), (5, 1), (6, 40), (46, 3))]
    messages = [first(), *(pre.PredictStreamRequest(inputs=[digit(mark / 10 + 0.05) for mark in group]) for group in groups)]
    replies = stream(ada, messages)
    assert [reply.first_index for reply in replies] == [0, 5, 6, 46]
    assert [[int(best(item.prediction)) for item in reply.items] for reply in replies] == groups


def test_inputs_may_come_with_the_first_message_and_a_bad_one_fails_alone(ada: Person) -> None:
    replies = stream(ada, [first(digit(0.25)), pre.PredictStreamRequest(inputs=[pre.Input(image=b"x"), digit(0.45)])])
    assert best(replies[0].items[0].prediction) == "2"
    assert reason_in(replies[1].items[0]) == "NOT_AN_IMAGE" and best(replies[1].items[1].prediction) == "4"


def test_every_answer_of_a_stream_is_stored_unless_it_is_not_wanted(ada: Person) -> None:
    replies = stream(ada, [first(storage=pre.STORAGE_UNSPECIFIED), *[pre.PredictStreamRequest(inputs=[digit(0.1)] * 50)] * 4])
    ids = {item.prediction.id for reply in replies for item in reply.items}
    assert len(ids) == 200 and {each.id for each in stored(ada, page_size=100)} == ids
    stream(ada, [first(), pre.PredictStreamRequest(inputs=[digit(0.1)] * 5)])
    assert len(stored(ada, page_size=500)) == 200


def test_a_stream_answers_before_it_is_asked_more(ada: Person) -> None:
    """A client that waits for each answer is not left waiting."""
    answered: list[pre.PredictStreamResponse] = []
    more = threading.Semaphore(1)

    def messages() -> Iterator[pre.PredictStreamRequest]:
        yield first()
        for number in range(5):
            assert more.acquire(timeout=10)
            yield pre.PredictStreamRequest(inputs=[digit(number / 10 + 0.05)])

    for reply in ada.predictions.PredictStream(messages(), metadata=ada.metadata, timeout=30):
        answered.append(reply)
        more.release()
    assert [best(reply.items[0].prediction) for reply in answered] == ["0", "1", "2", "3", "4"]


def test_a_stream_that_does_not_name_its_model_is_refused(ada: Person) -> None:
    with pytest.raises(InvalidArgument) as caught:
        stream(ada, [pre.PredictStreamRequest(inputs=[digit(0.1)])])
    assert caught.value.reason == "MODEL_MISSING"
    with pytest.raises(NotFound):
        stream(ada, [pre.PredictStreamRequest(model=choice("nobodys"))])
    assert stream(ada, []) == []


def test_a_message_that_breaks_the_contracts_rules_ends_the_stream(ada: Person) -> None:
    with pytest.raises(InvalidArgument) as caught:
        stream(ada, [first(digit(0.1)), pre.PredictStreamRequest(inputs=[pre.Input()])])
    assert caught.value.reason == "INVALID_FIELDS"


def test_a_stream_ends_with_its_callers_identity_and_says_so(ada: Person, signer: Signer) -> None:
    done = threading.Event()

    def messages() -> Iterator[pre.PredictStreamRequest]:
        yield first(digit(0.1))
        done.wait(30)

    metadata = ((IDENTITY_HEADER, signer.sign(ada.identity, lifetime_s=2)),)
    started, answered = time.monotonic(), 0
    with pytest.raises(Unavailable) as caught:
        for reply in ada.predictions.PredictStream(messages(), metadata=metadata, timeout=60):
            answered += len(reply.items)
    done.set()
    assert caught.value.reason == "STREAM_RENEW" and answered == 1 and time.monotonic() - started < 10


def test_no_more_streams_are_served_than_leave_workers_for_other_calls(ada: Person) -> None:
    held: list[threading.Event] = []
    threads: list[threading.Thread] = []
    running = threading.Semaphore(0)

    def hold(done: threading.Event) -> None:
        def messages() -> Iterator[pre.PredictStreamRequest]:
            yield first(digit(0.1))
            done.wait(30)

        for _ in ada.predictions.PredictStream(messages(), metadata=ada.metadata, timeout=60):
            running.release()

    for _ in range(8):
        held.append(threading.Event())
        threads.append(threading.Thread(target=hold, args=(held[-1],)))
        threads[-1].start()
        assert running.acquire(timeout=20)
    with pytest.raises(ResourceExhausted) as caught:
        stream(ada, [first(digit(0.1))])
    assert caught.value.reason == "TOO_MANY_STREAMS"
    assert best(predict_batch(ada, [digit(0.2)])[0].prediction) == "2"
    for done in held:
        done.set()
    for thread in threads:
        thread.join(20)
    assert len(stream(ada, [first(digit(0.1))])) == 1


def test_a_client_that_leaves_a_stream_leaves_nothing_behind(ada: Person) -> None:
    def run() -> None:
        def messages() -> Iterator[pre.PredictStreamRequest]:
            yield first(digit(0.1))
            time.sleep(30)

        call = ada.predictions.PredictStream(messages(), metadata=ada.metadata, timeout=60)
        next(call)
        call.cancel()

    for _ in range(12):
        threading.Thread(target=run, daemon=True).start()
        time.sleep(0.05)

    def quiet() -> bool:
        try:
            return len(stream(ada, [first(digit(0.1))])) == 1
        except MeshError:
            return False

    until(quiet)
    until(lambda: not any(thread.name == "stream-reader" for thread in threading.enumerate()))
