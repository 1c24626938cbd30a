"""Aliases and traffic as values."""

from __future__ import annotations

import pytest
from labelmesh_chassis.errors import FailedPrecondition, InvalidArgument, NotFound
from labelmesh_inference.registry.routing import Routes, Shadow, Split, traffic_in_words

ROUTES = Routes({"stable": 3, "canary": 4, "next": 5})


def test_without_splits_everything_goes_to_stable() -> None:
    assert {ROUTES.choose("digits", f"user {number}") for number in range(100)} == {"stable"}
    assert ROUTES.version_of("stable") == 3


def test_every_key_gets_a_split_with_a_weight_and_none_without() -> None:
    routes = ROUTES.with_traffic([Split("stable", 1), Split("canary", 1), Split("next", 0)], Shadow())
    assert {routes.choose("digits", f"user {number}") for number in range(100)} == {"stable", "canary"}


@pytest.mark.parametrize("alias", ["stable", "canary", "next"])
def test_an_alias_that_traffic_or_shadow_needs_is_moved_but_not_removed(alias: str) -> None:
    routes = ROUTES.with_traffic([Split("stable", 1), Split("canary", 0)], Shadow("next", 0.5))
    assert routes.with_alias(alias, 9).aliases[alias] == 9
    with pytest.raises(FailedPrecondition) as caught:
        routes.with_alias(alias, 0)
    assert caught.value.reason == "ALIAS_IN_USE"


def test_stable_cannot_go_while_everything_goes_to_it_and_other_aliases_can() -> None:
    with pytest.raises(FailedPrecondition):
        ROUTES.with_alias("stable", 0)
    assert "canary" not in ROUTES.with_alias("canary", 0).aliases
    with pytest.raises(NotFound) as caught:
        ROUTES.with_alias("beta", 0)
    assert caught.value.reason == "ALIAS_NOT_FOUND"
    assert "canary, next, stable" in caught.value.message


@pytest.mark.parametrize(
    ("splits", "reason"),
    [
        ([Split("stable", 1), Split("stable", 2)], "ALIAS_REPEATED"),
        ([Split("stable", 0), Split("canary", 0)], "NO_WEIGHT"),
        ([Split("stable", 1), Split("beta", 2)], "ALIAS_NOT_FOUND"),
    ],
)
def test_traffic_that_would_lead_nowhere_is_refused(splits: list[Split], reason: str) -> None:
    with pytest.raises((InvalidArgument, NotFound)) as caught:
        ROUTES.with_traffic(splits, Shadow())
    assert caught.value.reason == reason


def test_a_shadow_of_an_alias_that_is_not_there_is_refused() -> None:
    with pytest.raises(NotFound):
        ROUTES.with_traffic([], Shadow("beta", 0.1))


def test_the_versions_in_use_are_those_of_traffic_and_shadow() -> None:
    assert ROUTES.versions_in_use == {3}
    assert ROUTES.with_traffic([Split("canary", 1)], Shadow("next", 0.1)).versions_in_use == {4, 5}


def test_traffic_is_said_in_words() -> None:
    assert traffic_in_words(ROUTES) == "traffic all to stable"
    routes = ROUTES.with_traffic([Split("stable", 90), Split("canary", 10)], Shadow("next", 0.05))
    assert traffic_in_words(routes) == "traffic stable 90, canary 10; shadow next 5%"
