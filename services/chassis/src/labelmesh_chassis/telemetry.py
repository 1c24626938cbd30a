"""Logs: one JSON object a line on standard error, with the ids of the request and its trace, and nothing personal.

No line holds a name, an e-mail address, a caller's network address, a token, a presigned address or anything out of a message. What a line
says of a caller is the id of an account or an API key: random, with no meaning but in auth's own database, and what an operator needs to
find whose calls fail. So that this also holds for what others write:

- A message of another package is written up to its first colon and without what it fills in, which may be an address with its signature
  or the text of an exception.
- An exception is written as where it came from and of what kind it is, without its text, which may quote a row or a message.

At the level "debug", which is for development, both are written whole.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType

from labelmesh_chassis.calls import current_call
from labelmesh_chassis.errors import MeshError
from labelmesh_chassis.tracing import current_ids

_log = logging.getLogger(__name__)
# Of our own packages. What these write is known.
_OURS = ("labelmesh_", "__main__")
# Of an exception, the newest ones.
_MOST_FRAMES = 40


class JsonFormatter(logging.Formatter):
    """A line is {"time", "level", "service", "logger", "message", "request_id"?, "trace_id"?, "span_id"?, ...fields, "exception"?}."""

    def __init__(self, service: str, *, whole: bool = False) -> None:
        super().__init__()
        self._service = service
        self._whole = whole

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage() if self._whole or record.name.startswith(_OURS) else str(record.msg).partition(":")[0],
        }
        call = current_call.get()
        if call is not None and call.request_id:
            entry["request_id"] = call.request_id
        ids = current_ids()
        if ids is not None:
            entry["trace_id"], entry["span_id"] = ids
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            entry.update(fields)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)

    def formatException(self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]) -> str:
        if self._whole or ei[1] is None:
            return super().formatException(ei)
        return "\n".join(_described(ei[1]))


def _described(failure: BaseException) -> list[str]:
    """Innermost cause first, as Python writes it, without texts."""
    chain: list[BaseException] = []
    cause: BaseException | None = failure
    # An error that is raised from itself is its own cause.
    while cause is not None and not any(cause is known for known in chain):
        chain.append(cause)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return [line for found in reversed(chain) for line in _described_alone(found)]


def _described_alone(failure: BaseException) -> list[str]:
    frames = traceback.extract_tb(failure.__traceback__)[-_MOST_FRAMES:]
    # SQLAlchemy wraps the driver's error, which has Postgres' code.
    reason = failure.reason if isinstance(failure, MeshError) else getattr(getattr(failure, "orig", failure), "pgcode", None)
    kind = f"{type(failure).__module__}.{type(failure).__qualname__}{f' ({reason})' if reason else ''}"
    return [*(f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames), kind]


def configure_logging(service: str, level: str) -> None:
    """Sends every log of this process to standard error as JSON, also what Python itself would write there of other threads and of what it
    clears away. A program that ends by an exception still says so in Python's own words, to whoever started it. For `__main__` alone.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service, whole=level == "debug"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # One line a migration step or a new connection says nothing to those who operate the service.
    for noisy in ("alembic", "urllib3", "labelmesh_chassis.pools"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    threading.excepthook = _thread_ended
    sys.unraisablehook = _not_raised


def _thread_ended(found: threading.ExceptHookArgs) -> None:
    if found.exc_value is not None and not isinstance(found.exc_value, SystemExit):
        _log.error("a thread ended by a fault of ours", exc_info=found.exc_value)


def _not_raised(found: sys.UnraisableHookArgs) -> None:
    """Of what is cleared away: there is nobody to raise it to."""
    _log.error("an exception could not be raised", exc_info=found.exc_value)
