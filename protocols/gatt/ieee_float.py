"""The two number formats of medical devices: SFLOAT (16 bit) and FLOAT (32 bit) of ISO/IEEE 11073-20601, annex F.8.

A value is mantissa * 10^exponent; five mantissas stand for no number at all. Bluetooth writes them little-endian.
"""

import math
from enum import StrEnum
from typing import TypeAlias


class Special(StrEnum):
    """What a mantissa says that is no number."""

    NAN = "NaN"
    NRES = "NRes"  # not at this resolution
    PLUS_INF = "+INF"  # above what the device can measure
    MINUS_INF = "-INF"
    RESERVED = "reserved"


MedicalFloat: TypeAlias = float | Special

SFLOAT_BYTES, FLOAT_BYTES = 2, 4

_SFLOAT_SPECIAL = {
    0x7FF: Special.NAN,
    0x800: Special.NRES,
    0x7FE: Special.PLUS_INF,
    0x802: Special.MINUS_INF,
    0x801: Special.RESERVED,
}
_FLOAT_SPECIAL = {
    0x7FFFFF: Special.NAN,
    0x800000: Special.NRES,
    0x7FFFFE: Special.PLUS_INF,
    0x800002: Special.MINUS_INF,
    0x800001: Special.RESERVED,
}


def sfloat(raw: int) -> MedicalFloat:
    """The value of 16 bits: 4 bits signed exponent, 12 bits signed mantissa."""
    mantissa = raw & 0xFFF
    return _SFLOAT_SPECIAL.get(mantissa) or _scaled(_signed(mantissa, 12), _signed(raw >> 12 & 0xF, 4))


def float32(raw: int) -> MedicalFloat:
    """The value of 32 bits: 8 bits signed exponent, 24 bits signed mantissa. It is no IEEE 754 number."""
    mantissa = raw & 0xFFFFFF
    return _FLOAT_SPECIAL.get(mantissa) or _scaled(_signed(mantissa, 24), _signed(raw >> 24 & 0xFF, 8))


def as_number(value: MedicalFloat) -> float:
    """The same for arithmetic: NaN for what is no number, infinities as they are."""
    if not isinstance(value, Special):
        return value
    return {Special.PLUS_INF: math.inf, Special.MINUS_INF: -math.inf}.get(value, math.nan)


def _signed(bits: int, width: int) -> int:
    return bits - (1 << width) if bits >> (width - 1) else bits


def _scaled(mantissa: int, exponent: int) -> float:
    # a division of whole numbers is rounded once: 375 * 10^-1 is the 37.5 that was meant, to the last bit
    return mantissa / 10**-exponent if exponent < 0 else float(mantissa * 10**exponent)
