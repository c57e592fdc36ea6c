"""Writes SenML packs in CBOR (RFC 8428, RFC 8949) as a small device does: what it needs and no more, without a library and without our reader."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

# RFC 8428 table 6
_LABELS: Mapping[str, int] = MappingProxyType(
    {"bn": -2, "bt": -3, "n": 0, "u": 1, "v": 2, "vs": 3, "t": 6, "ut": 7, "vd": 8}
)
_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG = range(7)
_DECIMAL_FRACTION = 4  # RFC 8949 clause 3.4.4
_DOUBLE = 0xFB


@dataclass(frozen=True, slots=True)
class Decimal:
    """`mantissa` times ten to the `exponent`: a time in nanoseconds has more digits than a double."""

    mantissa: int
    exponent: int


Value: TypeAlias = int | float | str | bytes | Decimal


def write_pack(records: Sequence[Mapping[str, Value]]) -> bytes:
    """A pack of records by their JSON names; KeyError for a name that devices here do not use."""
    return _head(_ARRAY, len(records)) + b"".join(_record(record) for record in records)


def _record(record: Mapping[str, Value]) -> bytes:
    return _head(_MAP, len(record)) + b"".join(_value(_LABELS[name]) + _value(value) for name, value in record.items())


def _value(value: Value) -> bytes:
    match value:
        case int():
            return _head(_UNSIGNED, value) if value >= 0 else _head(_NEGATIVE, -1 - value)
        case float():
            return struct.pack(">Bd", _DOUBLE, value)
        case str():
            text = value.encode()
            return _head(_TEXT, len(text)) + text
        case bytes():
            return _head(_BYTES, len(value)) + value
        case Decimal():
            return _head(_TAG, _DECIMAL_FRACTION) + _head(_ARRAY, 2) + _value(value.exponent) + _value(value.mantissa)


def _head(major: int, number: int) -> bytes:
    """The major type with its number, in as few bytes as it takes (clause 3)."""
    if number < 24:
        return bytes(((major << 5) | number,))
    for width, letter in enumerate("BHIQ"):
        if number < 1 << (8 << width):
            return struct.pack(f">B{letter}", (major << 5) | (24 + width), number)
    msg = f"{number}: expected at most 64 bits"
    raise ValueError(msg)


__all__ = ["Decimal", "Value", "write_pack"]
