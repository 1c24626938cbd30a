"""Any message of a descriptor, and whether a lean one and TensorFlow's say the same."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from tests.unit.inference.serving.wire_bytes import varints

_INTEGERS = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
}
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def is_map(field: Any) -> bool:
    return bool(field.message_type is not None and field.message_type.GetOptions().map_entry)


def packed_of(field: Any) -> bool:
    """Whether the elements of this field of TensorFlow's travel in one piece."""
    return bool(field.is_repeated and field.is_packed)


def pack(field: Any, values: Any) -> bytes:
    """The elements of a packed field of TensorFlow's as they travel."""
    letter = {FieldDescriptor.TYPE_FLOAT: "f", FieldDescriptor.TYPE_DOUBLE: "d"}.get(field.type)
    return struct.pack(f"<{len(values)}{letter}", *values) if letter else varints(int(value) for value in values)


def any_message(descriptor: Descriptor, fields: Callable[[Any], bool]) -> st.SearchStrategy[Message]:
    """Messages with the fields that `fields` lets through, present or not, filled with anything their types can hold."""

    @st.composite
    def build(draw: st.DrawFn) -> Message:
        message = GetMessageClass(descriptor)()
        for field in descriptor.fields:
            if fields(field) and draw(st.booleans()):
                _fill(draw, message, field, fields)
        return message

    return build()


def _fill(draw: st.DrawFn, message: Message, field: Any, fields: Callable[[Any], bool]) -> None:
    if is_map(field):
        value_field = field.message_type.fields_by_name["value"]
        for key in draw(st.lists(_TEXT, max_size=3, unique=True)):
            if value_field.message_type is None:
                getattr(message, field.name)[key] = draw(_value(value_field))
            else:
                getattr(message, field.name)[key].CopyFrom(draw(any_message(value_field.message_type, fields)))
    elif field.message_type is not None:
        made = (
            st.lists(any_message(field.message_type, fields), max_size=3) if field.is_repeated else any_message(field.message_type, fields)
        )
        drawn = draw(made)
        if field.is_repeated:
            getattr(message, field.name).extend(drawn)
        else:
            getattr(message, field.name).CopyFrom(drawn)
    elif field.is_repeated:
        getattr(message, field.name).extend(draw(st.lists(_value(field), max_size=5)))
    else:
        setattr(message, field.name, draw(_value(field)))


def _value(field: Any) -> st.SearchStrategy[Any]:
    if field.type in _INTEGERS:
        return st.integers(*_INTEGERS[field.type])
    enum: EnumDescriptor | None = field.enum_type
    if enum is not None:
        return st.sampled_from([value.number for value in enum.values])
    kinds: dict[int, st.SearchStrategy[Any]] = {
        FieldDescriptor.TYPE_STRING: _TEXT,
        FieldDescriptor.TYPE_BYTES: st.binary(max_size=8),
        FieldDescriptor.TYPE_BOOL: st.booleans(),
        FieldDescriptor.TYPE_FLOAT: st.floats(width=32, allow_nan=False),
        FieldDescriptor.TYPE_DOUBLE: st.floats(allow_nan=False),
    }
    return kinds[field.type]


def say_the_same(ours: Message, theirs: Message) -> bool:
    """Whether every field of a lean message has what TensorFlow's field of that number has, by value and not by bytes."""
    their_fields = {field.number: field for field in theirs.DESCRIPTOR.fields}
    return all(_same_field(ours, field, theirs, their_fields[field.number]) for field in ours.DESCRIPTOR.fields)


def _same_field(ours: Message, our_field: Any, theirs: Message, their_field: Any) -> bool:
    mine, other = getattr(ours, our_field.name), getattr(theirs, their_field.name)
    if packed_of(their_field):
        return b"".join(mine) == pack(their_field, other)
    if is_map(our_field):
        if set(mine) != set(other):
            return False
        nested = our_field.message_type.fields_by_name["value"].message_type is not None
        return all(say_the_same(mine[key], other[key]) if nested else mine[key] == other[key] for key in mine)
    if our_field.message_type is not None and our_field.is_repeated:
        return len(mine) == len(other) and all(say_the_same(one, its) for one, its in zip(mine, other, strict=True))
    if our_field.message_type is not None:
        return ours.HasField(our_field.name) == theirs.HasField(their_field.name) and say_the_same(mine, other)
    return bool(list(mine) == list(other) if our_field.is_repeated else mine == other)
