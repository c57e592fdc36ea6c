"""Protobuf's own JSON mapping (ProtoJSON) to messages, read at the door: what `json.loads` gave becomes a message, or a ParseError.

Protobuf's reader is Python and asks the descriptors at each field of each record, which took a third of what a reading cost the gateway
(decision 0156). Plain values, as senders write them, are held against a table that was made once; whatever is not plain, and everything
that is wrong, is left to protobuf's reader, so that nothing is read otherwise than it would. Nested types that hold themselves count as
not plain.
"""

import base64
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

M = TypeVar("M", bound=Message)


class _NotPlainError(ValueError):
    """A value that protobuf's own reader has to judge."""


@dataclass(frozen=True, slots=True)
class _Field:
    """The name in the message, how a value is read, and the oneof that it is a choice of ("": none)."""

    name: str
    read: Callable[[object], object]
    choice: str


class Reader(Generic[M]):
    """Reads one type of message."""

    def __init__(self, kind: type[M]) -> None:
        self._kind = kind
        self._fields = _table(cast("Descriptor", kind.DESCRIPTOR), frozenset())

    def read(self, value: object) -> M:
        """The message that `value` stands for; json_format.ParseError."""
        try:
            return self._kind(**_values(self._fields, value))
        except (ValueError, TypeError, OverflowError):
            return self._by_the_book(value)

    def _by_the_book(self, value: object) -> M:
        try:
            return json_format.ParseDict(cast("dict[str, object]", value), self._kind())
        except OverflowError as error:  # of an integer that no double holds; protobuf lets it through
            raise json_format.ParseError(str(error)) from error
        except (SystemError, UnicodeError) as error:  # names are asked for in C, where half a surrogate pair is none
            msg = "a text holds half of a surrogate pair, which is no character"
            raise json_format.ParseError(msg) from error


def _values(fields: Mapping[str, _Field], value: object) -> dict[str, object]:
    """What the message is made of, by the names of its fields."""
    if type(value) is not dict:
        raise _NotPlainError
    out: dict[str, object] = {}
    chosen: list[str] = []
    for name, item in cast("dict[str, object]", value).items():
        field = fields.get(name)
        if field is None or field.name in out or field.choice in chosen:
            raise _NotPlainError
        if field.choice:
            chosen.append(field.choice)
        out[field.name] = field.read(item)
    return out


def _table(kind: Descriptor, above: frozenset[str]) -> Mapping[str, _Field]:
    inside = above | {kind.full_name}
    fields: dict[str, _Field] = {}
    for field in kind.fields:
        read = _one(field, inside)
        choice = "" if field.containing_oneof is None else field.containing_oneof.name
        known = _Field(field.name, _each(read) if field.is_repeated else read, choice)
        fields |= {field.name: known, field.json_name: known}
    return fields


def _one(field: FieldDescriptor, inside: frozenset[str]) -> Callable[[object], object]:
    if field.message_type is not None:
        return _not_plain if field.message_type.full_name in inside else _nested(_table(field.message_type, inside))
    if field.enum_type is not None:
        return _named({name: value.number for name, value in field.enum_type.values_by_name.items()})
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _bytes
    return _SCALARS.get(field.cpp_type, _not_plain)


def _nested(fields: Mapping[str, _Field]) -> Callable[[object], object]:
    return lambda value: _values(fields, value)


def _each(read: Callable[[object], object]) -> Callable[[object], object]:
    def items(value: object) -> object:
        if type(value) is not list:
            raise _NotPlainError
        return [read(item) for item in cast("list[object]", value)]

    return items


def _named(numbers: Mapping[str, int]) -> Callable[[object], object]:
    def number(value: object) -> object:
        if type(value) is not str or value not in numbers:
            raise _NotPlainError
        return numbers[value]

    return number


def _not_plain(_: object) -> object:
    raise _NotPlainError


def _text(value: object) -> object:
    if type(value) is not str:
        raise _NotPlainError
    return value


def _integer(value: object) -> object:
    if type(value) is int:
        return value
    if type(value) is str and value.isascii() and value.lstrip("-").isdigit():
        return int(value)
    raise _NotPlainError


def _double(value: object) -> object:
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return value
    raise _NotPlainError


def _flag(value: object) -> object:
    if type(value) is not bool:
        raise _NotPlainError
    return value


def _bytes(value: object) -> object:
    if type(value) is not str:
        raise _NotPlainError
    encoded = value.encode()
    padding = b"=" * (4 - len(encoded) % 4)  # it may be missing, and more does no harm
    return base64.urlsafe_b64decode(encoded + padding)


_SCALARS: Mapping[int, Callable[[object], object]] = {
    FieldDescriptor.CPPTYPE_INT32: _integer,
    FieldDescriptor.CPPTYPE_INT64: _integer,
    FieldDescriptor.CPPTYPE_UINT32: _integer,
    FieldDescriptor.CPPTYPE_UINT64: _integer,
    FieldDescriptor.CPPTYPE_DOUBLE: _double,
    FieldDescriptor.CPPTYPE_BOOL: _flag,
    FieldDescriptor.CPPTYPE_STRING: _text,
}
