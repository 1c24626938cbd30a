"""What the contract's descriptors say about services, methods and their JSON paths."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Iterator
from dataclasses import dataclass

from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2
from labelmesh.options.v1 import options_pb2

DEFAULT_DEADLINE_S = 10
"""What a service grants a call that has no deadline of its own, where the contract says nothing else."""


@dataclass(frozen=True)
class HttpRule:
    """One way to call a method as JSON: a verb, a path template, and which field the body is ("*": all, "": none)."""

    verb: str
    template: str
    body: str

    @property
    def path_fields(self) -> tuple[str, ...]:
        """The fields that the path carries, in its order."""
        return tuple(re.findall(r"\{([a-z_.]+)(?:=[^}]*)?\}", self.template))

    @property
    def path_pattern(self) -> str:
        """A regular expression (RE2) of the paths that the template stands for."""
        parts = re.split(r"\{[^}]*\}", self.template)
        return "[^/]+".join(re.escape(part) for part in parts)


@dataclass(frozen=True)
class Method:
    """One RPC and what its options say."""

    service: str
    """With its package: "labelmesh.auth.v1.SessionService"."""
    name: str
    input_type: str
    output_type: str
    client_streaming: bool
    server_streaming: bool
    read: bool
    """Has no side effects."""
    open: bool
    passive: bool
    repeatable: bool
    """May be sent again after an attempt whose fate is unknown: reads, and calls with a request_id."""
    scope: str
    deadline_s: int
    rules: tuple[HttpRule, ...]
    comment: str

    @property
    def answers_file(self) -> bool:
        """Whether JSON callers get a file or a page of any type instead of JSON."""
        return self.output_type == "google.api.HttpBody"

    @property
    def path(self) -> str:
        """As gRPC calls it: "/labelmesh.auth.v1.SessionService/SignIn"."""
        return f"/{self.service}/{self.name}"


@dataclass(frozen=True)
class Service:
    """One service; `part` is the part of the mesh that serves it, from its package: "auth"."""

    name: str
    part: str
    methods: tuple[Method, ...]
    comment: str


def contract_bytes() -> bytes:
    """The contract's FileDescriptorSet with comments, imports and google/rpc/error_details.proto, as built."""
    return importlib.resources.files("labelmesh.contract").joinpath("descriptors.binpb").read_bytes()


def contract_files(data: bytes | None = None) -> descriptor_pb2.FileDescriptorSet:
    """The contract's files. Raises ValueError where the details of errors are not among them."""
    files = descriptor_pb2.FileDescriptorSet.FromString(contract_bytes() if data is None else data)
    if "google/rpc/error_details.proto" not in {file.name for file in files.file}:
        raise ValueError("the descriptor set lacks google/rpc/error_details.proto: errors would reach JSON callers empty")
    return files


def services_of(files: descriptor_pb2.FileDescriptorSet) -> tuple[Service, ...]:
    """Every service of ours, by name."""
    found = (service for file in files.file if file.package.startswith("labelmesh.") for service in _services_in(file))
    return tuple(sorted(found, key=lambda service: service.name))


def comments_of(file: descriptor_pb2.FileDescriptorProto) -> dict[tuple[int, ...], str]:
    """Comments by the path of what they stand on (descriptor.proto, SourceCodeInfo): the leading one, else the trailing one."""
    comments: dict[tuple[int, ...], str] = {}
    for location in file.source_code_info.location:
        text = location.leading_comments or location.trailing_comments
        if text:
            comments[tuple(location.path)] = "\n".join(line.strip() for line in text.strip().splitlines())
    return comments


def _services_in(file: descriptor_pb2.FileDescriptorProto) -> Iterator[Service]:
    comments = comments_of(file)
    for index, service in enumerate(file.service):
        name = f"{file.package}.{service.name}"
        methods = tuple(_method(name, method, comments.get((6, index, 2, number), "")) for number, method in enumerate(service.method))
        yield Service(name, file.package.split(".")[1], methods, comments.get((6, index), ""))


def _method(service: str, method: descriptor_pb2.MethodDescriptorProto, comment: str) -> Method:
    options = method.options
    read = options.idempotency_level == descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
    http = options.Extensions[annotations_pb2.http]
    return Method(
        service=service,
        name=method.name,
        input_type=method.input_type.lstrip("."),
        output_type=method.output_type.lstrip("."),
        client_streaming=method.client_streaming,
        server_streaming=method.server_streaming,
        read=read,
        open=options.Extensions[options_pb2.open],
        passive=read or options.Extensions[options_pb2.passive],
        repeatable=read or options.Extensions[options_pb2.repeatable],
        scope=options.Extensions[options_pb2.scope],
        deadline_s=options.Extensions[options_pb2.default_deadline_s] or DEFAULT_DEADLINE_S,
        rules=tuple(_rules(http)),
        comment=comment,
    )


def _rules(http: http_pb2.HttpRule) -> Iterator[HttpRule]:
    for rule in (http, *http.additional_bindings):
        verb = rule.WhichOneof("pattern")
        if verb is None:
            continue
        if verb == "custom":
            raise ValueError(f"custom verb {rule.custom.kind} has no JSON route")
        yield HttpRule(verb, getattr(rule, verb), rule.body)
