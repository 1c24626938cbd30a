"""Streams: in order, bounded, with an error for each bad picture and none for the others."""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from labelmesh.augment.v1 import augmentations_pb2 as aug
from labelmesh_augment.augmenting.streaming import MOST_JOBS
from labelmesh_chassis.errors import InvalidArgument, ResourceExhausted, Unavailable, from_status
from labelmesh_chassis.identity import IDENTITY_HEADER

from tests.integration.augment.service import pictures
from tests.integration.augment.service.conftest import StartAugment
from tests.integration.augment.service.people import Person, new_id, pipeline, sample
from tests.integration.augment.service.service import Augment, until
from tests.integration.labeling.people import Person as Labeler

FLIP = pipeline("horizontal_flip")
RANDOM = pipeline({"transform": "horizontal_flip", "probability": 0.5}, "rotate", "colour_jitter")
SLOW = pipeline({"transform": "gaussian_blur", "parameters": {"sigma": [20, 20]}}, "clahe", "elastic", "gaussian_noise")


def item(image: bytes, *copies: int, **more: Any) -> aug.StreamItem:
    return aug.StreamItem(sample=sample(image), copies=copies, **more)


def test_results_come_in_order_however_long_each_takes(ada: Person) -> None:
    large, small = pictures.jpeg(900, 900), [pictures.jpeg(seed=seed) for seed in range(5)]
    images = [large if number % 7 == 0 else small[number % 5] for number in range(60)]
    results = list(ada.stream(images, SLOW, seed=3, a_message=5))
    assert [result.index for result in results] == list(range(60))
    assert [result.augmented.input_sha256 for result in results] == [hashlib.sha256(image).hexdigest() for image in images]


@pytest.mark.parametrize("a_message", [1, 7, 256])
def test_a_stream_makes_what_apply_makes(ada: Person, a_message: int) -> None:
    images = [pictures.jpeg(seed=seed) for seed in range(9)]
    results = list(ada.stream([item(image, 0, 5) for image in images], RANDOM, seed=8, a_message=a_message))
    assert [(result.index, result.copy) for result in results] == [(index, copy) for index in range(9) for copy in (0, 5)]
    for result in results:
        assert result.augmented == ada.apply(images[result.index], RANDOM, seed=8, copy=result.copy)


def test_copies_that_are_not_named_mean_the_first(ada: Person) -> None:
    assert [(result.index, result.copy) for result in ada.stream([pictures.png()] * 2, FLIP)] == [(0, 0), (1, 0)]


def test_many_copies_of_one_picture_are_shared_out_and_come_in_order(ada: Person) -> None:
    results = list(ada.stream([item(pictures.jpeg(600, 600), *range(100))], RANDOM, seed=1))
    assert [result.copy for result in results] == list(range(100))
    assert len({result.augmented.image for result in results}) > 90


def test_a_bad_picture_is_an_error_of_its_own_with_the_same_details(ada: Person, project: str) -> None:
    further = [sample(b"nothing")]
    sources = [
        item(pictures.jpeg()),
        item(b"not a picture", 0, 1),
        item(pictures.png()),
        item(pictures.jpeg(400, 400)[:-5000]),
        aug.StreamItem(sample=aug.Sample(source=aug.Source(url="http://127.0.0.1/x.png"))),
        aug.StreamItem(sample=aug.Sample(source=aug.Source(project_image=aug.ProjectImage(project_id=project, image_id=new_id())))),
        item(pictures.png(), further=further),
        item(pictures.jpeg(seed=2)),
    ]
    results = list(ada.stream(sources, RANDOM, a_message=3))
    reasons = [(result.index, result.copy, from_status(result.error).reason if result.HasField("error") else "") for result in results]
    assert reasons == [
        (0, 0, ""),
        (1, 0, "NOT_AN_IMAGE"),
        (1, 1, "NOT_AN_IMAGE"),
        (2, 0, ""),
        (3, 0, "TRUNCATED"),
        (4, 0, "URL_REFUSED"),
        (5, 0, "IMAGE_NOT_FOUND"),
        (6, 0, "NOT_AN_IMAGE"),
        (7, 0, ""),
    ]


def test_pictures_that_are_fetched_keep_their_places(ada: Person, labeling_manager: Labeler, project: str) -> None:
    images = [pictures.png(seed=seed) for seed in range(20)]
    added = labeling_manager.add(project, *images)
    items = []
    for number, (image, result) in enumerate(zip(images, added, strict=True)):
        project_image = aug.ProjectImage(project_id=project, image_id=result.image.id)
        source = [aug.Source(project_image=project_image), aug.Source(object_url=result.image.url), aug.Source(image=image)][number % 3]
        items.append(aug.StreamItem(sample=aug.Sample(source=source)))
    results = list(ada.stream(items, FLIP, a_message=4))
    assert [result.augmented.input_sha256 for result in results] == [hashlib.sha256(image).hexdigest() for image in images]


def test_answers_come_while_the_client_still_has_more_to_say(ada: Person, labeling_manager: Labeler, project: str) -> None:
    (added,) = labeling_manager.add(project, pictures.png())
    for sent in (item(pictures.png()), aug.StreamItem(sample=aug.Sample(source=aug.Source(object_url=added.image.url)))):
        waiting: queue.Queue[aug.StreamItem | None] = queue.Queue()
        results = ada.stream(iter(waiting.get, None), FLIP)
        for index in range(3):
            waiting.put(sent)
            assert next(results).index == index
        waiting.put(None)
        assert list(results) == []


def test_several_small_results_are_one_message_and_large_ones_are_not(ada: Person) -> None:
    def sizes(image: bytes, count: int) -> list[int]:
        request = aug.ApplyStreamRequest(pipeline=FLIP, items=[item(image)] * count)
        answers = ada.augmentations.ApplyStream(iter([request]), metadata=ada.metadata, timeout=60)
        return [answer.ByteSize() for answer in answers]

    assert len(sizes(pictures.jpeg(), 200)) < 150
    large = sizes(pictures.noise(1200, 1200), 6)
    assert sum(large) > 20_000_000
    assert max(large) < 4 * 1024 * 1024 + 5_000_000


def test_a_client_that_does_not_read_stops_the_server_from_reading(start_augment: StartAugment) -> None:
    service = start_augment(workers=2)
    until(lambda: service.metric("workers_up") == 2)
    person = service.door.person()
    image = pictures.noise(400, 400)
    sent = 0

    def messages() -> Iterator[aug.ApplyStreamRequest]:
        nonlocal sent
        yield aug.ApplyStreamRequest(pipeline=FLIP)
        for _ in range(400):
            sent += 1
            yield aug.ApplyStreamRequest(items=[item(image)])

    answers = person.augmentations.ApplyStream(messages(), metadata=person.metadata, timeout=60)
    last = -1
    while sent != last:
        last = sent
        time.sleep(1)
    # What is in work, in the buffers of the two channels, and one message in each hand.
    assert sent < MOST_JOBS + 2 * 64
    done = service.metric('worker_jobs_total{outcome="done"}')
    assert done <= sent
    assert service.metric("worker_jobs_waiting") == 0
    results = [result.index for answer in answers for result in answer.results]
    assert results == list(range(400))


def test_a_stream_of_one_caller_leaves_others_their_turn(start_augment: StartAugment) -> None:
    service = start_augment(workers=1)
    until(lambda: service.metric("workers_up") == 1)
    busy, other = service.door.person(), service.door.person()
    stopped = threading.Event()

    def endless() -> Iterator[bytes]:
        image = pictures.jpeg(300, 300)
        while not stopped.is_set():
            yield image

    done: list[int] = []
    thread = threading.Thread(target=lambda: done.extend(result.index for result in busy.stream(endless(), SLOW)))
    thread.start()
    until(lambda: service.metric("worker_jobs_waiting") > 10)
    before = service.metric('worker_jobs_total{outcome="done"}')
    for _ in range(3):
        other.apply(pictures.jpeg(), FLIP)
    after = service.metric('worker_jobs_total{outcome="done"}')
    stopped.set()
    thread.join(timeout=60)
    # Not behind the ten and more that were waiting, each time.
    assert after - before <= 3 * 3 + 6
    assert done == list(range(len(done)))


def test_a_stream_ends_before_its_callers_identity_does_and_goes_on_where_it_was(augment: Augment, ada: Person) -> None:
    images = [pictures.jpeg(seed=seed) for seed in range(6)]
    expected = [ada.apply(image, RANDOM, seed=2).image for image in images]

    def slowly(start: int) -> Iterator[aug.ApplyStreamRequest]:
        yield aug.ApplyStreamRequest(pipeline=RANDOM, seed=2)
        for image in images[start:]:
            yield aug.ApplyStreamRequest(items=[item(image)])
            time.sleep(0.7)

    answered: list[bytes] = []
    renewed = 0
    for _ in range(10):
        short = ((IDENTITY_HEADER, ada._signer.sign(ada.identity, lifetime_s=4)),)
        try:
            for answer in ada.augmentations.ApplyStream(slowly(len(answered)), metadata=short, timeout=60):
                answered += [result.augmented.image for result in answer.results]
            break
        except Unavailable as ended:
            renewed += ended.reason == "STREAM_RENEW"
    assert answered == expected
    assert renewed >= 1


def test_a_stream_that_is_idle_ends_in_time(ada: Person) -> None:
    waiting: queue.Queue[aug.StreamItem | None] = queue.Queue()
    began = time.monotonic()
    waiting.put(item(pictures.png()))
    with pytest.raises(Unavailable) as ended:
        list(ada.stream(iter(waiting.get, None), FLIP, timeout=4))
    waiting.put(None)
    assert ended.value.reason == "STREAM_RENEW"
    assert 2 < time.monotonic() - began < 4


def test_only_so_many_streams_at_once(start_augment: StartAugment) -> None:
    service = start_augment(workers=1, streams=1)
    person = service.door.person()
    waiting: queue.Queue[aug.StreamItem | None] = queue.Queue()
    waiting.put(item(pictures.png()))
    first = person.stream(iter(waiting.get, None), FLIP)
    next(first)
    with pytest.raises(ResourceExhausted) as busy:
        list(person.stream([pictures.png()], FLIP))
    assert busy.value.reason == "TOO_MANY_STREAMS"
    waiting.put(None)
    assert list(first) == []
    assert len(list(person.stream([pictures.png()], FLIP))) == 1


def test_a_client_that_goes_away_leaves_nothing_waiting(start_augment: StartAugment) -> None:
    service = start_augment(workers=1, streams=1)
    until(lambda: service.metric("workers_up") == 1)
    person = service.door.person()
    request = aug.ApplyStreamRequest(pipeline=SLOW, items=[item(pictures.jpeg(700, 700))] * 50)
    call = person.augmentations.ApplyStream(iter([request]), metadata=person.metadata, timeout=60)
    until(lambda: service.metric("worker_jobs_waiting") > 5)
    call.cancel()
    until(lambda: service.metric("worker_weight") == 0, timeout_s=5)
    until(lambda: service.metric("grpc_server_in_flight") == 0, timeout_s=5)
    assert len(list(person.stream([pictures.png()], FLIP))) == 1


def test_the_first_message_names_the_pipeline(ada: Person) -> None:
    request = aug.ApplyStreamRequest(items=[item(pictures.png())])
    with pytest.raises(InvalidArgument, match="PIPELINE_MISSING"):
        list(ada.augmentations.ApplyStream(iter([request]), metadata=ada.metadata, timeout=20))
    assert list(ada.augmentations.ApplyStream(iter([]), metadata=ada.metadata, timeout=20)) == []


def test_a_message_that_is_against_the_contract_ends_the_stream_after_what_came_before(ada: Person) -> None:
    good = aug.ApplyStreamRequest(pipeline=FLIP, items=[item(pictures.png())])
    bad = aug.ApplyStreamRequest(items=[item(pictures.png(), -1)])
    seen = []
    with pytest.raises(InvalidArgument, match="INVALID_FIELDS"):
        for answer in ada.augmentations.ApplyStream(iter([good, bad]), metadata=ada.metadata, timeout=20):
            seen += [result.index for result in answer.results]
    assert seen == [0]


def test_the_pipeline_of_later_messages_is_ignored(ada: Person) -> None:
    requests = [aug.ApplyStreamRequest(pipeline=how, items=[item(pictures.png())]) for how in (FLIP, pipeline("invert"))]
    answers = list(ada.augmentations.ApplyStream(iter(requests), metadata=ada.metadata, timeout=20))
    images = [result.augmented.image for answer in answers for result in answer.results]
    assert images[0] == images[1]
