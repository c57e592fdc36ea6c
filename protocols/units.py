"""Readings and scales in the one unit that the nomenclature gives their code: UCUM in, UCUM out, by exact factors.

The only place that knows how °F becomes °C; every decoder hands its numbers through here. Factors follow UCUM (version 2.1,
tables 3 to 10) and are fractions, so that 98.6 [degF] is 37 Cel and not nearly so. A code that the nomenclature does not have keeps
its unit: there is nothing to hold it against.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from types import MappingProxyType
from typing import TypeAlias

from protocols.errors import DecodeError
from protocols.nomenclature import TERMS
from protocols.record import Observation, Record, Scale, WaveformGroup

_Unit: TypeAlias = tuple[str, Fraction, Fraction]  # dimension, factor and offset to the dimension's base


def _table() -> Mapping[str, _Unit]:
    zero = Fraction(0)
    linear: dict[str, dict[str, str]] = {
        "ratio": {"1": "1", "%": "1/100", "[ppth]": "1/1000", "[ppm]": "1/1000000"},
        "frequency, Hz": {"Hz": "1", "/s": "1", "1/s": "1", "/min": "1/60", "1/min": "1/60", "/h": "1/3600", "1/h": "1/3600"},
        # UCUM: m[Hg] = 133.3220 kPa, m[H2O] = 9.80665 kPa
        "pressure, Pa": {"Pa": "1", "hPa": "100", "kPa": "1000", "mbar": "100", "bar": "100000", "mm[Hg]": "133.322", "cm[H2O]": "98.0665"},
        "potential, V": {"V": "1", "mV": "1/1000", "uV": "1/1000000", "nV": "1/1000000000"},
        "time, s": {"s": "1", "ms": "1/1000", "us": "1/1000000", "min": "60", "h": "3600", "d": "86400"},
        "length, m": {"m": "1", "cm": "1/100", "mm": "1/1000", "[in_i]": "0.0254", "[ft_i]": "0.3048"},
        "mass, kg": {"kg": "1", "g": "1/1000", "mg": "1/1000000", "[lb_av]": "0.45359237"},
        "mass concentration, g/L": {"g/L": "1", "g/dL": "10", "mg/dL": "1/100", "mg/L": "1/1000", "ug/mL": "1/1000", "kg/L": "1000"},
        "amount concentration, mol/L": {"mol/L": "1", "mmol/L": "1/1000", "umol/L": "1/1000000"},
        "volume, L": {"L": "1", "l": "1", "dL": "1/10", "mL": "1/1000", "ml": "1/1000", "m3": "1000"},
        "flow, L/min": {"L/min": "1", "l/min": "1", "mL/min": "1/1000", "L/s": "60", "L/h": "1/60", "mL/h": "1/60000"},
        "plane angle, deg": {"deg": "1", "gon": "9/10"},
        "resistance, Ohm": {"Ohm": "1", "mOhm": "1/1000", "kOhm": "1000"},
        "acceleration, m/s2": {"m/s2": "1", "[g]": "9.80665"},
    }  # fmt: skip
    table = {unit: (dimension, Fraction(factor), zero) for dimension, units in linear.items() for unit, factor in units.items()}  # fmt: skip
    kelvin = "temperature, K"
    freezing = Fraction("273.15")
    table["K"] = (kelvin, Fraction(1), zero)
    table["Cel"] = (kelvin, Fraction(1), freezing)
    table["[degF]"] = (kelvin, Fraction(5, 9), freezing - Fraction(160, 9))
    return MappingProxyType(table)


UNITS = _table()

# Amount of substance becomes mass by the molar mass of the substance that the code names. Glucose C6H12O6: 180.156 g/mol
# (IUPAC standard atomic weights, abridged).
_MOLAR_MASS = MappingProxyType(
    {
        "MDC_CONC_GLU_CAPILLARY_WHOLEBLOOD": Fraction("180.156"),
        "MDC_CONC_GLU_UNDETERMINED_PLASMA": Fraction("180.156"),
        "MDC_CONC_GLU_GEN": Fraction("180.156"),
    }
)
_ANNOTATION = re.compile(r"\{[\x21-\x7a|~]*\}")  # UCUM clause 2.2: what stands in braces has no meaning to a machine


def canonical(where: str, code: str, value: float, unit: str) -> tuple[float, str]:
    """The value in the unit of its code; DecodeError where `unit` is none that can become it."""
    bare = _ANNOTATION.sub("", unit) or "1" if "{" in unit or not unit else unit
    term = TERMS.get(code)
    if term is None or term.unit == bare:
        return value, unit if term is None else bare
    dimension, factor, offset = _unit(f"{where}, unit", bare, term.unit)
    target, divisor, shift = UNITS[term.unit]
    if {dimension, target} == {"amount concentration, mol/L", "mass concentration, g/L"} and code in _MOLAR_MASS:
        factor = factor * _MOLAR_MASS[code] if target.startswith("mass") else factor / _MOLAR_MASS[code]
    elif dimension != target:
        raise DecodeError(f"{where}, unit", f"a unit of {target}, such as {term.unit}, for {code}", repr(unit))
    if not math.isfinite(value):
        raise DecodeError(where, "a finite number", str(value))
    try:
        return float((_exact(value) * factor + offset - shift) / divisor), term.unit
    except OverflowError:
        raise DecodeError(where, f"a number that {term.unit} can express", f"{value} {unit}") from None


def canonical_scale(where: str, code: str, scale: Scale) -> Scale:
    """The scale of a lead in the unit of its code; DecodeError as above."""
    at_zero, unit = canonical(where, code, scale.offset, scale.unit)
    at_one, _ = canonical(where, code, scale.offset + scale.gain, scale.unit)
    if unit == scale.unit:
        return scale
    return Scale(float(_exact(at_one) - _exact(at_zero)), at_zero, unit)


def canonical_record(record: Record) -> Record:
    """A record with every number in its code's unit; DecodeError names field, unit and what would be right."""
    if isinstance(record, Observation) and not isinstance(record.value, str):
        value, unit = canonical("observation", record.code, record.value, record.unit)
        return record if (value, unit) == (record.value, record.unit) else replace(record, value=value, unit=unit)
    if isinstance(record, WaveformGroup):
        scales = tuple(
            canonical_scale("waveform.scales", code, scale)
            for code, scale in zip(record.leads, record.scales, strict=True)
        )
        return record if scales == record.scales else replace(record, scales=scales)
    return record


def _unit(where: str, unit: str, wanted: str) -> _Unit:
    found = UNITS.get(unit)
    if found is None:
        raise DecodeError(where, f"a UCUM unit that can become {wanted}", repr(unit))
    return found


def _exact(value: float) -> Fraction:
    """The number that was meant: 98.6 is 493/5, not the binary fraction nearest to it."""
    return Fraction(repr(float(value)))
