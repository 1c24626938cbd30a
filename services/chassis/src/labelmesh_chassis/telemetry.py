"""Logs: one JSON object a line on standard error, with the ids of the request and its trace, and nothing personal.

No line holds a name, an e-mail address, a caller's network address, a token, a presigned address or anything out of a message. What a line
says of a caller is the id of an account or an API key: random, with no meaning but in auth's own database, and what an operator needs to
find whose calls fail. So that this also holds for what others write:

- A message of another package is written without what it fills in, which may be an address with its signature.
- An exception is written as where it came from and of what kind it is, without its text, which may quote a row or a message.

At the level "debug", which is for development, both are written whole.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType

from labelmesh_chassis.calls import current_call
from labelmesh_chassis.errors import MeshError
from labelmesh_chassis.tracing import current_ids

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
            "message": record.getMessage() if self._whole or record.name.startswith(_OURS) else str(record.msg),
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
    cause = failure.__cause__ or (None if failure.__suppress_context__ else failure.__context__)
    lines = [*_described(cause), ""] if cause is not None else []
    lines += [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(failure.__traceback__)[-_MOST_FRAMES:]]
    reason = failure.reason if isinstance(failure, MeshError) else getattr(failure, "pgcode", None)
    return [*lines, f"{type(failure).__module__}.{type(failure).__qualname__}{f' ({reason})' if reason else ''}"]


def configure_logging(service: str, level: str) -> None:
    """Sends every log of this process to standard error as JSON. For `__main__` alone."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service, whole=level == "debug"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # One line a migration step or a new connection says nothing to those who operate the service.
    for noisy in ("alembic", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
