"""The secrets of a new mesh: a folder for each part, a file for each secret, made once and never again."""

from __future__ import annotations

import json
import os
import secrets
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from labelmesh_operations.errors import OperationError, spoken
from labelmesh_operations.settings import SERVICES

_WITH_OBJECTS = ("labeling", "inference", "augment", "operations")


@dataclass(frozen=True)
class SecretWishes:
    """`postgres` is host:port of the server as the services see it; with `shared`, accounts other than the owner may read the files, where
    each container sees its own folder alone but runs as an account of its own."""

    postgres: str = "postgres:5432"
    shared: bool = False


def make_secrets(root: Path, wishes: SecretWishes) -> list[str]:
    """Makes what is absent and returns its names; what is there stays, also after a command that was killed. Raises OperationError.

    `postgres/`: `superuser_password`, and for each service `SERVICE_password`. Each service's folder, `operations/` and `migrations/` hold
    files named as settings, to be read by LABELMESH_SECRETS_DIR. `objects/s3.json` is SeaweedFS' list of keys. `admin/password` is the
    first administrator's.
    """
    run = _Run(root, wishes)
    run.make()
    return run.made


class _Run:
    def __init__(self, root: Path, wishes: SecretWishes) -> None:
        self._root = root
        self._wishes = wishes
        self.made: list[str] = []

    def make(self) -> None:
        self._file("postgres/superuser_password", lambda: secrets.token_urlsafe(24))
        passwords = {service: self._file(f"postgres/{service}_password", lambda: secrets.token_urlsafe(24)) for service in SERVICES}
        access_key = self._file("objects/access_key", lambda: secrets.token_hex(10))
        secret_key = self._file("objects/secret_key", lambda: secrets.token_hex(20))
        self._file("objects/s3.json", lambda: _seaweed(access_key, secret_key))
        self._file("auth/labelmesh_key_encryption_key", lambda: b64encode(secrets.token_bytes(32)).decode())
        self._file("admin/password", lambda: secrets.token_urlsafe(12))
        for service in SERVICES:
            url = self._url(service, passwords[service])
            self._derived(f"{service}/labelmesh_database_url", url)
            self._derived(f"operations/labelmesh_operations_{service}_database_url", url)
        for part in _WITH_OBJECTS:
            self._derived(f"{part}/labelmesh_s3_access_key", access_key)
            self._derived(f"{part}/labelmesh_s3_secret_key", secret_key)

    def _url(self, service: str, password: str) -> str:
        return f"postgresql+psycopg2://{service}:{quote(password, safe='')}@{self._wishes.postgres}/{service}"

    def _file(self, name: str, content: Callable[[], str]) -> str:
        """The secret's value; a new one where there is no file."""
        path = self._root / name
        with spoken(self._root):
            if path.exists():
                known = path.read_text().strip()
                if not known:
                    raise OperationError(f"{path} is empty. Put the secret back, or remove the file if nothing was made with it yet.")
                return known
            value = content()
            self._write(path, value)
        self.made.append(name)
        return value

    def _derived(self, name: str, value: str) -> None:
        """A file that follows from others: brought up to date with them."""
        path = self._root / name
        with spoken(self._root):
            if not path.exists() or path.read_text().strip() != value:
                self._write(path, value)
                self.made.append(name)

    def _write(self, path: Path, value: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755 if self._wishes.shared else 0o700)
        fresh = path.with_name(f".{path.name}.new")
        fresh.unlink(missing_ok=True)
        mode = 0o444 if self._wishes.shared else 0o400
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(value + "\n")
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), mode)
        fresh.replace(path)


def _seaweed(access_key: str, secret_key: str) -> str:
    identity = {
        "name": "labelmesh",
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    return json.dumps({"identities": [identity]}, indent=1)
