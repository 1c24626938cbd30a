"""What the contract says of a method, read from its options so that no list of methods is kept by hand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from google.protobuf import descriptor, descriptor_pb2, descriptor_pool

_OPTIONS = "labelmesh.options.v1."


@dataclass(frozen=True)
class MethodOptions:
    """The promises of one method.

    `passive`: never counts as activity of a person. `open`: needs no caller. `scope`: what an API key must be allowed, empty for
    none may. `default_deadline_s`: seconds without a deadline of the caller, 0 for the service's default. `repeatable`: may be sent
    again after a failed attempt.
    """

    full_name: str
    passive: bool = False
    open: bool = False
    scope: str = ""
    default_deadline_s: int = 0
    repeatable: bool = False


@lru_cache(maxsize=4096)
def method_options(path: str) -> MethodOptions | None:
    """The options of `/package.Service/Method`, or None when the contract in this process has no such method."""
    service_name, _, method_name = path.removeprefix("/").partition("/")
    try:
        service = descriptor_pool.Default().FindServiceByName(service_name)
    except KeyError:
        return None
    method = service.methods_by_name.get(method_name)
    return options_of(method) if method is not None else None


def options_of(method: descriptor.MethodDescriptor) -> MethodOptions:
    """The options of a method of the contract; those of a foreign method are the defaults."""
    options = method.GetOptions()
    reads_only = options.idempotency_level == descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS

    def read(name: str) -> bool | str | int | None:
        try:
            extension = descriptor_pool.Default().FindExtensionByName(_OPTIONS + name)
        except KeyError:
            return None
        # The type of an extension found by its name is not known to the checker; the contract says bool, string or uint32.
        value: bool | str | int = cast(Any, options.Extensions)[extension]
        return value

    return MethodOptions(
        full_name=method.full_name,
        passive=reads_only or bool(read("passive")),
        open=bool(read("open")),
        scope=str(read("scope") or ""),
        default_deadline_s=int(read("default_deadline_s") or 0),
        repeatable=reads_only or bool(read("repeatable")),
    )
