"""How much time the call being served has left."""

from __future__ import annotations

import time

from labelmesh_chassis.calls import current_call
from labelmesh_chassis.errors import DeadlineExceeded


def time_left() -> float | None:
    """Seconds that the call being served has left, or None outside of one; DeadlineExceeded when there are none."""
    call = current_call.get()
    if call is None or call.deadline is None:
        return None
    left = call.deadline - time.monotonic()
    if left <= 0:
        raise DeadlineExceeded("DEADLINE_EXCEEDED", "the call took longer than it may")
    return left
