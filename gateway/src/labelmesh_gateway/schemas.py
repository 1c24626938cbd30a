"""JSON Schema of the contract's messages, as the JSON mapping of protobuf writes them and with the limits that requests are held to.

Source: https://protobuf.dev/programming-guides/json/ and the rules of buf/validate/validate.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from buf.validate import validate_pb2
from google.protobuf import descriptor_pb2

from labelmesh_gateway.contract import comments_of

Schema = dict[str, Any]
Field = descriptor_pb2.FieldDescriptorProto

UUID_PATTERN = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"

_WELL_KNOWN: dict[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?\d+(\.\d{1,9})?s$", "description": 'Seconds, e.g. "120s" or "0.5s".'},
    "google.protobuf.FieldMask": {"type": "string", "description": "Names of fields, separated by commas."},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "required": ["@type"],
        "additionalProperties": True,
    },
    "google.protobuf.Struct": {"type": "object", "additionalProperties": True},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.Value": {},
    "google.protobuf.Empty": {"type": "object"},
}
_INTEGERS = {Field.TYPE_INT32, Field.TYPE_SINT32, Field.TYPE_SFIXED32, Field.TYPE_UINT32, Field.TYPE_FIXED32}
_LONG_INTEGERS = {Field.TYPE_INT64, Field.TYPE_SINT64, Field.TYPE_SFIXED64, Field.TYPE_UINT64, Field.TYPE_FIXED64}
_UNSIGNED = {Field.TYPE_UINT32, Field.TYPE_FIXED32, Field.TYPE_UINT64, Field.TYPE_FIXED64}
_NUMBERS = {Field.TYPE_DOUBLE, Field.TYPE_FLOAT}


class Schemas:
    """Schemas of messages and enums by their full names, built as they are asked for; `components` holds what has been."""

    def __init__(self, files: descriptor_pb2.FileDescriptorSet) -> None:
        self._messages: dict[str, tuple[descriptor_pb2.DescriptorProto, dict[int, str], str]] = {}
        self._enums: dict[str, tuple[descriptor_pb2.EnumDescriptorProto, dict[int, str], str]] = {}
        self.components: dict[str, Schema] = {}
        for file in files.file:
            comments = comments_of(file)
            if file.package.startswith("google."):
                comments = {path: text.partition("\n\n")[0] for path, text in comments.items()}
            for index, message in enumerate(file.message_type):
                self._index_message(message, file.package, (4, index), comments)
            for index, enum in enumerate(file.enum_type):
                self._index_enum(enum, file.package, (5, index), comments)

    def _index_message(
        self, message: descriptor_pb2.DescriptorProto, scope: str, path: tuple[int, ...], comments: dict[tuple[int, ...], str]
    ) -> None:
        name = f"{scope}.{message.name}"
        fields = {number: comments.get((*path, 2, number), "") for number in range(len(message.field))}
        self._messages[name] = (message, fields, comments.get(path, ""))
        for index, nested in enumerate(message.nested_type):
            self._index_message(nested, name, (*path, 3, index), comments)
        for index, enum in enumerate(message.enum_type):
            self._index_enum(enum, name, (*path, 4, index), comments)

    def _index_enum(
        self, enum: descriptor_pb2.EnumDescriptorProto, scope: str, path: tuple[int, ...], comments: dict[tuple[int, ...], str]
    ) -> None:
        values = {number: comments.get((*path, 2, number), "") for number in range(len(enum.value))}
        self._enums[f"{scope}.{enum.name}"] = (enum, values, comments.get(path, ""))

    def reference(self, name: str) -> Schema:
        """A reference to the schema of a message or an enum, which is put among the components."""
        if name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[name])
        if name not in self.components:
            self.components[name] = {}  # ends the recursion of messages that contain themselves
            self.components[name] = self._enum(name) if name in self._enums else self.message(name)
        return {"$ref": f"#/components/schemas/{name}"}

    def message(self, name: str, *, without: frozenset[str] = frozenset()) -> Schema:
        """The schema of a message itself, without the fields named in `without` (proto names)."""
        message, _, comment = self._messages[name]
        schema: Schema = {"type": "object"}
        if comment:
            schema["description"] = comment
        fields = [(field, text) for field, text in self.fields(name) if field.name not in without]
        schema["properties"] = {field.json_name: self.field(field, text) for field, text in fields}
        required = [field.json_name for field, _ in fields if is_required(field)]
        if required:
            schema["required"] = required
        choices = (
            [field.json_name for field, _ in fields if _is_choice(field) and field.oneof_index == at]
            for at in range(len(message.oneof_decl))
        )
        notes = [f"At most one of {', '.join(names)}." for names in choices if names]
        if notes:
            schema["description"] = "\n\n".join([*filter(None, [comment]), *notes])
        return schema

    def fields(self, name: str) -> Iterator[tuple[Field, str]]:
        """The fields of a message with their comments, in the order of the file."""
        message, comments, _ = self._messages[name]
        for number, field in enumerate(message.field):
            yield field, comments[number]

    def field(self, field: Field, comment: str = "") -> Schema:
        """The schema of one field, with the limits that the contract sets."""
        rules = field.options.Extensions[validate_pb2.field]
        entry = self._map_entry(field)
        if entry is not None:
            schema: Schema = {"type": "object", "additionalProperties": self._single(entry.field[1], validate_pb2.FieldRules())}
        elif field.label == Field.LABEL_REPEATED:
            schema = {"type": "array", "items": self._single(field, rules.repeated.items), **_array_limits(rules)}
        else:
            schema = self._single(field, rules)
        if comment:
            own = schema.get("description")
            schema["description"] = f"{comment}\n\n{own}" if own else comment
        return schema

    def _map_entry(self, field: Field) -> descriptor_pb2.DescriptorProto | None:
        if field.type != Field.TYPE_MESSAGE or field.label != Field.LABEL_REPEATED:
            return None
        known = self._messages.get(field.type_name.lstrip("."))
        return known[0] if known is not None and known[0].options.map_entry else None

    def _single(self, field: Field, rules: validate_pb2.FieldRules) -> Schema:
        if field.type in (Field.TYPE_MESSAGE, Field.TYPE_ENUM):
            return self.reference(field.type_name.lstrip("."))
        return {**_scalar(field), **_limits(field, rules)}

    def _enum(self, name: str) -> Schema:
        enum, comments, comment = self._enums[name]
        lines = [comment, *(f"{value.name}: {comments[number]}" for number, value in enumerate(enum.value) if comments[number])]
        schema: Schema = {"type": "string", "enum": [value.name for value in enum.value]}
        text = "\n\n".join(filter(None, lines))
        if text:
            schema["description"] = text
        return schema


def is_required(field: Field) -> bool:
    """Whether a request without the field is refused: its rules do not let the default value through."""
    rules = field.options.Extensions[validate_pb2.field]
    if rules.required:
        return True
    if rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE or field.proto3_optional or _is_choice(field):
        return False
    if field.label == Field.LABEL_REPEATED:
        return rules.repeated.min_items > 0
    return rules.string.min_len > 0 or rules.string.uuid or rules.bytes.min_len > 0 or 0 in rules.enum.not_in


def _is_choice(field: Field) -> bool:
    return field.HasField("oneof_index") and not field.proto3_optional


def _scalar(field: Field) -> Schema:
    if field.type == Field.TYPE_BOOL:
        return {"type": "boolean"}
    if field.type in _INTEGERS:
        return {"type": "integer", "format": "int32", **({"minimum": 0} if field.type in _UNSIGNED else {})}
    if field.type in _LONG_INTEGERS:
        return {"type": "string", "format": "int64", "pattern": r"^\d+$" if field.type in _UNSIGNED else r"^-?\d+$"}
    if field.type in _NUMBERS:
        return {"type": "number", "format": "double" if field.type == Field.TYPE_DOUBLE else "float"}
    if field.type == Field.TYPE_BYTES:
        return {"type": "string", "format": "byte"}
    return {"type": "string"}


def _limits(field: Field, rules: validate_pb2.FieldRules) -> Schema:
    if field.type == Field.TYPE_STRING:
        return _string_limits(rules.string)
    if field.type == Field.TYPE_BYTES and rules.bytes.HasField("max_len"):
        return {"maxLength": (rules.bytes.max_len + 2) // 3 * 4, "description": f"Base64 of at most {rules.bytes.max_len:,} bytes."}
    if field.type in _INTEGERS:
        return _number_limits(rules.int32 if field.type not in _UNSIGNED else rules.uint32)
    if field.type in _NUMBERS:
        return _number_limits(rules.double if field.type == Field.TYPE_DOUBLE else rules.float)
    return {}


def _string_limits(rules: validate_pb2.StringRules) -> Schema:
    schema: Schema = {}
    if rules.uuid:
        schema |= {"format": "uuid", "pattern": UUID_PATTERN}
    if rules.HasField("min_len"):
        schema["minLength"] = rules.min_len
    if rules.HasField("max_len"):
        schema["maxLength"] = rules.max_len
    if rules.HasField("pattern"):
        schema["pattern"] = rules.pattern
    if getattr(rules, "in"):
        schema["enum"] = list(getattr(rules, "in"))
    return schema


def _number_limits(rules: Any) -> Schema:
    names = {"gte": "minimum", "lte": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}
    return {schema: getattr(rules, rule) for rule, schema in names.items() if rules.HasField(rule)}


def _array_limits(rules: validate_pb2.FieldRules) -> Schema:
    schema: Schema = {}
    if rules.repeated.HasField("min_items"):
        schema["minItems"] = rules.repeated.min_items
    if rules.repeated.HasField("max_items"):
        schema["maxItems"] = rules.repeated.max_items
    if rules.repeated.unique:
        schema["uniqueItems"] = True
    return schema
