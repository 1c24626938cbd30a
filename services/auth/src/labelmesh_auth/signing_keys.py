"""The keys that tokens are signed with, in Postgres for all replicas: made, rotated with an overlap, forgotten.

A key's life: published when it is made; signs from `activate_time`, when every verifier has fetched it; signs no more from `retire_time`,
when its successor takes over; verifies until `expire_time`, when the last token that it signed has ended.
"""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)
from sqlalchemy import delete, or_, select, text, update
from sqlalchemy.orm import Session as Db

from labelmesh_auth import audit
from labelmesh_auth.audit import SYSTEM, Actor
from labelmesh_auth.tables import SigningKeyRow

_LOCK = 0x6C6D6B657973
_NONCE_BYTES = 12
# Replicas read keys every few seconds and their clocks differ a little: what is over is kept this much longer.
_MARGIN = timedelta(minutes=2)


class WrongEncryptionKey(Exception):
    """A stored private key cannot be decrypted: LABELMESH_KEY_ENCRYPTION_KEY is not the one that it was stored with."""


@dataclass(frozen=True)
class SigningKey:
    """A key's times."""

    key_id: str
    create_time: datetime
    activate_time: datetime
    retire_time: datetime | None
    expire_time: datetime | None


@dataclass(frozen=True)
class LoadedKey:
    """A key ready for use. `private` is None once it has retired and was forgotten."""

    times: SigningKey
    public: ec.EllipticCurvePublicKey
    private: ec.EllipticCurvePrivateKey | None


@dataclass(frozen=True)
class RotationTimes:
    """How long a new key is only published, and how long a token lives at most."""

    overlap: timedelta = timedelta(minutes=5)
    token_lifetime: timedelta = timedelta(hours=12)


class KeyVault:
    """Encrypts private keys for the database by AES-256-GCM (NIST SP 800-38D), bound to their key id."""

    def __init__(self, encryption_key: bytes) -> None:
        self._cipher = AESGCM(encryption_key)

    def encrypt(self, key_id: str, private: ec.EllipticCurvePrivateKey) -> bytes:
        """Nonce and sealed PKCS #8."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(
            nonce, private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), key_id.encode()
        )

    def decrypt(self, key_id: str, sealed: bytes) -> ec.EllipticCurvePrivateKey:
        """The key; WrongEncryptionKey."""
        try:
            der = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], key_id.encode())
        except InvalidTag as problem:
            raise WrongEncryptionKey(f"the signing key {key_id} was stored with another encryption key") from problem
        key = load_der_private_key(der, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise WrongEncryptionKey(f"the signing key {key_id} is no key of an elliptic curve")
        return key


def ensure_first(db: Db, vault: KeyVault, now: datetime) -> None:
    """Makes the first key, which signs at once, unless there is one. Replicas that start together make one."""
    _lock(db)
    if db.scalar(select(SigningKeyRow.key_id).where(SigningKeyRow.retire_time.is_(None)).limit(1)) is None:
        row = _add(db, vault, now, activate_time=now, request_id=None)
        audit.record(db, SYSTEM, "signing_key.create", f"signing_key:{row.key_id}", now)


def rotate(db: Db, vault: KeyVault, times: RotationTimes, request_id: uuid.UUID, actor: Actor, now: datetime) -> SigningKey:
    """Makes a key that takes over after the overlap; the same request_id twice gives the one key twice."""
    _lock(db)
    repeated = db.scalar(select(SigningKeyRow).where(SigningKeyRow.request_id == request_id))
    if repeated is not None:
        return _times(repeated)
    activate_time = now + times.overlap
    for newest in db.scalars(select(SigningKeyRow).where(SigningKeyRow.retire_time.is_(None)).with_for_update()):
        newest.retire_time = max(activate_time, newest.activate_time)
        newest.expire_time = newest.retire_time + times.token_lifetime + _MARGIN
    row = _add(db, vault, now, activate_time=activate_time, request_id=request_id)
    audit.record(db, actor, "signing_key.rotate", f"signing_key:{row.key_id}", now, {"activate_time": activate_time.isoformat()})
    return _times(row)


def list_keys(db: Db, now: datetime) -> list[SigningKey]:
    """Keys that verify, newest first."""
    return [_times(row) for row in _verifying(db, now)]


def load(db: Db, vault: KeyVault, now: datetime) -> tuple[LoadedKey, ...]:
    """Keys that verify, newest first, ready for use; WrongEncryptionKey."""
    return tuple(_load(row, vault) for row in _verifying(db, now))


def forget(db: Db, now: datetime) -> int:
    """Erases the private parts of retired keys and the keys that verify nothing any more; gives the number of the latter."""
    retired = update(SigningKeyRow).where(SigningKeyRow.retire_time < now - _MARGIN, SigningKeyRow.private_encrypted.is_not(None))
    db.execute(retired.values(private_encrypted=None), execution_options={"synchronize_session": False})
    gone = db.scalars(delete(SigningKeyRow).where(SigningKeyRow.expire_time < now).returning(SigningKeyRow.key_id)).all()
    return len(gone)


def _verifying(db: Db, now: datetime) -> list[SigningKeyRow]:
    condition = or_(SigningKeyRow.expire_time.is_(None), SigningKeyRow.expire_time > now)
    return list(
        db.scalars(select(SigningKeyRow).where(condition).order_by(SigningKeyRow.activate_time.desc(), SigningKeyRow.create_time.desc()))
    )


def _add(db: Db, vault: KeyVault, now: datetime, *, activate_time: datetime, request_id: uuid.UUID | None) -> SigningKeyRow:
    private = ec.generate_private_key(ec.SECP256R1())
    key_id = secrets.token_hex(8)
    row = SigningKeyRow(
        key_id=key_id,
        public_der=private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        private_encrypted=vault.encrypt(key_id, private),
        create_time=now,
        activate_time=activate_time,
        request_id=request_id,
    )
    db.add(row)
    db.flush()
    return row


def _load(row: SigningKeyRow, vault: KeyVault) -> LoadedKey:
    public = load_der_public_key(row.public_der)
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise WrongEncryptionKey(f"the signing key {row.key_id} is no key of an elliptic curve")
    private = vault.decrypt(row.key_id, row.private_encrypted) if row.private_encrypted is not None else None
    return LoadedKey(_times(row), public, private)


def _times(row: SigningKeyRow) -> SigningKey:
    return SigningKey(row.key_id, row.create_time, row.activate_time, row.retire_time, row.expire_time)


def _lock(db: Db) -> None:
    db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
