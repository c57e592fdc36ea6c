"""Which readings of the table a device of the standard Bluetooth services can send, as the simulator is told them, and why the rest cannot be."""

from collections.abc import Mapping

from tests.conformance.readings import READINGS, Reading

Said = Mapping[str, str | float]

# In the words of firmware_adapters.simulate.health. `time` is the clock on the device's wall: it has no zone of its own.
CARRIED: Mapping[str, tuple[str, Said]] = {
    "percent": ("oximeter", {"spot": 97.0}),
    "out of range": ("oximeter", {"spot": 137.0}),
    "percent without a clock": ("oximeter", {"spot": 97.0}),
    "pulse without a clock": ("oximeter", {"spot": "NaN", "pulse": 72.0}),
    "out of range without a clock": ("oximeter", {"spot": 126.0}),
    "first temperature site": ("thermometer", {"temperature": 37.2, "site": "axilla"}),
    "second temperature site": ("thermometer", {"temperature": 36.4, "site": "rectum"}),
    "fahrenheit": ("thermometer", {"temperature": 98.6, "unit": "[degF]"}),
    "mm of mercury": ("cuff", {"systolic": "NaN", "diastolic": 80.0}),
    "kilopascal": ("cuff", {"systolic": 16.0, "unit": "kPa"}),
    "pounds": ("scale", {"weight": 160.0, "unit": "[lb_av]"}),
    "no clock": ("heart-rate", {"heart_rate": 75}),
    "not a number": ("thermometer", {"temperature": "NaN"}),
    "plus infinity": ("thermometer", {"temperature": "+INF"}),
    "minus infinity": ("thermometer", {"temperature": "-INF"}),
}

_NO_TIME = "a Heart Rate Measurement has no time"
_ONE_UNIT = "the service has one unit and does not write it"
_NO_SERVICE = "no health service carries it"
_NOT_READ = "a service that Wardlink does not read: "
NOT_CARRIED: Mapping[str, str] = {
    "heart rate": _NO_TIME,
    "heart rate out of range": _NO_TIME,
    "local time": _NO_TIME,
    "a clock in 1970": _NO_TIME,
    "annotated unit": _ONE_UNIT,
    "hertz": _ONE_UNIT,
    "ratio": _ONE_UNIT,
    "kelvin": "Celsius or Fahrenheit, by one bit",
    "unit of another kind": "Celsius or Fahrenheit, by one bit",
    "unit that is none": "Celsius or Fahrenheit, by one bit",
    "missing": "a thermometer says it as NaN, an oximeter too",
    "fahrenheit below zero celsius": "Temperature Type knows places of the body's temperature, not of the skin's",
    "more than": _NOT_READ + "Glucose, which has no comparator either",
    "mg/dL": _NOT_READ + "Glucose, in kg/L or mol/L",
    "mmol/L": _NOT_READ + "Glucose",
    "kg/L": _NOT_READ + "Glucose",
    "hectopascal": "mm of mercury or kilopascal, by one bit",
    "a true zero": _NO_SERVICE,
    "negative": _NO_SERVICE,
    "text": _NO_SERVICE,
    "coded": _NO_SERVICE,
    "unknown code": _NO_SERVICE,
    "24 bits": "no standard service carries a waveform; a strap's own is in test_ble_polar",
    "millivolts a count": "no standard service carries a waveform",
}


def carried(kind: str) -> list[tuple[Reading, Said]]:
    """The readings of one kind of device, with what it is told to measure."""
    return [(r, CARRIED[r.name][1]) for r in READINGS if r.name in CARRIED and CARRIED[r.name][0] == kind]
