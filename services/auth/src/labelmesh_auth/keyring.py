"""The signing keys in memory: which signs now, which verify, and the JWKS document (RFC 7517) that publishes them."""

from __future__ import annotations

import json
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from jwt.algorithms import ECAlgorithm
from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import Unavailable

from labelmesh_auth import signing_keys
from labelmesh_auth.clock import Clock
from labelmesh_auth.signing_keys import KeyVault, LoadedKey


class KeyRing:
    """Keys as of the last `refresh`. Threads share it: a refresh swaps the whole set at once. It is a KeySource of the chassis."""

    def __init__(self, database: Database, vault: KeyVault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._keys: dict[str, LoadedKey] = {}
        self._newest_first: tuple[LoadedKey, ...] = ()

    def open(self) -> None:
        """Makes the first key where there is none, and reads all; WrongEncryptionKey."""
        with self._database.transaction() as db:
            signing_keys.ensure_first(db, self._vault, self._clock())
        self.refresh()

    def refresh(self) -> None:
        """Reads the keys again, so that those of other replicas are known; on failure the known ones stay."""
        with self._database.transaction() as db:
            loaded = signing_keys.load(db, self._vault, self._clock())
        self._newest_first = loaded
        self._keys = {key.times.key_id: key for key in loaded}

    def signing_key(self) -> tuple[str, EllipticCurvePrivateKey]:
        """The id and private part of the newest key whose time has come; Unavailable (SIGNING_KEY_MISSING) when there is none."""
        now = self._clock()
        for key in self._newest_first:
            if key.private is not None and key.times.activate_time <= now:
                return key.times.key_id, key.private
        raise Unavailable("SIGNING_KEY_MISSING", "no key signs now; try again soon", retry_after=5)

    def signing_for_s(self) -> float:
        """How long the key that signs now has signed, in seconds; NaN when there is none."""
        now = self._clock()
        signing = (key for key in self._newest_first if key.private is not None and key.times.activate_time <= now)
        return next(((now - key.times.activate_time).total_seconds() for key in signing), float("nan"))

    def public_key(self, key_id: str) -> EllipticCurvePublicKey | None:
        """The key of this id, None for an unknown or expired one."""
        key = self._keys.get(key_id)
        return key.public if key is not None and _verifies(key, self._clock()) else None

    def jwks(self) -> bytes:
        """The document with every key that verifies, those that do not sign yet included."""
        now = self._clock()
        entries = [_entry(key) for key in self._newest_first if _verifies(key, now)]
        return json.dumps({"keys": entries}).encode()


def _verifies(key: LoadedKey, now: datetime) -> bool:
    return key.times.expire_time is None or now < key.times.expire_time


def _entry(key: LoadedKey) -> dict[str, object]:
    entry: dict[str, object] = dict(ECAlgorithm.to_jwk(key.public, as_dict=True))
    return {**entry, "kid": key.times.key_id, "use": "sig", "alg": "ES256"}
