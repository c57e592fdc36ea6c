"""Blood Pressure service 1.1 (Bluetooth SIG), Blood Pressure Measurement 0x2A35: systolic, diastolic and mean pressure, and the cuff's pulse.

Intermediate Cuff Pressure 0x2A36 is what the cuff holds while it is inflated: no blood pressure, and not read.
"""

from datetime import UTC, tzinfo

from protocols.errors import DecodeError, Fault
from protocols.gatt import uuid16
from protocols.gatt.date_time import date_time
from protocols.gatt.ieee_float import SFLOAT_BYTES, MedicalFloat, Special, sfloat
from protocols.gatt.reader import Fields
from protocols.nomenclature import PULSE_RATE_CUFF
from protocols.record import Observation, Quality, SourcePath, Times
from protocols.units import canonical

MEASUREMENT = uuid16(0x2A35)
PRESSURES = {
    "systolic": "MDC_PRESS_BLD_NONINV_SYS",
    "diastolic": "MDC_PRESS_BLD_NONINV_DIA",
    "mean": "MDC_PRESS_BLD_NONINV_MEAN",
}

_WHAT = "blood pressure measurement"
_KILOPASCAL, _HAS_TIME, _HAS_PULSE, _HAS_USER, _HAS_STATUS = 0x01, 0x02, 0x04, 0x08, 0x10
_MOVED, _CUFF_LOOSE, _WRONG_POSITION = 1 << 0, 1 << 1, 1 << 5


class BloodPressure:
    """One cuff's readings."""

    def __init__(self, source: SourcePath, zone: tzinfo = UTC) -> None:
        """`source` of the readings; `zone`: what its clock goes by."""
        self._source, self._zone = source, zone

    def records(self, data: bytes, at: int) -> list[Observation | Fault]:
        """The readings of an indication that arrived at gateway time `at` (ns); DecodeError for what is none.

        A cuff says NaN for what it does not measure, most often the mean: that is left out, unless nothing is left. Any other value
        that is no number is a fault, beside what could be read.
        """
        fields = Fields(_WHAT, data)
        flags = fields.unsigned(1, "flags")
        found = {name: sfloat(fields.unsigned(SFLOAT_BYTES, name)) for name in PRESSURES}
        device_ns = date_time(fields, data, self._zone) if flags & _HAS_TIME else None
        pulse = sfloat(fields.unsigned(SFLOAT_BYTES, "pulse rate")) if flags & _HAS_PULSE else Special.NAN
        if flags & _HAS_USER:
            fields.take(1, "user")
        status = fields.unsigned(2, "status") if flags & _HAS_STATUS else 0
        fields.end()
        if all(value is Special.NAN for value in found.values()):
            raise DecodeError(f"{_WHAT}, systolic, diastolic and mean", "a finite number in one of them", "NaN", data)
        doubtful = status & (_MOVED | _CUFF_LOOSE | _WRONG_POSITION)
        quality = Quality.QUESTIONABLE if doubtful else Quality.GOOD
        times, unit = Times(at, device_ns), "kPa" if flags & _KILOPASCAL else "mm[Hg]"
        given: list[tuple[str, str, MedicalFloat, str]] = [
            *((name, PRESSURES[name], value, unit) for name, value in found.items()),
            ("pulse rate", PULSE_RATE_CUFF, pulse, "/min"),
        ]
        out: list[Observation | Fault] = []
        for name, code, value, written in given:
            if not isinstance(value, Special):
                number, own = canonical(_WHAT, code, value, written)
                out.append(Observation(self._source, code, number, own, times, quality=quality))
            elif value is not Special.NAN:
                out.append(Fault(str(self._source), f"{_WHAT}, {name}", "a finite number", value.value, data, at))
        return out
