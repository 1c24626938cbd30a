"""The life of versions: core/aspired_versions_manager.cc and core/availability_preserving_policy.cc."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from labelmesh_modelserver.servables import State
from labelmesh_modelserver.statuses import Code, ServingError

from tests.unit.modelserver.loads import Life


@pytest.fixture
def life() -> Iterator[Life]:
    made = Life()
    yield made
    made.servables.close(timeout_s=2)


def test_a_wanted_version_is_loaded_and_answers(life: Life) -> None:
    life.want("m", 1)
    life.until(lambda: life.states("m") == {1: State.AVAILABLE})
    assert life.answer("m") == 1
    assert life.answer("m", 1) == 1
    assert life.history("m", 1) == [State.START, State.LOADING, State.AVAILABLE]


@pytest.mark.parametrize(("version", "request_text"), [(None, "Latest(m)"), (7, "Specific(m, 7)")])
def test_what_is_not_available_is_not_found_in_tensorflow_servings_words(life: Life, version: int | None, request_text: str) -> None:
    """Source: core/basic_manager.cc, ServingMap::GetUntypedServableHandle; core/manager.h, ServableRequest::DebugString."""
    with pytest.raises(ServingError) as refused:
        life.answer("m", version)
    assert (refused.value.code, refused.value.text) == (Code.NOT_FOUND, f"Servable not found for request: {request_text}")


def test_without_a_version_the_highest_available_one_answers_not_the_last_loaded(life: Life) -> None:
    gate = life.loads.hold("m/2")
    life.want("m", 1, 2, 10)
    life.until(lambda: life.states("m")[1] is State.AVAILABLE and life.states("m")[10] is State.AVAILABLE)
    gate.set()
    life.until(lambda: life.states("m")[2] is State.AVAILABLE)
    assert life.answer("m") == 10
    assert life.answer("m", 2) == 2


def test_the_old_version_answers_until_the_new_one_does(life: Life) -> None:
    life.want("m", 1)
    life.until(lambda: life.states("m") == {1: State.AVAILABLE})
    gate = life.loads.hold("m/2")
    life.want("m", 2)
    life.until(lambda: life.states("m")[2] is State.LOADING)
    assert life.answer("m") == 1
    gate.set()
    life.until(lambda: life.states("m") == {1: State.END, 2: State.AVAILABLE})
    assert life.answer("m") == 2
    assert life.loads.versions["m/1"].closed
    order = [(status.version, status.state) for status in life.told]
    assert order.index((2, State.AVAILABLE)) < order.index((1, State.UNLOADING))


def test_a_failed_load_keeps_the_old_version_and_says_why(life: Life) -> None:
    life.want("m", 1)
    life.until(lambda: life.states("m") == {1: State.AVAILABLE})
    life.loads.fail("m/2")
    life.want("m", 2)
    life.until(lambda: life.states("m")[2] is State.END)
    failed = life.servables.statuses("m")[1]
    assert (failed.code, failed.text) == (Code.DATA_LOSS, "/m/2 is broken")
    assert life.states("m")[1] is State.AVAILABLE
    assert life.answer("m") == 1


def test_a_failed_version_is_not_loaded_again_as_long_as_it_is_wanted_but_is_once_it_went_and_came_back(life: Life) -> None:
    life.loads.fail("m/2", times=1)
    life.want("m", 1, 2)
    life.until(lambda: life.states("m") == {1: State.AVAILABLE, 2: State.END})
    life.want("m", 1, 2)
    life.want("m", 1, 2)
    assert life.loads.attempts.count("m/2") == 1
    life.want("m", 1)
    life.want("m", 1, 2)
    life.until(lambda: life.states("m") == {1: State.AVAILABLE, 2: State.AVAILABLE})


def test_loads_are_tried_again_and_stay_loading_meanwhile() -> None:
    life = Life(retries=3, interval_s=0.01)
    life.loads.fail("m/1", times=2)
    life.want("m", 1)
    life.until(lambda: life.states("m") == {1: State.AVAILABLE})
    assert life.loads.attempts == ["m/1"] * 3
    assert life.history("m", 1) == [State.START, State.LOADING, State.AVAILABLE]
    life.servables.close()


def test_a_load_that_waits_for_its_next_try_gives_up_once_nobody_wants_it() -> None:
    life = Life(retries=5, interval_s=60)
    life.loads.fail("m/1")
    life.want("m", 1)
    life.until(lambda: life.loads.attempts == ["m/1"])
    life.want("m")
    life.until(lambda: life.states("m") == {1: State.END})
    assert life.loads.attempts == ["m/1"]
    life.servables.close()


def test_one_version_that_loads_forever_holds_up_no_other_model(life: Life) -> None:
    gate = life.loads.hold("slow/1")
    life.want("slow", 1)
    life.want("quick", 1)
    life.until(lambda: life.states("quick") == {1: State.AVAILABLE})
    assert life.states("slow") == {1: State.LOADING}
    gate.set()


def test_a_call_in_flight_keeps_its_version_loaded_while_new_calls_go_to_the_new_one(life: Life) -> None:
    life.want("m", 1)
    life.until(lambda: life.states("m") == {1: State.AVAILABLE})
    with life.servables.use("m", None) as (number, servable):
        assert number == 1
        life.want("m", 2)
        life.until(lambda: life.states("m") == {1: State.UNLOADING, 2: State.AVAILABLE})
        assert life.answer("m") == 2
        with pytest.raises(ServingError):
            life.answer("m", 1)
        assert not servable.closed
    life.until(lambda: life.states("m")[1] is State.END)
    assert servable.closed


def test_a_version_wanted_again_while_it_is_unloaded_comes_back(life: Life) -> None:
    life.want("m", 1)
    life.until(lambda: life.states("m") == {1: State.AVAILABLE})
    with life.servables.use("m", 1):
        life.want("m", 2)
        life.until(lambda: life.states("m") == {1: State.UNLOADING, 2: State.AVAILABLE})
        life.want("m", 1, 2)
        assert life.states("m")[1] is State.UNLOADING
    life.until(lambda: life.states("m") == {1: State.AVAILABLE, 2: State.AVAILABLE})
    assert life.loads.attempts == ["m/1", "m/2", "m/1"]


def test_a_model_nobody_wants_is_unloaded_whole(life: Life) -> None:
    life.want("m", 1, 2)
    life.until(lambda: life.states("m") == {1: State.AVAILABLE, 2: State.AVAILABLE})
    life.want("m")
    life.until(lambda: life.states("m") == {1: State.END, 2: State.END})
    with pytest.raises(ServingError):
        life.answer("m")


def test_of_several_old_versions_only_the_newest_waits_for_a_successor(life: Life) -> None:
    life.want("m", 1, 2)
    life.until(lambda: life.states("m") == {1: State.AVAILABLE, 2: State.AVAILABLE})
    gate = life.loads.hold("m/3")
    life.want("m", 3)
    life.until(lambda: life.states("m") == {1: State.END, 2: State.AVAILABLE, 3: State.LOADING})
    gate.set()
    life.until(lambda: life.states("m") == {1: State.END, 2: State.END, 3: State.AVAILABLE})


def test_no_call_fails_while_versions_come_and_go(life: Life) -> None:
    life.want("m", 1)
    life.until(lambda: life.states("m") == {1: State.AVAILABLE})
    over = threading.Event()
    failures: list[ServingError] = []
    answers: set[int] = set()

    def call() -> None:
        while not over.is_set():
            try:
                answers.add(life.answer("m"))
            except ServingError as problem:
                failures.append(problem)

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for version in range(2, 30):
        life.want("m", version)
        life.until(lambda: life.states("m")[version] is State.AVAILABLE)  # noqa: B023
    over.set()
    for caller in callers:
        caller.join(timeout=5)
    assert failures == []
    assert len(answers) > 1


def test_waiting_ends_when_each_model_has_one_version_even_if_another_failed(life: Life) -> None:
    life.loads.fail("m/2")
    life.want("m", 1, 2)
    life.servables.wait_until_loaded(["m"], lambda: False, poll_s=0.01)


def test_waiting_tells_which_versions_failed_and_why(life: Life) -> None:
    """Source: model_servers/server_core.cc, WaitUntilModelsAvailable."""
    life.loads.fail("bad/1")
    life.want("good", 1)
    life.want("bad", 1)
    with pytest.raises(ServingError) as refused:
        life.servables.wait_until_loaded(["good", "bad"], lambda: False, poll_s=0.01)
    assert refused.value.code is Code.UNKNOWN
    assert refused.value.text == (
        "1 model(s) did not become available: {{{name: bad version: 1} due to error: DATA_LOSS: /bad/1 is broken}, }"
    )


def test_waiting_for_a_model_without_versions_ends_when_told(life: Life) -> None:
    life.want("m")
    with pytest.raises(ServingError) as refused:
        life.servables.wait_until_loaded(["m"], lambda: True, poll_s=0.01)
    assert refused.value.code is Code.DEADLINE_EXCEEDED


def test_closing_unloads_everything(life: Life) -> None:
    life.want("a", 1)
    life.want("b", 1, 2)
    life.servables.wait_until_loaded(["a", "b"], lambda: False, poll_s=0.01)
    life.until(lambda: len(life.loads.versions) == 3)
    life.servables.close(timeout_s=2)
    assert all(version.closed for version in life.loads.versions.values())
