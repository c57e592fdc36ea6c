"""SFLOAT and FLOAT of ISO/IEEE 11073-20601: every special value, signs, and the exponents that devices send."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.gatt.ieee_float import Special, as_number, float32, sfloat


def written(mantissa: int, exponent: int, mantissa_bits: int, exponent_bits: int) -> int:
    return (exponent % (1 << exponent_bits)) << mantissa_bits | mantissa % (1 << mantissa_bits)


@pytest.mark.parametrize(
    ("raw", "special"),
    [
        (0x07FF, Special.NAN),
        (0x0800, Special.NRES),
        (0x07FE, Special.PLUS_INF),
        (0x0802, Special.MINUS_INF),
        (0x0801, Special.RESERVED),
    ],
)
@pytest.mark.parametrize("exponent", [0, 1, 0xF])
def test_the_special_mantissas_of_16_bits_are_no_numbers_whatever_the_exponent(
    raw: int, special: Special, exponent: int
):
    assert sfloat(exponent << 12 | raw) is special


@pytest.mark.parametrize(
    ("raw", "special"),
    [
        (0x007FFFFF, Special.NAN),
        (0x00800000, Special.NRES),
        (0x007FFFFE, Special.PLUS_INF),
        (0x00800002, Special.MINUS_INF),
        (0x00800001, Special.RESERVED),
        (0xFF7FFFFF, Special.NAN),
    ],
)
def test_the_special_mantissas_of_32_bits_are_no_numbers(raw: int, special: Special):
    assert float32(raw) is special


@pytest.mark.parametrize(
    ("raw", "value"),
    [(0x0000, 0.0), (0x0061, 97.0), (0xF177, 37.5), (0x1012, 180.0), (0x0FFF, -1.0), (0xFFF6, -1.0), (0x8001, 1e-8)],
)
def test_numbers_of_16_bits(raw: int, value: float):
    assert sfloat(raw) == value


def test_numbers_of_32_bits():
    assert float32(0xFF000177) == 37.5
    assert float32(0xFE000E42) == 36.5
    assert float32(0x00FFFFFF) == -1.0


@given(st.integers(-2045, 2045), st.integers(-8, 7))
def test_what_was_written_in_16_bits_is_read(mantissa: int, exponent: int):
    assert sfloat(written(mantissa, exponent, 12, 4)) == float(f"{mantissa}e{exponent}")


@given(st.integers(-8388605, 8388605), st.integers(-20, 20))
def test_what_was_written_in_32_bits_is_read(mantissa: int, exponent: int):
    assert float32(written(mantissa, exponent, 24, 8)) == float(f"{mantissa}e{exponent}")


@given(st.integers(0, 0xFFFF))
def test_all_16_bits_can_be_read(raw: int):
    assert isinstance(as_number(sfloat(raw)), float)


def test_only_infinities_keep_a_direction_in_arithmetic():
    assert as_number(Special.PLUS_INF) == math.inf
    assert as_number(Special.MINUS_INF) == -math.inf
    assert math.isnan(as_number(Special.NAN))
    assert math.isnan(as_number(Special.NRES))
    assert as_number(36.6) == 36.6
