"""When a part that died is started again."""

from __future__ import annotations

from labelmesh_local.backoff import HEALTHY_SECONDS, KEEPS_DYING, Backoff


def test_the_delay_doubles_up_to_half_a_minute() -> None:
    backoff = Backoff()
    assert [backoff.died(1.0) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_minute_of_health_forgives_earlier_deaths() -> None:
    backoff = Backoff()
    for _ in range(4):
        backoff.died(0.0)
    assert backoff.died(HEALTHY_SECONDS) == 0.5
    assert backoff.deaths == 1


def test_five_quick_deaths_in_a_row_are_called_dying_again_and_again() -> None:
    backoff = Backoff()
    seen = []
    for _ in range(KEEPS_DYING):
        backoff.died(3.0)
        seen.append(backoff.keeps_dying)
    assert seen == [False, False, False, False, True]
