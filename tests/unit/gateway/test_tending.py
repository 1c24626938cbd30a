"""The end of an Envoy: what is asked of it, in which order, and when it is enough."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from labelmesh_gateway.__main__ import main
from labelmesh_gateway.tending import Admin, drain
from labelmesh_local.ports import free_port


class AdminPage:
    """Speaks as Envoy's admin page does; `active` says how many calls are being served, one look after the other, the last for good.

    It is too busy to answer the first `late` requests while the one who asks still listens.
    """

    def __init__(self, active: list[int], *, late: int = 0) -> None:
        self.asked: list[str] = []
        page = self
        waiting = list(range(late))

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                now = active.pop(0) if len(active) > 1 else active[0]
                self._answer(f"http.edge.downstream_rq_active: {now}\n".encode())

            def do_POST(self) -> None:
                page.asked.append(self.path)
                self._answer(b"OK\n")

            def _answer(self, body: bytes) -> None:
                if waiting:
                    waiting.pop()
                    # Until the caller has given up.
                    self.rfile.read()
                    return
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.admin = Admin(self._server.server_address[1], timeout_s=0.05 if late else 2.0)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> AdminPage:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Clock:
    """Goes on by pauses alone."""

    def __init__(self) -> None:
        self.time = 0.0

    def pause(self, seconds: float) -> None:
        self.time += seconds

    def now(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_it_is_not_ready_before_the_lead_and_drains_after_it(clock: Clock) -> None:
    with AdminPage([0]) as page:
        seen: list[tuple[float, list[str]]] = []

        def pause(seconds: float) -> None:
            seen.append((seconds, list(page.asked)))
            clock.pause(seconds)

        assert drain(page.admin, lead_s=5, limit_s=30, pause=pause, now=clock.now)
    (waited, asked), *_ = seen
    assert (waited, asked) == (5.0, ["/healthcheck/fail"])
    assert page.asked == ["/healthcheck/fail", "/drain_listeners?graceful&skip_exit"]


def test_it_waits_until_no_call_has_been_active_for_a_second(clock: Clock) -> None:
    with AdminPage([1] * 20 + [0] * 5 + [1] + [0]) as page:
        assert drain(page.admin, lead_s=0, limit_s=30, pause=clock.pause, now=clock.now)
    # The last of 26 looks saw a call; then a second without any.
    assert clock.time == pytest.approx(2.5 + 1, abs=0.21)


def test_calls_that_do_not_end_are_waited_for_no_longer_than_told(clock: Clock) -> None:
    with AdminPage([3]) as page:
        assert not drain(page.admin, lead_s=0, limit_s=4, pause=clock.pause, now=clock.now)
    assert clock.time == pytest.approx(4, abs=0.11)


def test_an_envoy_that_is_gone_is_drained(clock: Clock) -> None:
    assert drain(Admin(free_port()), lead_s=5, limit_s=30, pause=clock.pause, now=clock.now)


def test_an_envoy_that_is_too_busy_to_answer_is_not_taken_for_one_that_is_gone(clock: Clock) -> None:
    with AdminPage([0], late=7) as page:
        assert drain(page.admin, lead_s=0, limit_s=30, pause=clock.pause, now=clock.now)
    assert page.asked == ["/healthcheck/fail", "/drain_listeners?graceful&skip_exit"]
    # The last of five looks without an answer; then a second without a call.
    assert clock.time == pytest.approx(0.4 + 1, abs=0.11)


@pytest.mark.parametrize("arguments", [["--lead", "-1"], ["--seconds", "3601"], ["--seconds", "soon"], ["--seconds", "nan"]])
def test_times_that_make_no_sense_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["drain", *arguments])
    assert arguments[0] in capsys.readouterr().err
