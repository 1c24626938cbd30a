"""The one family of errors that domain code raises and that crosses the wire unchanged.

An error leaves a service as a gRPC status with google.rpc details (https://google.aip.dev/193)
and comes back in the caller as the same type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

DOMAIN = "labelmesh"


@dataclass(frozen=True)
class FieldViolation:
    """What is wrong with one field of a request: its path as in `images[3].content`, a sentence, and a stable reason."""

    field: str
    description: str
    reason: str = ""


class MeshError(Exception):
    """An error that a caller may see: a stable reason in UPPER_SNAKE_CASE and a sentence that says what to do."""

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        field: str | None = None,
        violations: Sequence[FieldViolation] = (),
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        own = (FieldViolation(field, message, reason),) if field is not None else ()
        self.violations: tuple[FieldViolation, ...] = (*own, *violations)
        self.metadata: dict[str, str] = dict(metadata or {})
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class InvalidArgument(MeshError):
    """The request is wrong whatever the state of the system."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class OutOfRange(MeshError):
    """The request asks for something past the end."""

    code = grpc.StatusCode.OUT_OF_RANGE


class Unauthenticated(MeshError):
    """Nobody valid is calling."""

    code = grpc.StatusCode.UNAUTHENTICATED


class PermissionDenied(MeshError):
    """The caller is known and may not do this."""

    code = grpc.StatusCode.PERMISSION_DENIED


class NotFound(MeshError):
    """What the request names is not there, or not for this caller's eyes."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(MeshError):
    """What the request makes is there already."""

    code = grpc.StatusCode.ALREADY_EXISTS


class FailedPrecondition(MeshError):
    """The system is not in the state that the request needs; sending it again does not help."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class Aborted(MeshError):
    """Somebody else changed the same thing at the same time; start over from reading."""

    code = grpc.StatusCode.ABORTED


class ResourceExhausted(MeshError):
    """A limit is reached."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class Unavailable(MeshError):
    """A part is away for now; the same request may work later."""

    code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceeded(MeshError):
    """It took longer than it may."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class InternalError(MeshError):
    """A fault of ours, of which a caller learns no more than that."""

    code = grpc.StatusCode.INTERNAL


class UnknownError(MeshError):
    """A status that this family has no type for, e.g. CANCELLED; `status_code` keeps it."""

    def __init__(self, reason: str, message: str, *, status_code: grpc.StatusCode = grpc.StatusCode.UNKNOWN) -> None:
        super().__init__(reason, message)
        self.status_code = status_code


_TYPES: dict[grpc.StatusCode, type[MeshError]] = {
    kind.code: kind
    for kind in (
        InvalidArgument,
        OutOfRange,
        Unauthenticated,
        PermissionDenied,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        Aborted,
        ResourceExhausted,
        Unavailable,
        DeadlineExceeded,
        InternalError,
    )
}

_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


def to_status(error: MeshError, *, request_id: str = "") -> status_pb2.Status:
    """The status that a client gets: the code, the sentence, and ErrorInfo, BadRequest, RetryInfo and RequestInfo where they apply."""
    status = status_pb2.Status(code=error.code.value[0], message=error.message)
    status.details.append(_packed(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)))
    if error.violations:
        bad_request = error_details_pb2.BadRequest()
        for violation in error.violations:
            bad_request.field_violations.add(field=violation.field, description=violation.description, reason=violation.reason)
        status.details.append(_packed(bad_request))
    if error.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(error.retry_after * 1e9))
        status.details.append(_packed(retry))
    if request_id:
        status.details.append(_packed(error_details_pb2.RequestInfo(request_id=request_id)))
    return status


def error_of(failure: grpc.RpcError) -> MeshError:
    """The error that a service raised, from what its caller got."""
    # Every error that grpc raises for a call is the call itself, which its types do not say.
    call: Any = failure
    if not hasattr(call, "code"):
        return UnknownError("UNKNOWN", str(failure))
    code: grpc.StatusCode = call.code()
    message: str = call.details() or str(failure)
    status = _status_of(call)
    if status is None:
        return _typed(code, code.name, message, (), {}, None)
    return from_status(status)


def from_status(status: status_pb2.Status) -> MeshError:
    """The error that `to_status` made a status of."""
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    info, bad_request, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    retry_after: float | None = None
    for detail in status.details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            detail.Unpack(bad_request)
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            detail.Unpack(retry)
            retry_after = retry.retry_delay.ToNanoseconds() / 1e9
    violations = tuple(FieldViolation(v.field, v.description, getattr(v, "reason", "")) for v in bad_request.field_violations)
    return _typed(code, info.reason or code.name, status.message, violations, dict(info.metadata), retry_after)


def _typed(
    code: grpc.StatusCode,
    reason: str,
    message: str,
    violations: tuple[FieldViolation, ...],
    metadata: dict[str, str],
    retry_after: float | None,
) -> MeshError:
    kind = _TYPES.get(code)
    if kind is None:
        return UnknownError(reason, message, status_code=code)
    return kind(reason, message, violations=violations, metadata=metadata, retry_after=retry_after)


def _status_of(call: Any) -> status_pb2.Status | None:
    try:
        status: status_pb2.Status | None = rpc_status.from_call(call)
    except ValueError:  # The details contradict the code or the message: somebody between rewrote one of them.
        return None
    return status


def _packed(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
