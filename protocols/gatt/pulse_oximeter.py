"""Pulse Oximeter service 1.0 (Bluetooth SIG): PLX Continuous Measurement 0x2A5F and Spot-check Measurement 0x2A5E, saturation and pulse rate.

Layouts and status bits are as several independent open implementations have them; they were checked against no device. A reading that is
missing makes no observation, and an event says so once.
"""

from datetime import UTC, tzinfo

from protocols.errors import DecodeError
from protocols.gatt import uuid16
from protocols.gatt.date_time import date_time
from protocols.gatt.ieee_float import SFLOAT_BYTES, MedicalFloat, Special, sfloat
from protocols.gatt.reader import Fields
from protocols.nomenclature import EVT_OXIMETER_STATUS, PULSE_RATE, SPO2
from protocols.record import DeviceEvent, Observation, Quality, SourcePath, Times

SPOT, CONTINUOUS = uuid16(0x2A5E), uuid16(0x2A5F)

_HAS_FAST, _HAS_SLOW, _HAS_STATUS, _HAS_DEVICE_STATUS, _HAS_PULSE_AMPLITUDE = 0x01, 0x02, 0x04, 0x08, 0x10
_SPOT_HAS_TIME, _SPOT_HAS_STATUS, _SPOT_HAS_DEVICE_STATUS = 0x01, 0x02, 0x04
_SPOT_HAS_PULSE_AMPLITUDE, _SPOT_CLOCK_NOT_SET = 0x08, 0x10
# Measurement Status
_EARLY, _DEMO, _TEST, _CALIBRATION = 1 << 6, 1 << 10, 1 << 11, 1 << 12
_UNAVAILABLE, _QUESTIONABLE, _INVALID = 1 << 13, 1 << 14, 1 << 15
# Device and Sensor Status
_MALFUNCTION, _IRREGULAR, _INADEQUATE, _POOR = 1 << 1, 1 << 2, 1 << 3, 1 << 4
_ERRATIC, _NOT_PULSATILE, _QUESTIONABLE_PULSE, _INTERFERENCE = 1 << 6, 1 << 7, 1 << 8, 1 << 10
_NOT_ON_USER, _UNKNOWN_SENSOR, _DISPLACED, _SENSOR_MALFUNCTION, _DISCONNECTED = (1 << bit for bit in range(11, 16))


class PulseOximeter:
    """One oximeter's readings."""

    def __init__(self, source: SourcePath, zone: tzinfo = UTC) -> None:
        """`source` of the readings; `zone`: what its clock goes by."""
        self._source, self._zone = source, zone
        self._told: tuple[tuple[str, str], ...] = ()

    def records(self, data: bytes, at: int) -> list[Observation | DeviceEvent]:
        """Readings of a continuous notification that arrived at gateway time `at` (ns); DecodeError for what is none."""
        fields = Fields("PLX continuous measurement", data)
        flags = fields.unsigned(1, "flags")
        values = _values(fields)
        for flag, name in ((_HAS_FAST, "fast"), (_HAS_SLOW, "slow")):
            if flags & flag:
                fields.take(2 * SFLOAT_BYTES, f"{name} SpO2 and pulse rate")
        status = fields.unsigned(2, "measurement status") if flags & _HAS_STATUS else 0
        device = fields.unsigned(3, "device status") if flags & _HAS_DEVICE_STATUS else 0
        if flags & _HAS_PULSE_AMPLITUDE:
            fields.take(SFLOAT_BYTES, "pulse amplitude index")
        fields.end()
        return self._told_as(values, _quality(status, device, data), Times(at))

    def spot(self, data: bytes, at: int) -> list[Observation | DeviceEvent]:
        """Readings of a spot check that arrived at gateway time `at` (ns), which may be an old one; DecodeError for what is none."""
        fields = Fields("PLX spot-check measurement", data)
        flags = fields.unsigned(1, "flags")
        values = _values(fields)
        device_ns = date_time(fields, data, self._zone) if flags & _SPOT_HAS_TIME else None
        status = fields.unsigned(2, "measurement status") if flags & _SPOT_HAS_STATUS else 0
        device = fields.unsigned(3, "device status") if flags & _SPOT_HAS_DEVICE_STATUS else 0
        if flags & _SPOT_HAS_PULSE_AMPLITUDE:
            fields.take(SFLOAT_BYTES, "pulse amplitude index")
        fields.end()
        times = Times(at, None if flags & _SPOT_CLOCK_NOT_SET else device_ns)
        return self._told_as(values, _quality(status, device, data), times)

    def _told_as(
        self, values: dict[str, MedicalFloat], quality: Quality, times: Times
    ) -> list[Observation | DeviceEvent]:
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


def _values(fields: Fields) -> dict[str, MedicalFloat]:
    return {
        SPO2: sfloat(fields.unsigned(SFLOAT_BYTES, "SpO2")),
        PULSE_RATE: sfloat(fields.unsigned(SFLOAT_BYTES, "pulse rate")),
    }


def _quality(status: int, device: int, data: bytes) -> Quality:
    if status & (_DEMO | _TEST | _CALIBRATION):
        raise DecodeError("PLX, measurement status", "a measurement", "demonstration, test or calibration", data)
    if device & (_NOT_ON_USER | _DISPLACED | _DISCONNECTED):
        return Quality.LEAD_OFF
    if device & (_MALFUNCTION | _UNKNOWN_SENSOR | _SENSOR_MALFUNCTION) or status & (_UNAVAILABLE | _INVALID):
        return Quality.UNUSABLE
    poor = device & (_IRREGULAR | _INADEQUATE | _POOR | _ERRATIC | _NOT_PULSATILE | _QUESTIONABLE_PULSE | _INTERFERENCE)
    return Quality.QUESTIONABLE if poor or status & (_EARLY | _QUESTIONABLE) else Quality.GOOD
