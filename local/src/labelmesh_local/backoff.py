"""When a part that died is started again."""

from __future__ import annotations

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0
HEALTHY_SECONDS = 60.0
"""A part that ran this long starts over with the shortest delay."""
KEEPS_DYING = 5


class Backoff:
    """Doubles the delay with every death, up to half a minute; forgets after a minute of health."""

    def __init__(self) -> None:
        self._deaths = 0

    @property
    def deaths(self) -> int:
        """Deaths in a row."""
        return self._deaths

    @property
    def keeps_dying(self) -> bool:
        return self._deaths >= KEEPS_DYING

    def died(self, ran_seconds: float) -> float:
        """Notes a death after `ran_seconds` of running; returns the seconds to wait before the next start."""
        if ran_seconds >= HEALTHY_SECONDS:
            self._deaths = 0
        self._deaths += 1
        return float(min(FIRST_SECONDS * 2 ** (self._deaths - 1), LONGEST_SECONDS))
