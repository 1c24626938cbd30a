"""The errors of this server: a canonical code and TensorFlow Serving's text for it."""

from __future__ import annotations

import enum


class Code(enum.IntEnum):
    """Canonical codes: gRPC and TensorFlow number them alike (google/rpc/code.proto, tensorflow/core/protobuf/error_codes.proto)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


# Longer texts are cut before they become a gRPC status: they travel in a header.
# Source: tensorflow_serving/model_servers/grpc_status_util.cc.
MESSAGE_LIMIT = 1024


class ServingError(Exception):
    """A request or a load that failed, as TensorFlow Serving would report it."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    def __str__(self) -> str:
        return f"{self.code.name}: {self.text}"

    def details(self) -> str:
        """The text of the gRPC status, cut like TensorFlow Serving's."""
        return self.text if len(self.text) <= MESSAGE_LIMIT else self.text[:MESSAGE_LIMIT] + "...TRUNCATED"


def invalid_argument(text: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, text)


def failed_precondition(text: str) -> ServingError:
    return ServingError(Code.FAILED_PRECONDITION, text)


def not_found(text: str) -> ServingError:
    return ServingError(Code.NOT_FOUND, text)


def internal(text: str) -> ServingError:
    return ServingError(Code.INTERNAL, text)
