"""What can go wrong, as sentences for the person in front of it; each kind has an exit status of its own, for scripts."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class OperationError(Exception):
    """Something that a person can act on. The message is shown as it is."""

    exit_code = 1


class NotEmpty(OperationError):
    """There is data where an empty mesh was expected."""

    exit_code = 3


class Damaged(OperationError):
    """A backup is not what its manifest says, or a restored mesh is not what the backup holds."""

    exit_code = 4


class Unreachable(OperationError):
    """A server does not answer."""

    exit_code = 5


class DiskFull(OperationError):
    """Nothing more can be written."""

    exit_code = 6


class Denied(OperationError):
    """A password, a key or a permission is wrong."""

    exit_code = 7


class Busy(OperationError):
    """Somebody else works on the same thing."""

    exit_code = 8


@contextmanager
def spoken(place: Path | str) -> Iterator[None]:
    """Turns a full disk and a place without permission into sentences."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"The disk is full: nothing more can be written to {place}. Make room and run this again.") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise Denied(f"{error.filename or place} cannot be used: {error.strerror}.") from error
        raise
