"""Logs: one JSON object a line on standard error, with the request's id, and nothing personal."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from labelmesh_chassis.calls import current_call


class JsonFormatter(logging.Formatter):
    """A line is {"time", "level", "logger", "message", "request_id"?, ...fields, "exception"?}."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        call = current_call.get()
        if call is not None and call.request_id:
            entry["request_id"] = call.request_id
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            entry.update(fields)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def configure_logging(service: str, level: str) -> None:
    """Sends every log of this process to standard error as JSON. For `__main__` alone."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # One line a migration step or a new connection says nothing to those who operate the service.
    for noisy in ("alembic", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
