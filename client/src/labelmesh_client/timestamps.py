"""Points in time between the wire and Python."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp


def moment(message: Message, field: str) -> datetime | None:
    """A timestamp field as an aware datetime in UTC; None when it is unset."""
    if not message.HasField(field):
        return None
    value: Timestamp = getattr(message, field)
    return value.ToDatetime(tzinfo=UTC)


def timestamp(value: datetime) -> Timestamp:
    """An aware datetime as a timestamp. Raises ValueError for one without a time zone."""
    if value.tzinfo is None:
        raise ValueError("a datetime needs a time zone here")
    message = Timestamp()
    message.FromDatetime(value.astimezone(UTC))
    return message
