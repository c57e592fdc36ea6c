"""Pulse Oximeter service 1.0 (Bluetooth SIG), PLX Continuous Measurement 0x2A5F: saturation and pulse rate.

The layout is from memory of the service's text and matches one independent library; it was checked against no device. A reading that is
missing makes no observation, and an event says so once.
"""

from protocols.errors import DecodeError
from protocols.gatt import uuid16
from protocols.gatt.ieee_float import SFLOAT_BYTES, MedicalFloat, Special, sfloat
from protocols.gatt.reader import Fields
from protocols.nomenclature import EVT_OXIMETER_STATUS, PULSE_RATE, SPO2
from protocols.record import DeviceEvent, Observation, Quality, SourcePath, Times

CONTINUOUS = uuid16(0x2A5F)

_HAS_FAST, _HAS_SLOW, _HAS_STATUS, _HAS_DEVICE_STATUS, _HAS_PULSE_AMPLITUDE = 0x01, 0x02, 0x04, 0x08, 0x10
_EARLY, _DEMO, _TEST, _CALIBRATION = 1 << 6, 1 << 10, 1 << 11, 1 << 12
_MALFUNCTION, _BAD_SIGNAL, _ERRATIC, _QUESTIONABLE, _INTERFERENCE = 1 << 1, 1 << 3, 1 << 5, 1 << 7, 1 << 9
_FINGER_CHECK, _DISCONNECTED = 1 << 10, 1 << 11


class PulseOximeter:
    """One oximeter's continuous readings."""

    def __init__(self, source: SourcePath) -> None:
        """`source` of the readings."""
        self._source = source
        self._told: tuple[tuple[str, str], ...] = ()

    def records(self, data: bytes, at: int) -> list[Observation | DeviceEvent]:
        """Readings of a notification that arrived at gateway time `at` (ns); DecodeError for what is none."""
        fields = Fields("PLX continuous measurement", data)
        flags = fields.unsigned(1, "flags")
        values = {
            SPO2: sfloat(fields.unsigned(SFLOAT_BYTES, "SpO2")),
            PULSE_RATE: sfloat(fields.unsigned(SFLOAT_BYTES, "pulse rate")),
        }
        for flag, name in ((_HAS_FAST, "fast"), (_HAS_SLOW, "slow")):
            if flags & flag:
                fields.take(2 * SFLOAT_BYTES, f"{name} SpO2 and pulse rate")
        status = fields.unsigned(2, "measurement status") if flags & _HAS_STATUS else 0
        device = fields.unsigned(3, "device status") if flags & _HAS_DEVICE_STATUS else 0
        if flags & _HAS_PULSE_AMPLITUDE:
            fields.take(SFLOAT_BYTES, "pulse amplitude index")
        fields.end()
        if status & (_DEMO | _TEST | _CALIBRATION):
            raise DecodeError("PLX, measurement status", "a measurement", "demonstration, test or calibration", data)
        quality = _quality(status, device)
        times = Times(at)
        out: list[Observation | DeviceEvent] = []
        for code, unit in ((SPO2, "%"), (PULSE_RATE, "/min")):
            value = values[code]
            if not isinstance(value, Special):
                out.append(Observation(self._source, code, value, unit, times, quality=quality))
        return [*out, *self._missing(values, times)]

    def _missing(self, values: dict[str, MedicalFloat], times: Times) -> list[DeviceEvent]:
        missing = tuple((code, value.value) for code, value in values.items() if isinstance(value, Special))
        if missing == self._told:
            return []
        self._told = missing
        return [DeviceEvent(self._source, EVT_OXIMETER_STATUS, times, missing)]


def _quality(status: int, device: int) -> Quality:
    if device & (_FINGER_CHECK | _DISCONNECTED):
        return Quality.LEAD_OFF
    if device & _MALFUNCTION:
        return Quality.UNUSABLE
    doubtful = device & (_BAD_SIGNAL | _ERRATIC | _QUESTIONABLE | _INTERFERENCE) or status & _EARLY
    return Quality.QUESTIONABLE if doubtful else Quality.GOOD
