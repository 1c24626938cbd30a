from __future__ import annotations

import io

import pytest
from labelmesh_client.command.progress import Progress, duration


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (4.23, "4.2 s"),
        (37.4, "37 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3599.7, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_lengths_of_time_are_written_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_where_nobody_watches_a_line_is_written_every_ten_seconds() -> None:
    out, clock = io.StringIO(), Clock()
    progress = Progress(out, total=1000, total_bytes=1000, clock=clock)
    for _ in range(500):
        clock.now += 0.0625
        progress.advance(1)
    assert out.getvalue() == (
        "160 of 1,000 images (16 %), 16/s, 52 s left\n"
        "320 of 1,000 images (32 %), 16/s, 42 s left\n"
        "480 of 1,000 images (48 %), 16/s, 32 s left\n"
    )


def test_the_time_left_follows_bytes_and_the_last_seconds() -> None:
    out, clock = io.StringIO(), Clock()
    progress = Progress(out, total=100, total_bytes=10_000_000, clock=clock)
    for _ in range(30):
        clock.now += 1
        progress.advance(10_000)
    fast = progress.line(clock.now)
    assert "30 of 100 images (30 %), 1.0/s, 16 min 10 s left" in fast


def test_until_there_is_enough_to_go_by_it_says_estimating() -> None:
    clock = Clock()
    progress = Progress(io.StringIO(), total=10, total_bytes=10, clock=clock)
    clock.now += 1
    progress.advance(1)
    assert progress.line(clock.now).endswith("estimating")


def test_on_a_terminal_one_line_is_redrawn_and_notes_stay() -> None:
    out, clock = Screen(), Clock()
    progress = Progress(out, total=10, total_bytes=10, clock=clock)
    for _ in range(5):
        clock.now += 1
        progress.advance(1)
    progress.note("refused a.png: it is empty")
    progress.finish()
    assert "\r\x1b[K" in out.getvalue()
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().endswith("\r\x1b[Krefused a.png: it is empty\n")


def test_the_bar_never_is_wider_than_the_terminal() -> None:
    clock = Clock()
    progress = Progress(Screen(), total=1_000_000, total_bytes=10, clock=clock)
    for width in range(120):
        assert len(progress.bar(clock.now, width)) <= width
    assert progress.bar(clock.now, 100).startswith("[------")


def test_nothing_to_do_is_all_done() -> None:
    assert "(100 %)" in Progress(io.StringIO(), total=0, total_bytes=0).line(0)
