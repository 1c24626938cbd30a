"""Callers take turns, and none fills the queue alone."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from labelmesh_chassis.fairness import FairQueue


def queue(most: int = 1000, own: int = 500) -> FairQueue[str]:
    return FairQueue(most_weight=most, most_of_caller=own)


def taken(waiting: FairQueue[str]) -> list[str]:
    found = []
    while (one := waiting.take()) is not None:
        found.append(one[1])
    return found


def test_a_caller_with_a_thousand_jobs_lets_another_one_in_after_one() -> None:
    waiting = queue(most=10_000, own=10_000)
    for number in range(1000):
        assert waiting.offer("many", f"many {number}", 1)
    assert waiting.take() == ("many", "many 0")
    assert waiting.offer("few", "few 0", 1)
    assert waiting.offer("few", "few 1", 1)
    assert taken(waiting)[:4] == ["many 1", "few 0", "many 2", "few 1"]


def test_callers_take_turns_and_each_ones_jobs_keep_their_order() -> None:
    waiting = queue()
    for number in range(3):
        for caller in "abc":
            waiting.offer(caller, f"{caller}{number}", 1)
    assert taken(waiting) == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]


def test_one_caller_gets_its_part_and_the_rest_stays_for_others() -> None:
    waiting = queue(most=100, own=50)
    assert waiting.offer("a", "1", 30)
    assert not waiting.offer("a", "2", 30)
    assert waiting.offer("b", "3", 50)
    assert waiting.offer("c", "4", 20)
    assert not waiting.offer("d", "5", 1)


def test_weight_counts_until_a_job_is_finished_not_only_while_it_waits() -> None:
    waiting = queue(most=100, own=100)
    waiting.offer("a", "1", 100)
    waiting.take()
    assert len(waiting) == 0
    assert not waiting.offer("a", "2", 1)
    waiting.finish("a", 100)
    assert waiting.offer("a", "2", 1)


def test_a_job_heavier_than_all_there_may_be_is_taken_when_there_is_room() -> None:
    waiting = queue(most=100, own=50)
    assert waiting.offer("a", "huge", 10**9)
    assert not waiting.offer("a", "small", 1)
    waiting.finish("a", 10**9)
    assert waiting.weight == waiting.weight_of("a") == 0


def test_what_is_put_back_is_the_very_next() -> None:
    waiting = queue()
    for caller in "ab":
        for number in range(2):
            waiting.offer(caller, f"{caller}{number}", 1)
    assert waiting.take() == ("a", "a0")
    waiting.put_back("a", "a0")
    assert taken(waiting) == ["a0", "b0", "a1", "b1"]


def test_what_is_taken_out_is_not_done_and_the_others_keep_their_turns() -> None:
    waiting = queue()
    waiting.offer("a", "a0", 1)
    waiting.offer("b", "b0", 1)
    assert waiting.remove("a", "a0")
    assert not waiting.remove("a", "a0")
    assert not waiting.remove("c", "c0")
    assert taken(waiting) == ["b0"]


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 400), st.sampled_from(["offer", "take", "finish", "remove", "back"]))))
def test_the_sums_are_right_whatever_happens(happenings: list[tuple[str, int, str]]) -> None:
    waiting = queue()
    queued: dict[str, tuple[str, int]] = {}
    working: dict[str, tuple[str, int]] = {}
    for number, (caller, weight, what) in enumerate(happenings):
        own = [name for name, (owner, _) in queued.items() if owner == caller]
        match what:
            case "offer" if waiting.offer(caller, str(number), weight):
                queued[str(number)] = (caller, weight)
            case "take" if (one := waiting.take()) is not None:
                working[one[1]] = queued.pop(one[1])
                assert working[one[1]][0] == one[0]
            case "back" if working:
                name, (owner, again) = working.popitem()
                waiting.put_back(owner, name)
                queued[name] = (owner, again)
            case "finish" if working:
                waiting.finish(*working.popitem()[1])
            case "remove" if own:
                assert waiting.remove(caller, own[0])
                waiting.finish(*queued.pop(own[0]))
        weights = [max(1, min(each, 500)) for _, each in (*queued.values(), *working.values())]
        assert waiting.weight == sum(weights) <= 1000
        assert len(waiting) == len(queued)
        assert sum(waiting.weight_of(each) for each in "abc") == waiting.weight
