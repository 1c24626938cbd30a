"""What is measured of auth: sign-ins, sessions, passwords, the key that signs. Never who."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from labelmesh_chassis.database import Database
from labelmesh_chassis.readings import Figure, Reading, Readings, brief
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from sqlalchemy import text

from labelmesh_auth.clock import Clock
from labelmesh_auth.keyring import KeyRing
from labelmesh_auth.sessions import SessionLimits

FIGURES = (Figure("labelmesh_auth_sessions_active", "Sessions of people that are alive now."),)
_HASH_SECONDS = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.3)
# More than this many are not counted.
MOST_SESSIONS = 50_000
_ALIVE = text("""
SELECT count(*) FROM (
    SELECT 1 FROM sessions WHERE end_time > :now AND last_seen_time > :seen_after AND revoke_time IS NULL LIMIT :most
) alive
""")


class AuthMeasures:
    """The figures. `hashed` is told the seconds of every password hash, `signed_in` how a sign-in ended."""

    def __init__(self, registry: CollectorRegistry, database: Database, keys: KeyRing, limits: SessionLimits, clock: Clock) -> None:
        hashing = Histogram(
            "labelmesh_auth_password_hash_seconds", "Passwords hashed or verified.", registry=registry, buckets=_HASH_SECONDS
        )
        self.hashed: Callable[[float], None] = hashing.observe
        self._sign_ins = Counter(
            "labelmesh_auth_sign_ins_total", "Sign-ins, by outcome: OK or the reason of the refusal.", ["outcome"], registry=registry
        )
        for outcome in ("OK", "WRONG_CREDENTIALS", "SIGN_IN_THROTTLED", "PASSWORD_HASHING_BUSY"):
            self._sign_ins.labels(outcome)
        age = Gauge("labelmesh_auth_signing_key_age_seconds", "How long the key that signs tokens now has signed.", registry=registry)
        age.set_function(lambda: keys.signing_for_s())
        self.readings = Readings("labelmesh_auth_figures", FIGURES, lambda: look(database, limits, clock), registry=registry)

    def signed_in(self, outcome: str) -> None:
        self._sign_ins.labels(outcome).inc()


def look(database: Database, limits: SessionLimits, clock: Clock) -> Iterable[Reading]:
    """All figures as of now."""
    now = clock()
    with brief(database) as connection:
        alive = connection.execute(_ALIVE, {"now": now, "seen_after": now - limits.idle, "most": MOST_SESSIONS}).scalar_one()
    return (Reading("labelmesh_auth_sessions_active", alive),)
