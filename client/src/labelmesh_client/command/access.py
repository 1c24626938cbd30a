"""How the command finds out where to go and who is calling."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from labelmesh_client.address import LOCAL_ADDRESS, Address, parse_address
from labelmesh_client.client import Client
from labelmesh_client.credentials import Anonymous, Credentials, choose_credentials
from labelmesh_client.errors import ConfigurationError

_MAX_KEY_FILE_BYTES = 10_000
#: A person waits for an answer: this long is tried while the server is away.
_PATIENCE_S = 5.0


@dataclass(frozen=True)
class StoredSession:
    """A session that `labelmesh sign-in` opened."""

    user: str
    token: str


class SessionFile:
    """The sessions that are open, one for each gateway, in a file that only its owner can read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def of(environment: Mapping[str, str]) -> SessionFile:
        """$XDG_STATE_HOME/labelmesh/sessions.json; by default below ~/.local/state."""
        state = environment.get("XDG_STATE_HOME", "")
        home = Path(environment.get("HOME") or Path.home())
        base = Path(state) if state and Path(state).is_absolute() else home / ".local" / "state"
        return SessionFile(base / "labelmesh" / "sessions.json")

    def get(self, address: Address) -> StoredSession | None:
        entry = self._read().get(address.origin)
        return StoredSession(entry["user"], entry["token"]) if entry else None

    def put(self, address: Address, session: StoredSession) -> None:
        self._write({**self._read(), address.origin: asdict(session)})

    def remove(self, address: Address) -> None:
        sessions = self._read()
        if sessions.pop(address.origin, None) is not None:
            self._write(sessions)

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            read = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{self.path} cannot be read ({error}); remove it and sign in again.") from None
        if not isinstance(read, dict):
            raise ConfigurationError(f"{self.path} is damaged; remove it and sign in again.")
        return {
            origin: {"user": str(entry["user"]), "token": str(entry["token"])}
            for origin, entry in read.items()
            if isinstance(entry, dict) and {"user", "token"} <= set(entry)
        }

    def _write(self, sessions: dict[str, dict[str, str]]) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # mkstemp makes a file for its owner only; the rename keeps that.
            descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=".sessions-")
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(sessions, file)
            os.replace(name, self.path)
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be written: {error.strerror or error}.") from None


def add_access_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where and who")
    group.add_argument(
        "--address",
        metavar="URL",
        help=f"the gateway, e.g. https://labels.example.org (default: $LABELMESH_ADDRESS, else {LOCAL_ADDRESS})",
    )
    group.add_argument(
        "--api-key-file", metavar="FILE", type=Path, help="read the API key from FILE (default: $LABELMESH_API_KEY is the key itself)"
    )
    group.add_argument(
        "--ca-file", metavar="FILE", type=Path, help="trust these certificates, PEM (default: $LABELMESH_CA_FILE, else the system's)"
    )


def address_of(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Address:
    return parse_address(arguments.address or environment.get("LABELMESH_ADDRESS") or LOCAL_ADDRESS)


def credentials_of(arguments: argparse.Namespace, environment: Mapping[str, str], address: Address) -> Credentials:
    """In this order: --api-key-file, LABELMESH_API_KEY, LABELMESH_USER and LABELMESH_PASSWORD, the session of `labelmesh sign-in`.

    Raises ConfigurationError, saying what can be done, when there is none of them.
    """
    if arguments.api_key_file is not None:
        return _credentials(api_key=_read_key(arguments.api_key_file))
    if environment.get("LABELMESH_API_KEY"):
        return _credentials(api_key=environment["LABELMESH_API_KEY"])
    user, password = environment.get("LABELMESH_USER") or None, environment.get("LABELMESH_PASSWORD") or None
    if user is not None or password is not None:
        if user is None or password is None:
            missing = "LABELMESH_USER" if user is None else "LABELMESH_PASSWORD"
            raise ConfigurationError(f"{missing} is not set, but its other half is; set both or neither.")
        return _credentials(user=user, password=password)
    stored = SessionFile.of(environment).get(address)
    if stored is not None:
        return _credentials(token=stored.token)
    raise ConfigurationError(
        f"You are not signed in at {address.origin}. Sign in with `labelmesh sign-in`, or set LABELMESH_API_KEY, or set LABELMESH_USER and "
        "LABELMESH_PASSWORD."
    )


def _credentials(
    *, api_key: str | None = None, token: str | None = None, user: str | None = None, password: str | None = None
) -> Credentials:
    return choose_credentials(api_key=api_key, token=token, user=user, password=password)


def _read_key(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_KEY_FILE_BYTES).decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(f"The API key cannot be read from {path}: {reason}.") from None


def open_client(arguments: argparse.Namespace, environment: Mapping[str, str], *, anonymous: bool = False) -> Client:
    """A client for the place and the caller that arguments and environment name."""
    address = address_of(arguments, environment)
    credentials = Anonymous() if anonymous else credentials_of(arguments, environment, address)
    ca_file = arguments.ca_file or environment.get("LABELMESH_CA_FILE") or None
    return Client(address, credentials, patience_s=_PATIENCE_S, ca_file=ca_file)
