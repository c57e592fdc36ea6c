"""Which readings of the table an ECG cart's file (HL7 aECG) can say to the folder door, and why the rest cannot be said.

A file is of one recording: its leads, from a moment on, and what the cart has measured in them then. It names neither a source nor a
number of a sample, and it always says when; where a row of the table has no time, the file says that of the others.
"""

from collections.abc import Mapping
from datetime import datetime

from tests.conformance.readings import MEASURED, Reading, Wave

CARRIED = ("24 bits", "millivolts a count", "heart rate", "annotated unit", "local time", "a clock in 1970")

_OTHER = "a cart's file has an ECG, and of readings what was measured in it: rates, intervals, angles"
NOT_CARRIED: Mapping[str, str] = {
    "no clock": "a file says when: its samples count from a moment",
    "heart rate out of range": "carts write such a number for what they have not measured: refused, as test_aecg_reader shows",
    "a true zero": "of a patient's breath; and carts write 0 for what they have not measured",
    **dict.fromkeys(("hertz", "percent", "ratio", "out of range", "percent without a clock", "pulse without a clock"), _OTHER),
    **dict.fromkeys(("out of range without a clock", "first temperature site", "second temperature site", "fahrenheit"), _OTHER),
    **dict.fromkeys(("fahrenheit below zero celsius", "kelvin", "mm of mercury", "kilopascal", "hectopascal"), _OTHER),
    **dict.fromkeys(("mg/dL", "mmol/L", "kg/L", "more than", "pounds", "negative", "text", "coded", "unknown code"), _OTHER),
    **dict.fromkeys(("not a number", "plus infinity", "minus infinity", "missing"), _OTHER + "; these are temperatures"),
    **dict.fromkeys(("unit of another kind", "unit that is none"), _OTHER + "; these are temperatures"),
}  # fmt: skip

_FILE = """\
<?xml version="1.0" encoding="UTF-8"?>
<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<component><series><code code="RHYTHM"/><effectiveTime><low value="{at}"/></effectiveTime>
<component><sequenceSet>
<component><sequence><code code="TIME_ABSOLUTE"/><value xsi:type="GLIST_TS"><head value="{at}"/><increment value="{step_s}" unit="s"/></value></sequence></component>
<component><sequence><code code="MDC_ECG_LEAD_{lead}"/><value xsi:type="SLIST_PQ">
<origin value="0" unit="{unit}"/><scale value="{gain!r}" unit="{unit}"/><digits>{digits}</digits></value></sequence></component>
</sequenceSet></component>
{measured}</series></component></AnnotatedECG>
"""
_MEASURED = """\
<subjectOf><annotationSet><component><annotation><code code="{code}"/><value xsi:type="PQ" value="{value}" unit="{unit}"/></annotation></component>
</annotationSet></subjectOf>
"""
_RHYTHM = Wave(500.0, 0, (0, 1, -1, 0), 16, 5.0, "uV")  # that a measurement was made in


def file_of(reading: Reading) -> bytes:
    """The file in which a cart says this reading."""
    at = datetime.fromisoformat(reading.time or MEASURED)
    is_wave = isinstance(reading.value, Wave)
    wave = reading.value if isinstance(reading.value, Wave) else _RHYTHM
    return _FILE.format(
        at=f"{at:%Y%m%d%H%M%S}.{at.microsecond // 1000:03d}{at:%z}",
        step_s=f"{1 / wave.fs_hz:.12f}",
        lead=reading.code.rpartition("_")[2] if is_wave else "I",
        unit=wave.unit,
        gain=wave.gain,
        digits=" ".join(map(str, wave.samples)),
        measured="" if is_wave else _MEASURED.format(code=reading.code, value=reading.value, unit=reading.unit),
    ).encode()
