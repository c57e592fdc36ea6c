"""Which readings of the table the two devices on a serial line can send, and why the rest cannot be.

Neither device has a clock: a reading with a time is none that it could send. Nor do they write a code, a unit or a place, their formats
have one for each field.
"""

from collections.abc import Mapping

OXIMETER, AMPLIFIER = "nonin", "cyton"

# Data format 7 has seven bits for a saturation, 127 says that there is none; nine for a pulse rate.
CARRIED: Mapping[str, str] = {
    "percent without a clock": OXIMETER,
    "pulse without a clock": OXIMETER,
    "out of range without a clock": OXIMETER,
    "24 bits": AMPLIFIER,
}
# What an oximeter plays for them: a second each, and then no finger.
PLAYED = "from_s,spo2,pulse\n0,97,72\n1,126,72\n2,,\n"

_NO_CLOCK = "neither device has a clock"
_ONE_UNIT = "a field has one unit, which is not written"
_NO_FIELD = "no field of either format carries it"
NOT_CARRIED: Mapping[str, str] = {
    "percent": _NO_CLOCK,
    "heart rate": _NO_CLOCK,
    "local time": _NO_CLOCK,
    "a clock in 1970": _NO_CLOCK,
    "out of range": _NO_CLOCK + "; seven bits end at 127",
    "annotated unit": _ONE_UNIT,
    "hertz": _ONE_UNIT,
    "ratio": _ONE_UNIT,
    "unit of another kind": _ONE_UNIT,
    "unit that is none": _ONE_UNIT,
    "no clock": "the amplifier sends the ECG and no heart rate, the oximeter the pulse",
    "missing": "an oximeter says it as 127: no reading, and the sensor's state is told",
    "not a number": "a whole number of seven or nine bits is always one",
    "plus infinity": "a whole number of seven or nine bits is always one",
    "minus infinity": "a whole number of seven or nine bits is always one",
    "negative": "the amplifier sends acceleration as samples and not as a reading",
    "millivolts a count": "the amplifier has 24 bits, 250 Hz and microvolt",
    "more than": _NO_FIELD,
    "a true zero": _NO_FIELD,
    "first temperature site": _NO_FIELD,
    "second temperature site": _NO_FIELD,
    "fahrenheit": _NO_FIELD,
    "fahrenheit below zero celsius": _NO_FIELD,
    "kelvin": _NO_FIELD,
    "mm of mercury": _NO_FIELD,
    "kilopascal": _NO_FIELD,
    "hectopascal": _NO_FIELD,
    "mg/dL": _NO_FIELD,
    "heart rate out of range": "the amplifier sends the ECG and no heart rate, the oximeter the pulse",
    "mmol/L": _NO_FIELD,
    "kg/L": _NO_FIELD,
    "pounds": _NO_FIELD,
    "text": _NO_FIELD,
    "coded": _NO_FIELD,
    "unknown code": _NO_FIELD,
}
