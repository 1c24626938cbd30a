"""A project of a real labeling service is scored: suggestions once for each version, the most doubtful image first in the queue."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import numpy as np
import pytest
from labelmesh.inference.v1 import manifests_pb2 as man
from labelmesh.inference.v1 import predictions_pb2 as pre
from labelmesh.inference.v1 import scoring_pb2
from labelmesh.labeling.v1 import annotations_pb2 as ann
from labelmesh.labeling.v1 import images_pb2 as img
from labelmesh.labeling.v1 import projects_pb2 as prj
from labelmesh_chassis.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, Unavailable
from labelmesh_chassis.identity import IDENTITY_HEADER, Role
from labelmesh_inference.access import Caller
from labelmesh_inference.labeling.images import AwaitingImage, ImagePage, Suggestion
from labelmesh_inference.manifest import ClassesOutput, InputKind, InputSpec, ModelManifest
from labelmesh_inference.predictions.predicting import Choice, Group
from labelmesh_inference.predictions.results import Classification, ClassScore
from labelmesh_inference.predictions.storage import Origin
from labelmesh_inference.registry.registry import Target
from labelmesh_inference.scoring.scoring import Order, Scoring
from labelmesh_inference.serving.values import Signature
from minio import Minio

from tests.integration.inference.conftest import StartInference
from tests.integration.inference.people import Person, new_id
from tests.integration.inference.predictions.questions import best, choice, look_up, pixel_manifest, png, predict
from tests.integration.inference.predictions.stand_in import StandIn
from tests.integration.inference.service import Inference
from tests.integration.labeling.people import Person as Labeler
from tests.integration.labeling.service import Labeling
from tests.integration.labeling.service import migrate_database as migrate_labeling
from tests.support.databases import FreshDatabases
from tests.support.identities import Signer
from tests.support.stores import StoreAddress

# One digit each, and one that is brighter than any: the tiny digits are as sure of all of them.
BRIGHTNESS = [0.05, 0.25, 0.45, 0.65, 0.95]


@pytest.fixture
def labeling(fresh_database: FreshDatabases, object_store_settings: StoreAddress, signer: Signer) -> Iterator[Labeling]:
    """A labeling service over the same object storage."""
    believed: Any = signer
    service = Labeling(fresh_database("labeling", migrate_labeling), object_store_settings, believed)
    yield service
    service.close()


@pytest.fixture
def inference(start_inference: StartInference, labeling: Labeling) -> Inference:
    return start_inference(labeling=labeling.target)


@pytest.fixture
def manager(inference: Inference) -> Person:
    person = inference.door.person(Role.MANAGER)
    for version in (1, 2):
        assert person.register(version=version).passed
    return person


@pytest.fixture
def labeler(labeling: Labeling, manager: Person) -> Labeler:
    """The manager, at labeling's door."""
    return labeling.door.person(Role.MANAGER, user_id=manager.id)


@pytest.fixture
def project(labeler: Labeler) -> str:
    made = labeler.create_project(repeat_rate=0)
    labeler.add(made.id, *(png(brightness, (28, 28)) for brightness in BRIGHTNESS))
    return made.id


def score(person: Person, project: str, **how: Any) -> list[scoring_pb2.ScoreProjectResponse]:
    metadata = how.pop("metadata", person.metadata)
    request = scoring_pb2.ScoreProjectRequest(project_id=project, **{"model": choice(), "suggest": True, "order": True, **how})
    return list(person.scoring.ScoreProject(request, metadata=metadata, timeout=60))


def suggestions(labeler: Labeler, project: str) -> list[tuple[str, str, str]]:
    """Image, class and version of every label of a machine."""
    return [
        (found.image_id, found.class_id, found.model_version)
        for found in labeler.labels(project, author_kind=ann.AUTHOR_KIND_MACHINE)
        if found.model == "digits"
    ]


def test_a_projects_images_get_suggestions_and_their_place_in_the_queue(manager: Person, labeler: Labeler, project: str) -> None:
    replies = score(manager, project)
    last = replies[-1]
    assert last.done and (last.scored_count, last.failed_count, last.unknown_class_count, last.awaiting_count) == (5, 0, 0, 5)
    assert (last.model, last.version) == ("digits", 1) and 0 < last.mean_doubt < 0.1
    found = suggestions(labeler, project)
    assert [(class_id, version) for _, class_id, version in found] == [("0", "1"), ("2", "1"), ("4", "1"), ("6", "1"), ("9", "1")]
    scores = {round(label.score, 2) for label in labeler.labels(project, author_kind=ann.AUTHOR_KIND_MACHINE)}
    assert scores == {0.98}
    images = labeler.images.ListImages(img.ListImagesRequest(project_id=project), metadata=labeler.metadata).images
    assert all(image.priority == pytest.approx(last.mean_doubt, abs=0.01) for image in images)


def test_scored_again_a_versions_suggestion_stands_once_and_another_versions_beside_it(
    manager: Person, labeler: Labeler, project: str
) -> None:
    for _ in range(2):
        score(manager, project)
    assert len(suggestions(labeler, project)) == 5
    score(manager, project, model=choice(version=2))
    found = suggestions(labeler, project)
    assert len(found) == 10 and {(class_id, version) for _, class_id, version in found[5:]} == {
        ("1", "2"),
        ("3", "2"),
        ("5", "2"),
        ("7", "2"),
        ("0", "2"),
    }


def test_images_that_came_later_get_their_suggestions_and_the_others_no_second_one(manager: Person, labeler: Labeler, project: str) -> None:
    score(manager, project)
    labeler.add(project, png(0.35, (28, 29)))
    assert score(manager, project)[-1].scored_count == 6
    images = [image for image, _, _ in suggestions(labeler, project)]
    assert len(images) == len(set(images)) == 6


class Notes:
    """Labeling with five images, slow to take suggestions, that remembers all of them."""

    def __init__(self) -> None:
        self.images = [AwaitingImage(UUID(int=number), "", 100) for number in range(5)]
        self.taken: list[UUID] = []

    def classes(self, project_id: UUID) -> dict[str, str]:
        return {"yes": "yes"}

    def awaiting(self, project_id: UUID, size: int, token: str) -> ImagePage:
        start = int(token or 0)
        more = str(start + size) if start + size < len(self.images) else ""
        return ImagePage(tuple(self.images[start : start + size]), more)

    def awaiting_count(self, project_id: UUID) -> int:
        return len(self.images)

    def suggested(self, project_id: UUID, image_id: UUID, model: str, version: int) -> bool:
        return image_id in self.taken

    def suggest(self, project_id: UUID, request_id: UUID, model: str, version: int, suggestions: Sequence[Suggestion]) -> None:
        time.sleep(0.05)
        self.taken += [found.image_id for found in suggestions]

    def prioritize(self, project_id: UUID, priorities: Mapping[UUID, float]) -> None:
        """Nobody looks."""


class Sure:
    """Says yes to everything."""

    def target(self, caller: Caller, choice: Choice) -> Target:
        manifest = ModelManifest("m", InputSpec(InputKind.PIXELS), ClassesOutput())
        return Target("m", 1, "", manifest, Signature("s", {}, {}))

    def many(self, caller: Caller, target: Target, sources: Sequence[object], wish: object, *, patient: bool) -> Group:
        origin = Origin("m", "", caller.user_id, datetime.now(UTC))
        return Group(origin, [], [Classification((ClassScore("yes", 0, 1.0),), 0.0) for _ in sources])


def test_two_that_ask_about_different_parts_at_once_write_no_suggestion_twice(inference: Inference) -> None:
    notes, sure = Notes(), cast(Any, Sure())
    caller = Caller(uuid4(), uuid4(), is_machine=False, is_manager=True, scopes=frozenset())
    order = Order(uuid4(), Choice("m"), suggest=True, order=True)
    scorings = [Scoring(inference.database, notes, sure, page=page) for page in (5, 3)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda scoring: list(scoring.run(caller, order, "", time.monotonic() + 60)), scorings))
    for scoring in scorings:
        scoring.close()
    assert len(notes.taken) == len(set(notes.taken)) == 5


def test_scored_by_several_at_once_a_versions_suggestion_stands_once(manager: Person, labeler: Labeler, project: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: score(manager, project), range(4)))
    assert len(suggestions(labeler, project)) == 5


def test_only_what_was_asked_for_is_written(manager: Person, labeler: Labeler, project: str) -> None:
    score(manager, project, suggest=False)
    assert suggestions(labeler, project) == []
    other = labeler.create_project(repeat_rate=0).id
    labeler.add(other, png(0.3))
    score(manager, other, order=False)
    assert len(suggestions(labeler, other)) == 1
    (image,) = labeler.images.ListImages(img.ListImagesRequest(project_id=other), metadata=labeler.metadata).images
    assert image.priority == 0


def test_the_image_that_the_model_doubts_most_comes_first(start_inference: StartInference, labeling: Labeling, project: str) -> None:
    with StandIn(shape=(-1, 1, 1, 1)) as server:
        # As sure as the picture is light.
        server.model = lambda inputs: {"y": np.stack([inputs["x"][:, 0, 0, 0], 1 - inputs["x"][:, 0, 0, 0]], axis=1)}
        manager = start_inference(server.target, labeling=labeling.target).door.person(Role.MANAGER)
        labeler = labeling.door.person(Role.MANAGER, user_id=manager.id)
        sized = man.InputSpec(kind=man.INPUT_KIND_PIXELS, width=1, height=1, color=man.COLOR_MODE_GRAY, scale=1 / 255)
        manifest = man.ModelManifest(model="m", input=sized, classes=man.ClassesOutput(tensor="y"), labels=["0", "1"])
        assert manager.register(manifest).passed
        last = score(manager, project, model=choice("m"), suggest=False)[-1]
        doubts = [1 - abs(2 * brightness - 1) for brightness in BRIGHTNESS]
        assert last.mean_doubt == pytest.approx(sum(doubts) / len(doubts), abs=0.01)
        images = labeler.images.ListImages(img.ListImagesRequest(project_id=project), metadata=labeler.metadata).images
        assert [image.priority for image in images] == pytest.approx(doubts, abs=0.01)
        for _ in BRIGHTNESS:
            labeler.lease(project)
        leased = [str(row.image_id) for row in labeling.sql("SELECT image_id FROM leases ORDER BY acquired_at")]
        assert leased == [images[place].id for place in (2, 3, 1, 0, 4)]


def test_labeled_images_are_not_asked_about(manager: Person, labeler: Labeler, project: str) -> None:
    labeler.submit(labeler.lease(project), "3")
    last = score(manager, project)[-1]
    assert (last.scored_count, last.awaiting_count) == (4, 4) and len(suggestions(labeler, project)) == 4


def test_a_model_with_classes_that_the_project_lacks(manager: Person, labeler: Labeler) -> None:
    few = labeler.create_project(classes=3, repeat_rate=0).id
    labeler.add(few, png(0.05), png(0.25), png(0.95))
    last = score(manager, few)[-1]
    assert (last.scored_count, last.unknown_class_count) == (3, 1) and len(suggestions(labeler, few)) == 2
    strange = labeler.projects.CreateProject(
        prj.CreateProjectRequest(request_id=new_id(), display_name="Animals", classes=[prj.LabelClass(id="cat"), prj.LabelClass(id="dog")]),
        metadata=labeler.metadata,
    ).project
    labeler.add(strange.id, png(0.05))
    with pytest.raises(FailedPrecondition) as caught:
        score(manager, strange.id)
    assert caught.value.reason == "NO_CLASS_IN_COMMON"
    assert score(manager, strange.id, suggest=False)[-1].scored_count == 1


def test_a_class_may_be_known_by_its_name(manager: Person, labeler: Labeler) -> None:
    named = labeler.projects.CreateProject(
        prj.CreateProjectRequest(
            request_id=new_id(), display_name="Named", classes=[prj.LabelClass(id=f"class-{n}", display_name=str(n)) for n in range(10)]
        ),
        metadata=labeler.metadata,
    ).project
    labeler.add(named.id, png(0.35))
    score(manager, named.id)
    assert [class_id for _, class_id, _ in suggestions(labeler, named.id)] == ["class-3"]


def test_a_model_that_is_no_classifier_scores_nothing(manager: Person, project: str) -> None:
    manifest = pixel_manifest(
        "mask", input=man.InputSpec(kind=man.INPUT_KIND_PIXELS, color=man.COLOR_MODE_GRAY, scale=1 / 255), mask=man.MaskOutput()
    )
    assert manager.register(manifest).passed
    with pytest.raises(FailedPrecondition) as caught:
        score(manager, project, model=choice("mask"))
    assert caught.value.reason == "NOT_A_CLASSIFIER"


def test_an_image_whose_file_is_gone_fails_alone(
    manager: Person, labeler: Labeler, project: str, object_store_settings: StoreAddress
) -> None:
    client = Minio(object_store_settings.endpoint, object_store_settings.access_key, object_store_settings.secret_key, secure=False)
    gone = next(iter(client.list_objects(object_store_settings.bucket, prefix="images/", recursive=True)))
    client.remove_object(object_store_settings.bucket, gone.object_name or "")
    last = score(manager, project)[-1]
    assert (last.scored_count, last.failed_count) == (4, 1) and last.done


# --- in parts ---


def test_a_stream_that_ends_early_goes_on_at_its_cursor(manager: Person, labeler: Labeler, project: str, signer: Signer) -> None:
    labeler.add(project, *(png(number / 255, (28, 29)) for number in range(200)))
    done: list[scoring_pb2.ScoreProjectResponse] = []
    cursor = ""
    for _ in range(100):
        metadata = ((IDENTITY_HEADER, signer.sign(manager.identity, lifetime_s=60)),)
        request = scoring_pb2.ScoreProjectRequest(project_id=project, model=choice(), suggest=True, order=True, cursor=cursor)
        call = manager.scoring.ScoreProject(request, metadata=metadata, timeout=60)
        # The client leaves after one message.
        done.append(next(call))
        call.cancel()
        cursor = done[-1].cursor
        if done[-1].done:
            break
    assert done[-1].done and done[-1].scored_count == 205 and len(done) > 2
    assert [reply.scored_count for reply in done] == sorted({reply.scored_count for reply in done})
    images = [image for image, _, _ in suggestions(labeler, project)]
    assert len(images) == len(set(images)) == 205


def test_a_stream_ends_before_its_callers_identity_and_says_so(manager: Person, labeler: Labeler, project: str, signer: Signer) -> None:
    labeler.add(project, *(png(number % 200 / 255, (28, 30 + number // 200)) for number in range(450)))
    metadata = ((IDENTITY_HEADER, signer.sign(manager.identity, lifetime_s=1)),)
    replies: list[scoring_pb2.ScoreProjectResponse] = []
    request = scoring_pb2.ScoreProjectRequest(project_id=project, model=choice(), suggest=True)
    with pytest.raises(Unavailable) as caught:
        for reply in manager.scoring.ScoreProject(request, metadata=metadata, timeout=60):
            replies.append(reply)
    assert caught.value.reason == "STREAM_RENEW"
    rest = score(manager, project, order=False, cursor=replies[-1].cursor if replies else "")
    assert rest[-1].done and rest[-1].scored_count == 455


def test_a_cursor_of_another_project_is_refused(manager: Person, labeler: Labeler, project: str) -> None:
    cursor = score(manager, project)[-1].cursor
    assert score(manager, project, cursor=cursor)[-1].done
    other = labeler.create_project(repeat_rate=0).id
    with pytest.raises(InvalidArgument):
        score(manager, other, cursor=cursor)


# --- who may ---


def test_scoring_is_for_managers_and_keys_with_the_scopes_for_what_they_ask(inference: Inference, manager: Person, project: str) -> None:
    with pytest.raises(PermissionDenied):
        score(inference.door.person(), project)
    for scopes, missing in (
        (["inference.predict"], "labeling.read"),
        (["inference.predict", "labeling.read", "labeling.prioritize"], "labeling.annotate"),
        (["inference.predict", "labeling.read", "labeling.annotate"], "labeling.prioritize"),
    ):
        key = inference.door.person(Role.MANAGER, user_id=manager.id, scopes=scopes)
        with pytest.raises(PermissionDenied) as caught:
            score(key, project)
        assert caught.value.metadata["scope"] == missing
    reading = inference.door.person(Role.MANAGER, user_id=manager.id, scopes=["inference.predict", "labeling.read"])
    assert score(reading, project, suggest=False, order=False)[-1].scored_count == 5


def test_a_project_that_is_not_there_is_not_found(manager: Person) -> None:
    with pytest.raises(NotFound) as caught:
        score(manager, new_id())
    assert caught.value.reason == "PROJECT_NOT_FOUND"


def test_while_labeling_is_away_scoring_is_unavailable(manager: Person, labeling: Labeling, project: str) -> None:
    labeling.server.stop(lead_s=0, drain_s=0)
    with pytest.raises(Unavailable):
        score(manager, project)


# --- single images of a project ---


def test_an_image_of_a_project_is_predicted_with_its_callers_eyes(
    inference: Inference, manager: Person, labeler: Labeler, project: str
) -> None:
    (image, *_) = labeler.images.ListImages(img.ListImagesRequest(project_id=project), metadata=labeler.metadata).images
    asked = pre.Input(project_image=pre.ProjectImage(project_id=project, image_id=image.id))
    found = predict(manager, asked)
    assert best(found) == "0" and found.project_image == asked.project_image and found.input_sha256 == image.sha256
    assert found.timing.fetch.ToMicroseconds() > 0 and look_up(manager, found.id).project_image == asked.project_image
    closed = labeler.create_project(repeat_rate=0, access=prj.PROJECT_ACCESS_RESTRICTED).id
    hidden = labeler.add(closed, png(0.5))[0].image.id
    with pytest.raises(NotFound) as caught:
        predict(inference.door.person(), pre.Input(project_image=pre.ProjectImage(project_id=closed, image_id=hidden)))
    assert caught.value.reason == "PROJECT_NOT_FOUND"
