"""A SenML pack (RFC 8428) in CBOR or JSON as resolved records: base values, times and exact numbers. What names mean is records.py's.

Sums are refused, and so is a field that must be understood and is not (clause 4.4). Nothing is allocated beyond what the message is.
"""

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import TypeAlias, cast

import cbor2

from protocols.errors import DecodeError
from protocols.package import MAX_BYTES, MAX_RECORDS, JsonObject
from protocols.record import NS_PER_S, Times
from protocols.wire.tables import MAX_SOURCE

VERSION = 10  # RFC 8428 clause 4.4
RELATIVE_BELOW_S = 2**28  # clause 4.5.3: smaller times count from now

# RFC 8428 table 6: JSON names and CBOR labels.
_LABELS = MappingProxyType(
    {-1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs", 0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd"}
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9][-A-Za-z0-9:./_]*")  # clause 4.5.1
_VALUES = ("v", "vs", "vb", "vd")
_SHOWN = 64
_RAW_SHOWN = 2048

_FieldsOf: TypeAlias = Callable[[str, object], JsonObject]


@dataclass(frozen=True, slots=True)
class Entry:
    """A resolved record. `value`: v with bv, where there is one. `absolute`: its time stands in the pack, not in its arrival.

    `next_within_s`: the device promises an updated reading within so long (`ut`, clause 4.1); None: it promises nothing.
    """

    where: str
    name: str
    fields: JsonObject
    unit: str | None
    times: Times
    value: float | None
    absolute: bool
    next_within_s: float | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """A record with its full name, to be resolved by `Base.resolve`; `has_value` is false for base values alone."""

    where: str
    name: str
    fields: JsonObject
    has_value: bool

    @property
    def raw(self) -> bytes:
        """The record as a person can read it, for the quarantine."""
        parts = (f"{shown(key)}: {shown(value, _RAW_SHOWN)}" for key, value in self.fields.items())
        return ", ".join(parts).encode("utf-8", "replace")


def _refuse_reference(_value: object, _immutable: bool) -> object:
    msg = "a reference to another value of the pack, which SenML does not have"
    raise ValueError(msg)


# Tags 25, 28, 29 and 256 let one value stand in many places: a small message that unfolds without end.
_NO_REFERENCES: Mapping[int, Callable[[object, bool], object]] = MappingProxyType(
    dict.fromkeys((25, 28, 29, 256), _refuse_reference)
)


class Base:
    """Base values as they stand at a record (clause 4.6)."""

    def __init__(self, at_ns: int) -> None:
        self._at_ns = at_ns
        self._name = ""
        self._unit: str | None = None
        self._time = self._value = Fraction(0)

    def take(self, where: str, fields: JsonObject) -> Named:
        """Take in the base fields of the next record; DecodeError ends the pack: all that follows would be wrong."""
        for key in fields:
            if key.endswith("_") or key in ("s", "bs"):
                raise DecodeError(f"{where}, {key}", "a field that this version understands", key)
        if exact(f"{where}, bver", fields.get("bver", VERSION)) > VERSION:
            raise DecodeError(f"{where}, bver", f"at most {VERSION}", str(fields["bver"]))
        if "bn" in fields:
            self._name = text(f"{where}, bn", fields["bn"])
        if "bu" in fields:
            self._unit = text(f"{where}, bu", fields["bu"])
        if "bt" in fields:
            self._time = exact(f"{where}, bt", fields["bt"])
        if "bv" in fields:
            self._value = exact(f"{where}, bv", fields["bv"])
        name = self._name + text(f"{where}, n", fields.get("n", ""))
        if len(name) > MAX_SOURCE:
            raise DecodeError(f"{where}, n", f"at most {MAX_SOURCE} characters with bn", str(len(name)))
        has_value = any(key in fields for key in _VALUES)
        if (has_value or "n" in fields) and not _NAME.fullmatch(name):
            raise DecodeError(f"{where}, n", "letters, digits and - : . / _", repr(name))
        return Named(where, name, fields, has_value or "n" in fields)

    def resolve(self, named: Named) -> Entry:
        """The record just taken, with its time, unit and value; DecodeError is its own and ends nothing else."""
        where, fields = named.where, named.fields
        if sum(key in fields for key in _VALUES) != 1:
            raise DecodeError(
                where, "one of v, vs, vb, vd", "none" if not any(k in fields for k in _VALUES) else "several"
            )
        value = None
        if "v" in fields:
            value = _float(f"{where}, v", exact(f"{where}, v", fields["v"]) + self._value)
        unit = text(f"{where}, u", fields["u"]) if "u" in fields else self._unit
        time_s = self._time + exact(f"{where}, t", fields.get("t", 0))
        within_s = None
        if "ut" in fields:
            within_s = _float(f"{where}, ut", exact(f"{where}, ut", fields["ut"]))
            if within_s <= 0:
                raise DecodeError(f"{where}, ut", "more than 0 s", str(within_s))
        absolute = time_s >= RELATIVE_BELOW_S
        return Entry(where, named.name, fields, unit, self._times(where, time_s), value, absolute, within_s)

    def _times(self, where: str, time_s: Fraction) -> Times:
        if time_s >= RELATIVE_BELOW_S:
            return Times(self._at_ns, _ns(where, time_s))
        if time_s > 0:
            raise DecodeError(f"{where}, t", "now or before now", f"{float(time_s)} s ahead")
        if time_s == 0:
            return Times(self._at_ns)
        # The device has no clock to be wrong: it counted the seconds since it measured, and arrival says which moment that was.
        return Times(self._at_ns, corrected_ns=max(0, self._at_ns + _ns(where, time_s)))


def read_cbor(data: bytes) -> Iterator[tuple[str, JsonObject]]:
    """The records of a pack in CBOR, each with where it stands; DecodeError."""
    _check_size(data)
    try:
        # Eight levels are more than any pack has; a bound keeps nesting from costing memory.
        pack = cbor2.CBORDecoder(
            io.BytesIO(data), max_depth=8, allow_duplicate_keys=False, semantic_decoders=_NO_REFERENCES
        ).decode()
    except (cbor2.CBORError, ValueError, OverflowError, RecursionError) as error:
        raise DecodeError("message", "a SenML pack in CBOR", str(error) or type(error).__name__, data) from error
    return _fields(pack, data, _cbor_fields)


def read_json(data: bytes) -> Iterator[tuple[str, JsonObject]]:
    """The same in JSON."""
    _check_size(data)
    try:
        pack: object = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DecodeError("message", "a SenML pack in JSON", str(error), data) from error
    return _fields(pack, data, _json_fields)


def _fields(pack: object, data: bytes, fields_of: _FieldsOf) -> Iterator[tuple[str, JsonObject]]:
    if not isinstance(pack, list | tuple):
        raise DecodeError("message", "an array of SenML records", type(pack).__name__, data)
    items = cast("Sequence[object]", pack)
    if not 1 <= len(items) <= MAX_RECORDS:
        raise DecodeError("records, how many", f"1 to {MAX_RECORDS}", str(len(items)), data)
    for index, item in enumerate(items):
        where = f"record {index}"
        yield where, fields_of(where, item)


def _cbor_fields(where: str, item: object) -> JsonObject:
    if not isinstance(item, dict):
        raise DecodeError(where, "a map", type(item).__name__)
    fields: JsonObject = {}
    for key, value in cast("dict[object, object]", item).items():
        name = _LABELS.get(key) if isinstance(key, int) else key
        if isinstance(name, str):  # clause 4.4: labels that nobody must understand are passed over
            fields[name] = value
    return fields


def _json_fields(where: str, item: object) -> JsonObject:
    if not isinstance(item, dict):
        raise DecodeError(where, "an object", type(item).__name__)
    return cast("JsonObject", item)


def shown(value: object, longest: int = _SHOWN) -> str:
    """A value as a person can read it; of what may be deep or long, its kind."""
    if isinstance(value, str | bytes):
        return repr(value[:longest])
    if isinstance(value, int) and value.bit_length() > 64:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, int | float | Decimal) or value is None:
        return str(value)
    return f"a value of type {type(value).__name__}"


def text(where: str, value: object, longest: int = MAX_SOURCE) -> str:
    """A string that can be stored; DecodeError."""
    if not isinstance(value, str) or len(value) > longest or "\0" in value:
        raise DecodeError(where, f"text of at most {longest} characters without NUL", shown(value))
    return value


def exact(where: str, value: object) -> Fraction:
    """The number as it was written: 36.75 is 147/4, whatever binary fraction carried it. DecodeError."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise DecodeError(where, "a number", shown(value))
    if isinstance(value, int):
        if value.bit_length() > 64:
            raise DecodeError(where, "a number of at most 64 bits", f"{value.bit_length()} bits")
        return Fraction(value)
    decimal = Decimal(repr(value)) if isinstance(value, float) else value
    _, digits, exponent = decimal.as_tuple()
    if not isinstance(exponent, int):
        raise DecodeError(where, "a finite number", str(value))
    if not -400 < exponent < 400 or len(digits) > 40:  # a larger one would make a fraction of millions of digits
        raise DecodeError(where, "a number that a double can hold", "one of more digits")
    return Fraction(decimal)


def _float(where: str, value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        raise DecodeError(where, "a number that a double can hold", "a larger one") from None


def _ns(where: str, time_s: Fraction) -> int:
    ns = round(time_s * NS_PER_S)
    if not -(2**62) < ns < 2**62:
        raise DecodeError(f"{where}, t", "a time that 64 bits of nanoseconds can hold", "one far outside")
    return ns


def _check_size(data: bytes) -> None:
    if len(data) > MAX_BYTES:
        raise DecodeError("message", f"at most {MAX_BYTES} bytes", f"{len(data)} bytes", data)
