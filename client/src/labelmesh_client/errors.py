"""What can go wrong, as types: one for each status a server answers, and a few for what goes wrong on this side.

A server's errors carry `google.rpc` details (ErrorInfo, BadRequest, RetryInfo); they are restored here, so that a program
decides by type and by `reason`, never by the wording of a message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

_DETAILS_KEY = "grpc-status-details-bin"


@dataclass(frozen=True)
class FieldViolation:
    """One field that was refused: its path, e.g. `images[3].content`, what is wrong with it, and a stable reason if there is one."""

    field: str
    description: str
    reason: str = ""


class LabelmeshError(Exception):
    """Anything that labelmesh refuses or fails at. `str()` is a sentence for people.

    `reason` is stable and for programs, e.g. `LEASE_LOST`; empty when the server gave none. `retry_after` is in seconds, None when the
    server did not say that trying again helps.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        violations: Sequence[FieldViolation] = (),
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.violations = tuple(violations)
        self.metadata = dict(metadata or {})
        self.retry_after = retry_after

    def __str__(self) -> str:
        if not self.violations:
            return self.message
        # What has been said already is not said again.
        fields = "; ".join(
            one.field if one.description == self.message else f"{one.field}: {one.description}" for one in self.violations[:10]
        )
        more = len(self.violations) - 10
        return f"{self.message} ({fields}{f'; and {more} more' if more > 0 else ''})"


class InvalidArgument(LabelmeshError):
    """A field of the request is not what the contract asks for; `violations` names them."""


class Unauthenticated(LabelmeshError):
    """The credentials are missing, wrong, or their session has ended (`SESSION_ENDED`, `SESSION_REVOKED`, `API_KEY_INVALID`, ...)."""


class PermissionDenied(LabelmeshError):
    """The account or key may not do this; `SCOPE_MISSING` when a key lacks a scope."""


class NotFound(LabelmeshError):
    """There is no such thing, or the caller may not see it."""


class AlreadyExists(LabelmeshError):
    """It is there already."""


class FailedPrecondition(LabelmeshError):
    """Not in this state, e.g. `LEASE_LOST`, `LEASE_ENDED`, `NOTHING_TO_UNDO`, `CLASS_IN_USE`."""


class Aborted(LabelmeshError):
    """Somebody else changed it meanwhile (`ETAG_MISMATCH`): read it again."""


class ResourceExhausted(LabelmeshError):
    """Too much or too often; `retry_after` says when to try again, where the server knows."""


class OutOfRange(LabelmeshError):
    """Past the end of what there is."""


class Unavailable(LabelmeshError):
    """The server cannot be reached or is not ready, also after the retries that are allowed."""


class DeadlineExceeded(LabelmeshError):
    """No answer came in time. Whether the call took effect is not known, unless it is a read or a repeatable method."""


class Cancelled(LabelmeshError):
    """The call was given up on this side, e.g. because the client was closed."""


class ServerError(LabelmeshError):
    """The server failed in a way that is not the caller's fault."""


class ConfigurationError(LabelmeshError):
    """An address or credentials that cannot be used; nothing was sent."""


class SourceError(LabelmeshError):
    """Data on this side that cannot be read: a folder, an IDX file, a CSV line."""


class DownloadError(LabelmeshError):
    """A file that could not be fetched over HTTP, or is not what was expected."""


_BY_CODE: dict[grpc.StatusCode, type[LabelmeshError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.ABORTED: Aborted,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.OUT_OF_RANGE: OutOfRange,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Cancelled,
}


def error_of(error: grpc.RpcError) -> LabelmeshError:
    """The typed error of a failed call, with the details that came along. Details that cannot be read are left out."""
    return _error(_BY_CODE.get(error.code(), ServerError), error.details() or error.code().value[1], _details(error))


def error_of_status(status: status_pb2.Status) -> LabelmeshError:
    """The typed error that a message carries for one item among several."""
    kind = next((kind for code, kind in _BY_CODE.items() if code.value[0] == status.code), ServerError)
    return _error(kind, status.message or "it failed", list(status.details))


def _error(kind: type[LabelmeshError], message: str, details: Sequence[Any]) -> LabelmeshError:
    reason, metadata, retry_after = "", {}, None
    violations: list[FieldViolation] = []
    for detail in details:
        info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        try:
            if detail.Unpack(info):
                reason, metadata = info.reason, dict(info.metadata)
            elif detail.Unpack(bad):
                violations += [FieldViolation(each.field, each.description, getattr(each, "reason", "")) for each in bad.field_violations]
            elif detail.Unpack(retry):
                retry_after = retry.retry_delay.ToTimedelta().total_seconds()
        except DecodeError:
            continue
    return kind(message, reason=reason, violations=violations, metadata=metadata, retry_after=retry_after)


def _details(error: grpc.RpcError) -> list[Any]:
    metadata: Sequence[tuple[str, str | bytes]] = cast(Any, error.trailing_metadata()) or ()
    for key, value in metadata:
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                return list(status_pb2.Status.FromString(value).details)
            except DecodeError:
                return []
    return []
