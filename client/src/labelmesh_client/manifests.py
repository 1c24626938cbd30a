"""Manifests: what a model needs and what its outputs mean, as YAML with the field names of the contract's ModelManifest.

>>> manifest = read_manifest("mobilenet/3/assets.extra/labelmesh.yaml")
>>> manifest.input.width
224
"""

from __future__ import annotations

import difflib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from labelmesh.inference.v1 import manifests_pb2

from labelmesh_client.errors import SourceError

if TYPE_CHECKING:
    from yaml import Node

_MAX_BYTES = 4 * 1024 * 1024
_SHOWN_PROBLEMS = 20


def read_manifest(path: str | Path) -> manifests_pb2.ModelManifest:
    """The manifest in a YAML file. Raises SourceError naming each faulty line and field; the server checks values further."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise SourceError(f"{path} has more than {_MAX_BYTES:,} bytes; that is no manifest.")
        return parse_manifest(content.decode("utf-8"), str(path))
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise SourceError(f"{path} is not text in UTF-8.") from None


def parse_manifest(text: str, source: str = "the manifest") -> manifests_pb2.ModelManifest:
    """The manifest that a YAML text says; `source` names it in errors.

    Enumerations may be named whole or by their last part: `kind: INPUT_KIND_PIXELS` or `kind: pixels`. Raises SourceError.
    """
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        raise SourceError(f"{source} is no YAML: {where}{error.problem or error.context or 'it cannot be read'}.") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise SourceError(f"{source} is no YAML: {error or 'too deep'}.") from None
    manifest = manifests_pb2.ModelManifest()
    reader = _Reader()
    if root is None:
        reader.problems.append("it is empty")
    else:
        reader.fill(manifest, root, "")
    if reader.problems:
        more = len(reader.problems) - _SHOWN_PROBLEMS
        shown = [*reader.problems[:_SHOWN_PROBLEMS], *([f"and {more:,} more"] if more > 0 else [])]
        raise SourceError(f"{source} is no manifest:\n  " + "\n  ".join(shown))
    return manifest


def manifest_text(manifest: manifests_pb2.ModelManifest) -> str:
    """The manifest as YAML that `parse_manifest` reads back."""
    import yaml

    plain = json_format.MessageToDict(manifest, preserving_proto_field_name=True)
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120))


@dataclass
class _Place:
    path: str
    line: int

    def says(self, problem: str) -> str:
        return f"line {self.line}: {self.path or 'the file'}: {problem}"


class _Reader:
    """Fills a message from YAML nodes, and goes on after a fault to find the others.

    Each field is filled once, so a file cannot unfold to more than its fields hold, whatever aliases it uses.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []

    def fill(self, message: Message, node: Node, path: str) -> None:
        from yaml import MappingNode, ScalarNode

        place = _place(path, node)
        if not isinstance(node, MappingNode):
            self.problems.append(place.says("here belong fields, each as `name: value`"))
            return
        seen: set[str] = set()
        for key, value in node.value:
            name = key.value if isinstance(key, ScalarNode) else "?"
            at = _place(_joined(path, str(name)), key)
            field: Any = message.DESCRIPTOR.fields_by_name.get(str(name))
            if field is None:
                self.problems.append(at.says(_unknown(str(name), message)))
            elif name in seen:
                self.problems.append(at.says("it stands here twice"))
            else:
                seen.add(str(name))
                self._set(message, field, value, at)

    def _set(self, message: Message, field: FieldDescriptor, node: Node, at: _Place) -> None:
        oneof = field.containing_oneof
        if oneof is not None and (other := message.WhichOneof(oneof.name)) is not None:
            self.problems.append(at.says(f"there is {other} already; a manifest has one {oneof.name}"))
            return
        if _is_null(node):
            return
        if field.is_repeated:
            self._set_list(message, field, node, at)
        elif _is_plain_message(field):
            inner = getattr(message, field.name)
            inner.SetInParent()
            self.fill(inner, node, at.path)
        elif (value := self._scalar(field, node, at)) is not None:
            self._parse(message, field, value, _place(at.path, node))

    def _set_list(self, message: Message, field: FieldDescriptor, node: Node, at: _Place) -> None:
        from yaml import SequenceNode

        if not isinstance(node, SequenceNode):
            self.problems.append(at.says("here belongs a list, e.g. [a, b]"))
            return
        places = [_place(f"{at.path}[{index}]", each) for index, each in enumerate(node.value)]
        values = [self._scalar(field, each, place) for each, place in zip(node.value, places, strict=True)]
        if None in values:
            return
        try:
            json_format.ParseDict({field.name: values}, message)
        except json_format.ParseError:
            for value, place in zip(values, places, strict=True):
                self._parse(type(message)(), field, [value], place)

    def _scalar(self, field: FieldDescriptor, node: Node, at: _Place) -> Any:
        """The value as the JSON form of messages has it; None with a problem noted."""
        from yaml import SafeLoader, ScalarNode

        if not isinstance(node, ScalarNode):
            self.problems.append(at.says("here belongs one value"))
            return None
        if field.type == FieldDescriptor.TYPE_STRING:
            # The text as it stands there: a label `7` or `no` is meant as a name.
            return str(node.value)
        if field.enum_type is not None:
            return self._enum(field, str(node.value), at)
        constructor = SafeLoader("")
        try:
            value = constructor.construct_object(node)
        except (ValueError, TypeError):
            value = node.value
        finally:
            constructor.dispose()
        if isinstance(value, str) and field.type == FieldDescriptor.TYPE_DOUBLE:
            with suppress(ValueError):
                value = float(value)  # 1e-3 is a number to everybody but YAML 1.1.
        if isinstance(value, bool) != (field.type == FieldDescriptor.TYPE_BOOL) or not isinstance(value, bool | int | float | str):
            self.problems.append(at.says(f"{node.value!r} is not {_wanted(field)}"))
            return None
        return value

    def _enum(self, field: FieldDescriptor, text: str, at: _Place) -> str | None:
        assert field.enum_type is not None
        names = [value.name for value in field.enum_type.values if value.number != 0]
        prefix = field.enum_type.values[0].name.removesuffix("UNSPECIFIED")
        wanted = text.strip().upper().replace("-", "_")
        for name in (wanted, prefix + wanted):
            if name in names:
                return name
        shown = ", ".join(name.removeprefix(prefix).lower() for name in names)
        self.problems.append(at.says(f"{text!r} is none of: {shown}"))
        return None

    def _parse(self, message: Message, field: FieldDescriptor, value: Any, at: _Place) -> None:
        try:
            json_format.ParseDict({field.name: value}, message)
        except json_format.ParseError:
            shown = value[0] if isinstance(value, list) else value
            self.problems.append(at.says(f"{shown!r} is not {_wanted(field)}"))


def _place(path: str, node: Node) -> _Place:
    return _Place(path, node.start_mark.line + 1 if node.start_mark is not None else 1)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _is_null(node: Node) -> bool:
    return node.tag == "tag:yaml.org,2002:null"


def _is_plain_message(field: FieldDescriptor) -> bool:
    return field.message_type is not None and not field.message_type.full_name.startswith("google.protobuf.")


def _unknown(name: str, message: Message) -> str:
    names = [field.name for field in message.DESCRIPTOR.fields]
    close = difflib.get_close_matches(name, names, n=1)
    return f"there is no such field; did you mean {close[0]}?" if close else f"there is no such field; there are: {', '.join(names)}"


def _wanted(field: FieldDescriptor) -> str:
    if field.message_type is not None:
        return "a length of time in seconds, e.g. 0.005s"
    whole = (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64)
    if field.type in whole:
        return "a whole number that fits"
    if field.type == FieldDescriptor.TYPE_BOOL:
        return "true or false"
    return "a number"
