"""Devices of the standard health services on the simulated radio: thermometer, pulse oximeter, cuff, scale, heart rate strap.

What they measure is told to them, or invented where nobody tells them. Layouts are written here from the services' documents, so that
an error in the decoder or here shows.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

from firmware_adapters.simulate.bluez import Bluez, Characteristic, Peripheral, RefusedError

THERMOMETER, OXIMETER, CUFF, SCALE, HEART_RATE = KINDS = "thermometer", "oximeter", "cuff", "scale", "heart-rate"

_TRY_AGAIN_S = 0.05
_SITES: "Mapping[str, int]" = MappingProxyType({"axilla": 1, "mouth": 6, "rectum": 7, "tympanum": 9})
# What a mantissa of so many bits says that is no number: ISO/IEEE 11073-20601.
_NO_NUMBER: "Mapping[str, Callable[[int], int]]" = MappingProxyType(
    {
        "NaN": lambda bits: (1 << (bits - 1)) - 1,
        "+INF": lambda bits: (1 << (bits - 1)) - 2,
        "-INF": lambda bits: (1 << (bits - 1)) + 2,
    }
)


def _uuid(number: int) -> str:
    return f"0000{number:04x}-0000-1000-8000-00805f9b34fb"


TEMPERATURE, SPOT, CONTINUOUS, RATE = _uuid(0x2A1C), _uuid(0x2A5E), _uuid(0x2A5F), _uuid(0x2A37)
INTERVAL, HEART_CONTROL = _uuid(0x2A21), _uuid(0x2A39)
PRESSURE, WEIGHT, BATTERY = _uuid(0x2A35), _uuid(0x2A9D), _uuid(0x2A19)


def medical_float(value: float | str, bits: int) -> bytes:
    """A number, or NaN, +INF or -INF, as SFLOAT (16 bits) or FLOAT (32); ValueError for a number with too many digits."""
    mantissa_bits, exponent = (12 if bits == 16 else 24), 0
    if isinstance(value, str):
        mantissa = _NO_NUMBER[value](mantissa_bits)
    else:
        number = Decimal(str(value))
        places = number.as_tuple().exponent
        exponent = min(0, places) if isinstance(places, int) else 0
        mantissa = int(number.scaleb(-exponent))
        if abs(mantissa) > (1 << (mantissa_bits - 1)) - 3:
            msg = f"{value}: expected a number that fits in {mantissa_bits} bits"
            raise ValueError(msg)
    word = (exponent & ((1 << (bits - mantissa_bits)) - 1)) << mantissa_bits | mantissa & ((1 << mantissa_bits) - 1)
    return word.to_bytes(bits // 8, "little")


def date_time(text: str) -> bytes:
    """`2026-03-15T14:30:05`, as a clock on a wall tells it."""
    at = datetime.fromisoformat(text)
    return at.year.to_bytes(2, "little") + bytes([at.month, at.day, at.hour, at.minute, at.second])


def temperature(value: float | str, *, unit: str = "Cel", time: str = "", site: str = "") -> tuple[str, bytes]:
    """A Temperature Measurement."""
    flags = (unit == "[degF]") | bool(time) << 1 | bool(site) << 2
    body = medical_float(value, 32) + (date_time(time) if time else b"")
    return TEMPERATURE, bytes([flags]) + body + (bytes([_SITES[site]]) if site else b"")


def spot(spo2: float | str, pulse: float | str = "NaN", *, time: str = "") -> tuple[str, bytes]:
    """A PLX Spot-check Measurement."""
    body = medical_float(spo2, 16) + medical_float(pulse, 16) + (date_time(time) if time else b"")
    return SPOT, bytes([bool(time)]) + body


def continuous(spo2: float | str, pulse: float | str = "NaN") -> tuple[str, bytes]:
    """A PLX Continuous Measurement, with a status that says it goes on."""
    return CONTINUOUS, b"\x04" + medical_float(spo2, 16) + medical_float(pulse, 16) + (1 << 5).to_bytes(2, "little")


def pressure(
    systolic: float | str,
    diastolic: float | str,
    mean: float | str,
    pulse: float | str,
    *,
    unit: str = "mm[Hg]",
    time: str = "",
) -> tuple[str, bytes]:
    """A Blood Pressure Measurement."""
    flags = (unit == "kPa") | bool(time) << 1 | (pulse != "NaN") << 2
    body = b"".join(medical_float(value, 16) for value in (systolic, diastolic, mean))
    body += date_time(time) if time else b""
    return PRESSURE, bytes([flags]) + body + (medical_float(pulse, 16) if pulse != "NaN" else b"")


def weight(value: float, *, unit: str = "kg", time: str = "") -> tuple[str, bytes]:
    """A Weight Measurement."""
    imperial = unit == "[lb_av]"
    steps = round(value * (100 if imperial else 200))
    return WEIGHT, bytes([imperial | bool(time) << 1]) + steps.to_bytes(2, "little") + (
        date_time(time) if time else b""
    )


def heart_rate(per_min: int) -> tuple[str, bytes]:
    """A Heart Rate Measurement without a word on contact or intervals."""
    return RATE, bytes([0, per_min]) if per_min < 256 else b"\x01" + per_min.to_bytes(2, "little")


_SERVICES: "Mapping[str, tuple[int, tuple[tuple[str, str], ...]]]" = MappingProxyType(
    {
        THERMOMETER: (0x1809, ((TEMPERATURE, "indicate"),)),
        OXIMETER: (0x1822, ((SPOT, "indicate"), (CONTINUOUS, "notify"))),
        CUFF: (0x1810, ((PRESSURE, "indicate"),)),
        SCALE: (0x181D, ((WEIGHT, "indicate"),)),
        HEART_RATE: (0x180D, ((RATE, "notify"),)),
    }
)


class HealthDevice:
    """One device. What it has measured waits until somebody has subscribed to it, as thermometers do."""

    def __init__(self, kind: str, address: str, *, serial: str = "SIM-0001") -> None:
        """`kind`: one of KINDS."""
        service, characteristics = _SERVICES[kind]
        self.kind, self.battery = kind, 74
        self.interval_s, self.energy_kj = 60, 250
        self.written: list[tuple[str, bytes]] = []
        self.waiting: deque[tuple[str, bytes]] = deque()

        def text(number: int, value: str) -> Characteristic:
            return Characteristic(_uuid(number), ("read",), read=value.encode)

        about = [text(0x2A29, "Simulated"), text(0x2A24, kind), text(0x2A25, serial), text(0x2A26, "1.0")]
        self.peripheral = Peripheral(
            address,
            f"Simulated {kind} {serial}",
            {
                _uuid(0x180A): about,
                _uuid(0x180F): [Characteristic(BATTERY, ("read", "notify"), read=lambda: bytes([self.battery]))],
                _uuid(service): [
                    *(Characteristic(uuid, (flag,)) for uuid, flag in characteristics),
                    *self._controls(),
                ],
            },
        )

    def _controls(self) -> list[Characteristic]:
        """What a client may write. The interval: seconds, valid from 5 to 3600; the control point: 1 clears the energy expended."""
        if self.kind == THERMOMETER:
            return [
                Characteristic(
                    INTERVAL,
                    ("read", "write"),
                    read=lambda: self.interval_s.to_bytes(2, "little"),
                    write=self._set_interval,
                )
            ]
        return [Characteristic(HEART_CONTROL, ("write",), write=self._control)] if self.kind == HEART_RATE else []

    def _set_interval(self, value: bytes) -> None:
        self.written.append((INTERVAL, value))
        seconds = int.from_bytes(value, "little")
        if len(value) != 2 or not 5 <= seconds <= 3600:
            name, text = "Failed", "Operation failed with ATT error: 0x80"  # Out of Range
            raise RefusedError(name, text)
        self.interval_s = seconds

    def _control(self, value: bytes) -> None:
        self.written.append((HEART_CONTROL, value))
        if value != b"\x01":
            name, text = "Failed", "Operation failed with ATT error: 0x80"  # Control Point Not Supported
            raise RefusedError(name, text)
        self.energy_kj = 0

    def measure(self, said: Mapping[str, str | float]) -> None:
        """Measure what is told, by the names of this module's functions and their arguments; ValueError for what cannot be sent.

        `{"temperature": 98.6, "unit": "[degF]", "time": "2026-03-15T14:30:05", "site": "axilla"}`, `{"spot": 97, "pulse": 72}`,
        `{"continuous": "+INF"}`, `{"systolic": 16.0, "diastolic": 10.7, "unit": "kPa"}`, `{"weight": 72.5}`, `{"heart_rate": 75}`.
        """
        options = dict(said)
        words = {name: str(options.pop(name)) for name in ("unit", "time", "site") if name in options}
        rest = [options.pop(name, "NaN") for name in ("diastolic", "mean", "pulse")]
        try:
            ((what, value),) = options.items()
            self.waiting.append(self._sent(what, value, rest, words))
        except (KeyError, TypeError, OverflowError) as error:
            msg = f"{dict(said)!r}: {error}"
            raise ValueError(msg) from error

    @staticmethod
    def _sent(what: str, value: float | str, rest: list[float | str], words: Mapping[str, str]) -> tuple[str, bytes]:
        diastolic, mean, pulse = rest
        match what:
            case "temperature":
                return temperature(value, **words)
            case "spot":
                return spot(value, pulse, **words)
            case "continuous":
                return continuous(value, pulse)
            case "systolic":
                return pressure(value, diastolic, mean, pulse, **words)
            case "weight":
                return weight(float(value), **words)
            case "heart_rate":
                return heart_rate(int(value))
            case _:
                msg = f"{what!r}: expected temperature, spot, continuous, systolic, weight or heart_rate"
                raise ValueError(msg)

    def live(self, second: int) -> tuple[str, bytes] | None:
        """What it measures by itself, a patient who is well; what is not worn measures every ten seconds."""
        slow = math.sin(second / 30)
        if self.kind == OXIMETER:
            return continuous(round(97 + slow), round(72 + 3 * slow))
        if self.kind == HEART_RATE:
            return heart_rate(round(72 + 3 * slow))
        if second % 10:
            return None
        if self.kind == CUFF:
            return pressure(round(124 + 4 * slow), round(80 + 2 * slow), round(95 + 3 * slow), 72)
        return weight(72.5) if self.kind == SCALE else temperature(round(36.8 + 0.2 * slow, 1), site="axilla")


async def carry(bluez: Bluez, device: HealthDevice, *, by_itself: bool = True) -> None:
    """Let the device measure until cancelled; `by_itself`: once a second, else only what it is told."""
    bluez.add(device.peripheral)
    loop = asyncio.get_running_loop()
    began_s, second = loop.time(), 0
    while True:
        if by_itself and loop.time() >= began_s + second:
            found = device.live(second)
            second += 1
            # what nobody hears is not kept: a monitor's number is of now
            if found is not None:
                bluez.notify(device.peripheral, *found)
        while device.waiting and bluez.notify(device.peripheral, *device.waiting[0]):
            device.waiting.popleft()
        await asyncio.sleep(_TRY_AGAIN_S)
