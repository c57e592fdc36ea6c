"""The decoder of a Polar chest strap: hands each characteristic's value to its service and turns what cannot be read into faults.

Numbers, gaps and clocks are in `polar_stream`; this module knows only which characteristic belongs to which service.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from protocols.body_axes import Axis
from protocols.errors import DecodeError, Fault
from protocols.gatt import heart_rate, polar_pmd
from protocols.gatt.device import GattDevice, Reader
from protocols.gatt.polar_pmd import Measurement, Setting, Stopped
from protocols.gatt.polar_stream import PolarStream, ResumePoint, Shape
from protocols.nomenclature import ACCELERATION_X, ACCELERATION_Y, ACCELERATION_Z, EVT_STREAM_STOPPED
from protocols.record import DeviceEvent, Record, Scale, SourcePath, Times

ECG_FS_HZ = 130.0
ACCELERATION_RATES_HZ = (25, 50, 100, 200)

_ECG_BITS = 14
_G_PER_STEP = 0.001
# What is known of the sensor alone: the maker shows its axes in a picture only, and a strap can be worn upside down.
OWN_AXES: tuple[Axis, ...] = ((ACCELERATION_X, 1), (ACCELERATION_Y, 1), (ACCELERATION_Z, 1))
_COMMANDS = {1: "get settings", 2: "start", 3: "stop"}

START_ECG = polar_pmd.start(Measurement.ECG, sample_rate=int(ECG_FS_HZ), resolution=_ECG_BITS)


def start_acceleration(fs_hz: int) -> bytes:
    """The command that starts the accelerometer at one of ACCELERATION_RATES_HZ, 16 bit, within 8 g either way."""
    return polar_pmd.start(Measurement.ACCELERATION, sample_rate=fs_hz, resolution=16, range=8)


@dataclass(frozen=True, slots=True)
class StrapOptions:
    """What a strap measures: the ECG lead it lies on (MDC code), and the accelerometer's rate, 0 for none, with its axes X, Y, Z."""

    lead: str
    acceleration_hz: int = 0
    axes: Sequence[Axis] = OWN_AXES


class PolarDecoder:
    """Sans-I/O decoder of one strap; each call of `feed` takes one value of one characteristic."""

    def __init__(
        self, device: str, options: StrapOptions, resume: Mapping[tuple[str, ...], ResumePoint] | None = None
    ) -> None:
        """`resume`: where the stored samples end, by the path of the source (("ecg",), ("accelerometer",))."""
        points = resume or {}
        self._device = SourcePath(device)
        self._heart = SourcePath(device, ("heart_rate",))
        readers: dict[str, Reader] = {
            polar_pmd.DATA: self._frame,
            polar_pmd.CONTROL_POINT: self._control,
            heart_rate.MEASUREMENT: lambda data, at: heart_rate.records(self._heart, data, at),
        }
        self._gatt = GattDevice(device, "a Polar strap", readers)
        ecg = Shape((options.lead,), ECG_FS_HZ, (Scale(1.0, 0.0, "uV"),))
        self._streams = {
            int(Measurement.ECG): PolarStream(SourcePath(device, ("ecg",)), ecg, points.get(("ecg",))),
        }
        if options.acceleration_hz:
            scales = tuple(Scale(sign * _G_PER_STEP, 0.0, "[g]") for _, sign in options.axes)
            shape = Shape(tuple(code for code, _ in options.axes), float(options.acceleration_hz), scales)
            source = SourcePath(device, ("accelerometer",))
            self._streams[int(Measurement.ACCELERATION)] = PolarStream(source, shape, points.get(source.path))

    def feed(self, data: bytes, at: int, channel: str = "") -> list[Record | Fault]:
        """Take a value of the characteristic `channel` that arrived at gateway time `at` (ns)."""
        return self._gatt.feed(data, at, channel)

    def flush(self, at: int) -> list[Record | Fault]:
        """The link closed or fell silent at `at` (ns)."""
        for stream in self._streams.values():
            stream.interrupted()
        return self._gatt.flush(at)

    def _frame(self, data: bytes, at: int) -> list[Record]:
        frame = polar_pmd.parse_frame(data)
        stream = self._streams.get(frame.measurement)
        if stream is None:
            started = ", ".join(Measurement(m).name.lower() for m in self._streams)
            raise DecodeError("PMD data, measurement type", f"a started one ({started})", f"{frame.measurement}", data)
        return stream.take(frame, at)

    def _control(self, data: bytes, at: int) -> list[Record | Fault]:
        answer = polar_pmd.parse_control(data)
        if isinstance(answer, Stopped):
            names = ", ".join(_name(m) for m in answer.measurements)
            return [DeviceEvent(self._device, EVT_STREAM_STOPPED, Times(at), text=names)]
        if not answer.accepted:
            command = _COMMANDS.get(answer.command, f"command {answer.command}")
            where = f"PMD control point, answer to {command} {_name(answer.measurement)}"
            raise DecodeError(where, "success", answer.text, data)
        stream = self._streams.get(answer.measurement)
        for setting, values in answer.settings:
            if setting == Setting.FACTOR and stream is not None and values:
                stream.factor = _factor(values[0], data)
        return []


def _factor(raw: bytes, data: bytes) -> float:
    value = struct.unpack("<f", raw)[0]
    if not 0 < value < math.inf:
        raise DecodeError("PMD control point, factor", "a number above 0", f"{value}", data)
    return value


def _name(measurement: int) -> str:
    known = {m.value: m.name.lower() for m in Measurement}
    return known.get(measurement, f"measurement {measurement}")
