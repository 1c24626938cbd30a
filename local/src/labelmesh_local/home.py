"""Where the local mesh keeps what it has: one folder, readable by its owner only."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from labelmesh_local.errors import DiskFull, HomeNotWritable, LocalError

NEEDED_BYTES = 300 * 1024 * 1024


@dataclass(frozen=True)
class Home:
    """The paths below `root` ($LABELMESH_HOME, by default .labelmesh in the repository)."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def postgres(self) -> Path:
        return self.data / "postgres"

    @property
    def objects(self) -> Path:
        return self.data / "objects"

    @property
    def models(self) -> Path:
        """The model repository: models.config, and a folder for each version of each model."""
        return self.data / "models"

    @property
    def secrets(self) -> Path:
        return self.data / "secrets.json"

    @property
    def admin_password(self) -> Path:
        return self.data / "admin-password"

    @property
    def progress(self) -> Path:
        """What the first start has done already."""
        return self.data / "first-start.json"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def run(self) -> Path:
        """What only the running mesh needs: rendered configuration."""
        return self.data / "run"

    @property
    def state(self) -> Path:
        return self.data / "state.json"

    @property
    def lock(self) -> Path:
        return self.root / "mesh.lock"

    def log(self, part: str) -> Path:
        return self.logs / f"{part}.log"

    def prepare(self) -> None:
        """Makes the folders. Raises HomeNotWritable, DiskFull."""
        with readable_trouble(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            self.data.mkdir(exist_ok=True, mode=0o700)
            for folder in (self.logs, self.run):
                folder.mkdir(exist_ok=True, mode=0o700)
                folder.chmod(0o700)
            probe = self.data / ".probe"
            probe.write_bytes(b"x")
            probe.unlink()
        free, needed = self.free_bytes() // 2**20, NEEDED_BYTES // 2**20
        if free < needed:
            raise DiskFull(f"Only {free} MB are free on the disk of {self.data}; labelmesh needs {needed} MB to start safely.")

    def free_bytes(self) -> int:
        """Free space for this user on the disk of the data."""
        return shutil.disk_usage(self.data if self.data.exists() else self.root).free


@contextmanager
def readable_trouble(place: Path) -> Iterator[None]:
    """Turns a full disk and a folder without permission into sentences."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull(f"The disk is full: nothing more can be written to {place}.") from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
            where = error.filename or place
            raise HomeNotWritable(f"{where} cannot be written to ({error.strerror}). Set LABELMESH_HOME to a folder of yours.") from error
        raise


_ADDED_LATER = ("inference_database", "augment_database")
"""Secrets of parts that came after the first version; data without them is older, not damaged."""


@dataclass(frozen=True)
class Secrets:
    """Passwords and keys of the parts, made on first start. None of them is known outside this machine."""

    auth_database: str
    labeling_database: str
    inference_database: str
    augment_database: str
    s3_access_key: str
    s3_secret_key: str
    key_encryption_key: str
    """32 bytes as base64: what auth encrypts its signing keys with."""

    @classmethod
    def made(cls) -> Secrets:
        word = secrets.token_urlsafe
        return cls(
            auth_database=word(24),
            labeling_database=word(24),
            inference_database=word(24),
            augment_database=word(24),
            s3_access_key=secrets.token_hex(10),
            s3_secret_key=secrets.token_hex(20),
            key_encryption_key=b64encode(secrets.token_bytes(32)).decode(),
        )

    @classmethod
    def load_or_make(cls, path: Path) -> Secrets:
        """Reads the file, or makes it (mode 0600). Raises LocalError if it is there and not whole: new ones would lose the data.

        What an older version did not know yet is added.
        """
        made = cls.made()
        if not path.exists():
            write_private(path, json.dumps(asdict(made), indent=1))
            return made
        try:
            known = json.loads(path.read_text())
            added = {name: getattr(made, name) for name in _ADDED_LATER if name not in known}
            found = cls(**{field.name: str({**known, **added}[field.name]) for field in fields(cls)})
        except (ValueError, KeyError, TypeError) as error:
            raise LocalError(
                f"{path} is damaged; without it the data cannot be opened. Restore it, or give the data up with `./mesh reset`."
            ) from error
        path.chmod(0o600)
        if added:
            write_private(path, json.dumps({**known, **added}, indent=1))
        return found


def write_private(path: Path, text: str) -> None:
    """Replaces the file as a whole; only its owner may read it."""
    scratch = path.with_name(path.name + ".new")
    with readable_trouble(path):
        scratch.unlink(missing_ok=True)
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
