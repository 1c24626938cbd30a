"""Aliases, traffic and going back, with others at the same model at the same time."""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from labelmesh.inference.v1 import models_pb2 as mod
from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import Aborted, FailedPrecondition, InvalidArgument, MeshError, NotFound
from labelmesh_inference.access import Caller
from labelmesh_inference.registry.control import Change, RoutingControl
from labelmesh_inference.registry.registry import Registry
from labelmesh_inference.serving.client import ModelServer
from sqlalchemy import Connection

from tests.integration.inference.conftest import StartInference
from tests.integration.inference.people import Person, digits_manifest, new_id
from tests.support.serving import ServedModels


@pytest.fixture
def digits(manager: Person) -> str:
    """Three versions; stable is 1."""
    for version in (1, 2, 3):
        manager.register(version=version)
    return "digits"


def aliases(routing: mod.Routing) -> dict[str, int]:
    return {alias.name: alias.version for alias in routing.aliases}


# --- changes ---


def test_every_change_is_a_revision_that_says_who_changed_what(manager: Person, digits: str) -> None:
    manager.set_alias("canary", 2)
    manager.set_traffic({"stable": 90, "canary": 10}, shadow=mod.Shadow(alias="canary", share=0.05))
    manager.set_alias("stable", 3)
    revisions = manager.revisions(page_size=3)
    assert [routing.revision for routing in revisions] == [4, 3, 2, 1]
    assert [routing.change for routing in revisions] == [
        "stable -> 3",
        "traffic stable 90, canary 10; shadow canary 5%",
        "canary -> 2",
        "stable -> 1",
    ]
    assert {routing.changed_by for routing in revisions} == {manager.id}
    assert aliases(revisions[0]) == {"stable": 3, "canary": 2}
    assert [(split.alias, split.weight) for split in revisions[0].splits] == [("stable", 90), ("canary", 10)]
    assert not revisions[3].HasField("shadow")


def test_what_changes_nothing_makes_no_revision(manager: Person, digits: str) -> None:
    assert manager.set_alias("stable", 1).revision == 1
    assert manager.set_traffic({}).revision == 1


def test_a_rollback_is_one_call_and_can_itself_be_undone(manager: Person, digits: str) -> None:
    manager.set_alias("canary", 2)
    manager.set_traffic({"stable": 1, "canary": 1})
    bad = manager.set_alias("stable", 3)
    back = manager.roll_back()
    assert (back.revision, back.change) == (5, "rolled back to revision 3")
    assert (aliases(back), list(back.splits)) == ({"stable": 1, "canary": 2}, list(bad.splits))
    assert aliases(manager.roll_back()) == aliases(bad)
    assert aliases(manager.roll_back(to_revision=1)) == {"stable": 1}
    assert manager.routing().revision == 7
    with pytest.raises(NotFound) as caught:
        manager.roll_back(to_revision=8)
    assert caught.value.reason == "REVISION_NOT_FOUND"


def test_a_model_that_was_never_changed_has_nothing_to_go_back_to(manager: Person) -> None:
    manager.register(version=1)
    with pytest.raises(FailedPrecondition) as caught:
        manager.roll_back()
    assert caught.value.reason == "NO_EARLIER_REVISION"


def test_going_back_to_a_version_that_is_gone_is_refused(manager: Person, model_server: ServedModels, model_name: str) -> None:
    model_server.publish("digits", 1, 2, name=model_name)
    deadline = time.monotonic() + 10
    while not manager.register(digits_manifest(model_name), 2).passed or not manager.register(digits_manifest(model_name), 1).passed:
        assert time.monotonic() < deadline
    manager.set_alias("stable", 1, model=model_name)
    model_server.withdraw(model_name, 2)
    caught: MeshError | None = None
    while caught is None and time.monotonic() < deadline:
        try:
            manager.roll_back(model=model_name)
            manager.roll_back(model=model_name)
        except FailedPrecondition as refusal:
            caught = refusal
    assert caught is not None
    assert (caught.reason, caught.metadata["version"]) == ("VERSION_NOT_AVAILABLE", "2")
    model_server.withdraw(model_name, 1)


def test_a_change_sent_again_is_made_once(manager: Person, digits: str) -> None:
    ids = [new_id() for _ in range(3)]
    manager.set_alias("canary", 2, request_id=ids[0])
    manager.set_traffic({"stable": 1, "canary": 1}, request_id=ids[1])
    manager.roll_back(request_id=ids[2])
    assert manager.set_alias("canary", 2, request_id=ids[0]).revision == 2
    assert manager.set_traffic({"stable": 1, "canary": 1}, request_id=ids[1]).revision == 3
    assert manager.roll_back(request_id=ids[2]).revision == 4
    assert manager.routing().revision == 4
    with pytest.raises(InvalidArgument) as caught:
        manager.set_traffic({"stable": 1}, request_id=ids[1])
    assert caught.value.reason == "REQUEST_ID_REUSED"


def test_an_alias_that_traffic_needs_stays_and_another_one_goes(manager: Person, digits: str) -> None:
    manager.set_alias("canary", 2)
    manager.set_alias("next", 3)
    manager.set_traffic({"stable": 9, "canary": 1})
    with pytest.raises(FailedPrecondition) as caught:
        manager.set_alias("canary", 0)
    assert caught.value.reason == "ALIAS_IN_USE"
    gone = manager.set_alias("next", 0)
    assert (aliases(gone), gone.change) == ({"stable": 1, "canary": 2}, "next removed")


@pytest.mark.parametrize(
    ("model", "alias", "version", "reason"),
    [
        ("nobodys", "canary", 1, "MODEL_NOT_FOUND"),
        ("nobodys", "canary", 0, "MODEL_NOT_FOUND"),
        ("digits", "canary", 7, "VERSION_NOT_FOUND"),
        ("digits", "canary", 0, "ALIAS_NOT_FOUND"),
    ],
)
def test_what_is_not_there_gets_no_alias(manager: Person, digits: str, model: str, alias: str, version: int, reason: str) -> None:
    with pytest.raises(NotFound) as caught:
        manager.set_alias(alias, version, model=model)
    assert caught.value.reason == reason
    with pytest.raises(NotFound):
        manager.models.ListRoutings(mod.ListRoutingsRequest(model="nobodys"), metadata=manager.metadata)


# --- at the same time ---


def test_of_two_people_who_change_what_both_looked_at_one_is_told_to_look_again(manager: Person, digits: str) -> None:
    looked_at = manager.routing().revision

    def change(weight: int) -> str:
        try:
            return str(manager.set_traffic({"stable": weight}, revision=looked_at).splits[0].weight)
        except Aborted as refusal:
            return f"{refusal.reason} {refusal.metadata['revision']}"

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(change, range(1, 9)))
    refused = f"REVISION_MISMATCH {looked_at + 1}"
    assert outcomes.count(refused) == 7
    (won,) = set(outcomes) - {refused}
    routing = manager.routing()
    assert (routing.revision, routing.splits[0].weight) == (looked_at + 1, int(won))


def test_changes_from_two_replicas_at_once_leave_no_gap_and_lose_nothing(
    manager: Person, digits: str, start_inference: StartInference
) -> None:
    doors = [manager, start_inference().door.person(manager.identity.role, user_id=manager.id)]

    def change(number: int) -> int:
        return doors[number % 2].set_alias(f"a{number}", 1 + number % 3).revision

    with ThreadPoolExecutor(8) as threads:
        made = sorted(threads.map(change, range(24)))
    assert made == list(range(2, 26))
    assert [routing.revision for routing in manager.revisions(page_size=10)] == list(range(25, 0, -1))
    assert aliases(manager.routing()) == {"stable": 1, **{f"a{number}": 1 + number % 3 for number in range(24)}}


def test_the_same_request_sent_eight_times_at_once_is_one_change(manager: Person, digits: str) -> None:
    request_id = new_id()
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: manager.set_alias("canary", 2, request_id=request_id), range(8)))
    assert {routing.revision for routing in made} == {2}
    assert manager.routing().revision == 2


# --- who gets which ---


class Replica:
    """The registry as a replica of the service has it, and its clock."""

    def __init__(self, url: str, target: str) -> None:
        self.database = Database(url, application_name="replica", pool_size=4)
        self.server = ModelServer(target)
        self.now = 1000.0
        self.registry = Registry(self.database, self.server, chance=random.Random(5), clock=lambda: self.now)
        self.control = RoutingControl(self.database, self.server, self.registry)

    def set_alias(self, alias: str, version: int) -> None:
        caller = Caller(uuid.uuid4(), uuid.uuid4(), is_machine=False, is_manager=True, scopes=frozenset())
        self.control.set_alias(Change(caller, uuid.uuid4(), "digits"), alias, version)

    def close(self) -> None:
        self.server.close()
        self.database.close()


@pytest.fixture
def replicas(inference_url: str, model_server: ServedModels) -> Iterator[list[Replica]]:
    both = [Replica(inference_url, model_server.target) for _ in range(2)]
    yield both
    for replica in both:
        replica.close()


def test_a_change_is_obeyed_by_the_next_call_here_and_within_a_second_elsewhere(digits: str, replicas: list[Replica]) -> None:
    here, there = replicas
    for version in (2, 3, 1, 2):
        assert there.registry.resolve("digits").version == here.registry.resolve("digits").version
        here.set_alias("stable", version)
        assert here.registry.resolve("digits").version == version
        there.now += 0.99
        assert there.registry.resolve("digits").version == version


def test_routings_are_read_twice_a_second_and_not_at_every_call(digits: str, replicas: list[Replica], manager: Person) -> None:
    here = replicas[0]
    here.registry.resolve("digits")
    manager.set_alias("stable", 2)
    here.now += 0.3
    assert here.registry.resolve("digits").version == 1
    here.now += 0.3
    assert here.registry.resolve("digits").version == 2


class Slow(Database):
    """A database from which an answer is on its way while `meanwhile` happens, once."""

    meanwhile: Callable[[], None] | None = None

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        with super().connection() as connection:
            yield connection
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()


def test_what_was_read_before_a_change_does_not_come_back_after_it(digits: str, replicas: list[Replica], inference_url: str) -> None:
    here = replicas[0]
    slow = Slow(inference_url, application_name="slow", pool_size=2)
    registry = Registry(slow, here.server)

    def change() -> None:
        here.set_alias("stable", 2)
        registry.forget("digits")

    slow.meanwhile = change
    assert registry.resolve("digits").version == 1
    assert registry.resolve("digits").version == 2
    slow.close()


def test_calls_with_the_same_key_get_the_same_version_on_every_replica_and_shares_hold(
    manager: Person, digits: str, replicas: list[Replica]
) -> None:
    manager.set_alias("canary", 2)
    manager.set_traffic({"stable": 75, "canary": 25})
    keys = [f"user {number}" for number in range(1000)]
    first, second = ([replica.registry.resolve("digits", sticky_key=key) for key in keys] for replica in replicas)
    assert [target.version for target in first] == [target.version for target in second]
    counts = Counter((target.alias, target.version) for target in first)
    assert counts.keys() == {("stable", 1), ("canary", 2)}
    assert abs(counts["canary", 2] - 250) < 70


def test_an_alias_or_a_version_is_what_was_asked_for(manager: Person, digits: str, replicas: list[Replica]) -> None:
    resolve = replicas[0].registry.resolve
    manager.set_alias("canary", 2)
    target = resolve("digits", alias="canary")
    assert (target.version, target.alias, target.manifest.labels[3], target.signature.name) == (2, "canary", "3", "serving_default")
    assert (resolve("digits", version=3).version, resolve("digits", version=3).alias) == (3, "")


@pytest.mark.parametrize(
    ("choice", "kind", "reason"),
    [
        (("nobodys", "", 0), NotFound, "MODEL_NOT_FOUND"),
        (("digits", "beta", 0), NotFound, "ALIAS_NOT_FOUND"),
        (("digits", "", 9), NotFound, "VERSION_NOT_FOUND"),
        (("digits", "", 2), FailedPrecondition, "NOT_REGISTERED"),
        (("digits", "stable", 1), InvalidArgument, "CHOICE_AMBIGUOUS"),
    ],
)
def test_a_choice_that_leads_nowhere_is_refused_with_its_reason(
    manager: Person, replicas: list[Replica], choice: tuple[str, str, int], kind: type[MeshError], reason: str
) -> None:
    manager.register(version=1)
    with pytest.raises(kind) as caught:
        replicas[0].registry.resolve(*choice)
    assert caught.value.reason == reason


def test_a_share_of_the_calls_that_traffic_decides_is_shadowed_and_no_other(manager: Person, digits: str, replicas: list[Replica]) -> None:
    resolve = replicas[0].registry.resolve
    manager.set_alias("next", 3)
    manager.set_traffic({}, shadow=mod.Shadow(alias="next", share=0.2))
    shadows = [resolve("digits", sticky_key=f"user {number}").shadow for number in range(1000)]
    found = [shadow for shadow in shadows if shadow is not None]
    assert abs(len(found) - 200) < 65
    assert {(shadow.version, shadow.alias) for shadow in found} == {(3, "next")}
    assert not any(resolve("digits", alias="stable").shadow or resolve("digits", version=1).shadow for _ in range(50))
    manager.set_traffic({"next": 1}, shadow=mod.Shadow(alias="next", share=1))
    replicas[0].now += 1
    assert resolve("digits").shadow is None
