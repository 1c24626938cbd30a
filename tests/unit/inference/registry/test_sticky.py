"""Who gets which version: shares follow the weights, and a change moves no more keys than it must."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelmesh_inference.registry.sticky import place

KEYS = [f"user {number}" for number in range(20_000)]
NAMES = st.text(min_size=1, max_size=8)
WEIGHTS = st.dictionaries(NAMES, st.integers(0, 10_000), min_size=1, max_size=5)


def shares(weights: dict[str, int], scope: str = "digits") -> dict[str, float]:
    counted = Counter(place(key, weights, scope=scope) for key in KEYS)
    return {name: counted[name] / len(KEYS) for name in weights}


@pytest.mark.parametrize(
    "weights",
    [{"stable": 90, "canary": 10}, {"stable": 1, "canary": 1}, {"a": 5, "b": 3, "c": 2}, {"stable": 9999, "canary": 1}, {"only": 7}],
)
def test_each_name_gets_its_share_of_the_keys(weights: dict[str, int]) -> None:
    total = sum(weights.values())
    for name, share in shares(weights).items():
        expected = weights[name] / total
        # Five standard deviations of a share counted over so many keys.
        assert abs(share - expected) <= 5 * (expected * (1 - expected) / len(KEYS)) ** 0.5 + 1 / len(KEYS)


@given(st.text(max_size=20), WEIGHTS)
def test_a_key_gets_the_same_name_whatever_the_order_and_the_scale(key: str, weights: dict[str, int]) -> None:
    found = place(key, weights)
    assert place(key, dict(reversed(weights.items()))) == found
    assert place(key, {name: weight * 8 for name, weight in weights.items()}) == found
    assert (found is None) == (not any(weights.values()))
    assert found is None or weights[found] > 0


@given(st.text(max_size=20), WEIGHTS, st.data())
@settings(max_examples=300)
def test_a_grown_weight_takes_keys_and_gives_none_and_a_shrunk_one_the_other_way_round(
    key: str, weights: dict[str, int], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(weights)))
    more = {**weights, name: weights[name] + data.draw(st.integers(1, 10_000))}
    before, after = place(key, weights), place(key, more)
    assert after in (before, name)


@given(st.text(max_size=20), WEIGHTS, NAMES)
def test_a_new_name_takes_keys_from_others_and_moves_none_between_them(key: str, weights: dict[str, int], name: str) -> None:
    others = {other: weight for other, weight in weights.items() if other != name}
    assert place(key, {**others, name: 5}) in (place(key, others), name)


def test_moving_a_tenth_of_the_traffic_moves_a_tenth_of_the_keys() -> None:
    before = {"stable": 90, "canary": 10}
    after = {"stable": 80, "canary": 20}
    moved = sum(place(key, before) != place(key, after) for key in KEYS)
    assert abs(moved / len(KEYS) - 0.1) < 0.01


def test_the_same_people_are_not_the_canaries_of_every_model() -> None:
    weights = {"stable": 90, "canary": 10}
    first, second = ({key for key in KEYS if place(key, weights, scope=scope) == "canary"} for scope in ("digits", "animals"))
    assert abs(len(first & second) / len(KEYS) - 0.01) < 0.004
