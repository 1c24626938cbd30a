"""The end of an Envoy without a lost call: Envoy itself ends at once when it is told to, so another process beside it prepares the end.

The order and its reasons: docs/decisions/0011-a-tender-drains-the-gateway.md.
"""

from __future__ import annotations

import contextlib
import http.client
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

_ACTIVE = r"/stats?filter=^http\.edge\.downstream_rq_active$"
_STEP_S = 0.1
QUIET_S = 1.0
"""How long no call must have been active: callers that were told to leave may have one more on its way."""


@dataclass(frozen=True)
class Admin:
    """Envoy's admin page, on loopback."""

    port: int
    timeout_s: float = 2.0

    def ask(self, method: str, path: str) -> tuple[int, str]:
        """The status and the body of one request. OSError where nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout_s)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except http.client.HTTPException as error:
            raise ConnectionError(f"the admin page does not speak HTTP: {error}") from error
        finally:
            connection.close()

    def active_calls(self) -> int:
        """Calls that are being served at the edge."""
        _, text = self.ask("GET", _ACTIVE)
        return int(text.rpartition(":")[2]) if ":" in text else 0


def drain(
    admin: Admin,
    *,
    lead_s: float,
    limit_s: float,
    pause: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> bool:
    """Prepares the end of an Envoy: afterwards nobody new is sent there, and nobody is served. Says whether nothing was active at last.

    From the beginning /ready says 503 and clients are told to take another connection; all are served. After `lead_s` seconds, when whoever
    sends callers here has noticed, the listeners drain, and stay open for those who come late. Then it waits for the calls being served,
    `limit_s` seconds at most. An Envoy that is gone already is drained; one that is too busy to answer in time is not.
    """
    try:
        _tell(admin, "/healthcheck/fail")
        pause(lead_s)
        _tell(admin, "/drain_listeners?graceful&skip_exit")
        end, last_active = now() + limit_s, now()
        while now() < end:
            if _is_active(admin):
                last_active = now()
            elif now() - last_active >= QUIET_S:
                return True
            pause(_STEP_S)
        return not _is_active(admin)
    except OSError:
        return True


def _tell(admin: Admin, path: str) -> None:
    # Without an answer in time Envoy has heard it all the same, and does it when its turn comes.
    with contextlib.suppress(TimeoutError):
        admin.ask("POST", path)


def _is_active(admin: Admin) -> bool:
    try:
        return admin.active_calls() > 0
    except TimeoutError:
        return True


def tend(admin: Admin, *, lead_s: float, limit_s: float) -> bool:
    """Waits until the process is told to end (SIGTERM, SIGINT), then drains. Returns what `drain` does."""
    ends = {signal.SIGTERM, signal.SIGINT}
    # Before the first word, so that none who reads it can be too early.
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    print(f"tending the Envoy whose admin page is on port {admin.port}", file=sys.stderr, flush=True)
    signal.sigwait(ends)
    print(f"draining: {lead_s:g} s until callers know, then {limit_s:g} s at most for their calls", file=sys.stderr, flush=True)
    return drain(admin, lead_s=lead_s, limit_s=limit_s)
