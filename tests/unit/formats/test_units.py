"""The one table of units: every code of the nomenclature can be reached, factors are exact, and what does not fit is named."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import DecodeError
from protocols.nomenclature import TERMS, TermKind
from protocols.record import Scale
from protocols.units import UNITS, canonical, canonical_scale

BODY, SYS = "MDC_TEMP_BODY", "MDC_PRESS_BLD_NONINV_SYS"


def test_every_unit_of_the_nomenclature_is_in_the_table():
    metrics = {t.unit for t in TERMS.values() if t.kind in (TermKind.METRIC, TermKind.LEAD)}
    assert metrics <= set(UNITS)


@pytest.mark.parametrize(
    ("unit", "value", "celsius"),
    [
        ("[degF]", 32.0, 0.0),  # water freezes
        ("[degF]", 212.0, 100.0),  # and boils
        ("[degF]", -40.0, -40.0),  # where both scales meet
        ("[degF]", 100.4, 38.0),
        ("K", 273.15, 0.0),
        ("K", 0.0, -273.15),
    ],
)
def test_temperatures_have_their_offset(unit: str, value: float, celsius: float):
    assert canonical("v", BODY, value, unit) == (celsius, "Cel")


@given(st.integers(-100_000, 100_000))
def test_a_reading_of_two_decimals_survives_the_way_there_and_back(hundredths: int):
    value = hundredths / 100
    fahrenheit = float(Fraction(repr(value)) * Fraction(9, 5) + 32)
    assert canonical("v", BODY, fahrenheit, "[degF]")[0] == pytest.approx(value, abs=1e-12)
    pascal = float(Fraction(repr(value)) * Fraction("133.322"))
    assert canonical("v", SYS, pascal, "Pa")[0] == pytest.approx(value, rel=1e-15)


def test_a_unit_that_is_the_codes_own_changes_nothing():
    assert canonical("v", BODY, 36.123456789012345, "Cel") == (36.123456789012345, "Cel")


def test_a_scale_becomes_that_of_the_unit_with_gain_and_offset():
    assert canonical_scale("s", "MDC_ECG_ELEC_POTL_II", Scale(0.005, -1.25, "mV")) == Scale(5.0, -1250.0, "uV")
    # a difference of 1 degF is 5/9 K, and 0 degF is -160/9 Cel
    scale = canonical_scale("s", BODY, Scale(1.0, 0.0, "[degF]"))
    assert scale.gain == pytest.approx(5 / 9, rel=1e-12)
    assert scale.offset == pytest.approx(-160 / 9, rel=1e-15)


@pytest.mark.parametrize(("unit", "said"), [("degF", "UCUM"), ("kg", "temperature"), ("mmol/L", "temperature")])
def test_a_unit_that_cannot_become_the_codes_own_is_named(unit: str, said: str):
    with pytest.raises(DecodeError, match=said) as caught:
        canonical("observation", BODY, 37.0, unit)
    assert caught.value.where == "observation, unit"
    assert unit in caught.value.found


def test_a_number_that_the_unit_cannot_express_is_an_error_and_no_infinity():
    with pytest.raises(DecodeError):
        canonical("v", "MDC_CONC_GLU_CAPILLARY_WHOLEBLOOD", 1e305, "kg/L")
